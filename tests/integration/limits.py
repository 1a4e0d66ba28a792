"""A key whose limit is used up, for tests that cause failures. After any failure, the provider's bill finally equals
the limit, and it never exceeds the limit.

The key has its own provider and model, so that the bill contains exactly its spending.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any

from fakes.clock import PATIENCE_S
from integration.client import Answer
from integration.gateway import Gateway, chat
from integration.governance import NANO, bearer, governance, prices, usd
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

LIMITED_KEY = "limited"
LIMIT_USD = 1
LIMIT_NANO = LIMIT_USD * NANO
# A request reserves at most a fiftieth of the limit, and is charged a hundredth.
TOKENS, MAX_TOKENS = 20, 38
OUTPUT_USD = 500  # per million tokens
MIN_SHARE = 0.97  # of the limit; the rest is too small for one more request
KEY: Mapping[str, Any] = {LIMITED_KEY: {"budgets": usd(str(LIMIT_USD))}}
MODEL = {LIMITED_KEY: [f"{LIMITED_KEY}/gpt-4o-mini"]}
PRICE = {"model": MODEL[LIMITED_KEY][0], "input_usd_per_million": "0.15", "output_usd_per_million": str(OUTPUT_USD)}


def provider(**pace: Any) -> dict[str, Settings]:
    """Return the provider of the key."""
    price = Price(150_000, OUTPUT_USD * 1_000_000, 150_000)
    return {LIMITED_KEY: Settings(price=price, output_tokens=float(TOKENS), kept_requests=0, **pace)}


def background(
    providers: Mapping[str, Settings], models: Mapping[str, Any], keys: Mapping[str, Any], *priced: str, **fields: Any
) -> dict[str, Any]:
    """Return the sections of a gateway in which the key is one of several."""
    pricing = prices(*priced)
    return {
        "providers": {**providers, **provider()},
        "models": {**models, **MODEL},
        "governance": governance({**keys, **KEY}, **fields),
        "pricing": {"overrides": [*pricing["overrides"], PRICE]},
    }


def body(**fields: Any) -> dict[str, Any]:
    return chat(LIMITED_KEY, max_tokens=MAX_TOKENS, **fields)


def billed(gateway: Gateway) -> int:
    """Return the provider's charges for the key, in nano-dollars."""
    return gateway.providers[LIMITED_KEY].bill.totals().charged_nano


async def spend(gateway: Gateway, share: float) -> None:
    """Spend about this share of the limit. All requests must be served."""
    count = round(share * LIMIT_NANO / (TOKENS * OUTPUT_USD * 1000))
    answers = await gateway.ask_many(count, 8, body(), headers=bearer(LIMITED_KEY))
    assert [answer.status for answer in answers] == [HTTPStatus.OK] * count, "".join(gateway.stderr)


async def spend_to_the_limit(gateway: Gateway, elsewhere: int = 0) -> tuple[int, int]:
    """Send requests until the limit is used up. Compare the bill, plus the spending `elsewhere`, with the limit. Return
    the provider's charges, and the amount that attempts of dead workers hold. Those attempts may have cost less."""
    ends_at = monotonic() + gateway.within_s(PATIENCE_S)
    while True:
        answers = await _ask(gateway)
        statuses = {answer.status for answer in answers}
        bill, unsettled = elsewhere + billed(gateway), await _unsettled(gateway)
        assert bill <= LIMIT_NANO, f"${bill / NANO} were billed, over a limit of ${LIMIT_USD}"
        if (
            statuses == {HTTPStatus.PAYMENT_REQUIRED}
            and unsettled is not None
            and bill >= MIN_SHARE * LIMIT_NANO - unsettled
        ):
            return bill, unsettled
        bodies = [answer.body for answer in answers if answer.status != HTTPStatus.OK][-1:]
        assert monotonic() < ends_at, (bill, unsettled, statuses, bodies, "".join(gateway.stderr))
        if HTTPStatus.OK not in statuses:
            await asyncio.sleep(0.1)


async def _ask(gateway: Gateway) -> list[Answer]:
    """Send some requests, whole and streamed, on separate connections, so that each may reach another worker."""
    return await gateway.ask_many(8, 8, lambda number: body(stream=number % 2 == 0), headers=bearer(LIMITED_KEY))


async def _unsettled(gateway: Gateway) -> int | None:
    """Return the amount that attempts of dead workers hold; `None` while it is unknown."""
    try:
        answer = await gateway.admin("/api/v1/unsettled?limit=1000")
    except OSError:
        return None
    if answer.status != HTTPStatus.OK:
        return None
    held: list[int] = [row["cost_nano"] + row["held_nano"] for row in answer.json if row["provider"] == LIMITED_KEY]
    return sum(held)


async def check_limits_are_shown_once(gateway: Gateway) -> None:
    """Check that the pages of budgets and of metrics show each limit once."""
    shown = [
        (row["owner"], row["metric"], row["window_start"]) for row in (await gateway.admin("/api/v1/budgets")).json
    ]
    assert len(shown) == len(set(shown)), shown
    text = (await gateway.admin("/metrics")).body.decode()
    samples = [line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("pointsman_limit_")]
    assert len(samples) == len(set(samples)), samples
