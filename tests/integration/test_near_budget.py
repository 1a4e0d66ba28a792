"""Requests that meet the end of a budget: they move to a free model in their order, or wait for others to settle. With
`POINTSMAN_MEASURE` set, the figures are written to docs/measurements. The providers' bill is the oracle."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from integration.client import Answer, Client
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, usd
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

TABLE = Path(__file__).parents[2] / "docs" / "measurements" / "near_budget.json"
INPUT, OUTPUT = 150_000, 600_000  # pico-dollars for a token
FREE = {"model": "free/gpt-4o-mini", "input_usd_per_million": 0, "output_usd_per_million": 0}
PAID = {"model": "paid/gpt-4o-mini", "input_usd_per_million": INPUT / 1e6, "output_usd_per_million": OUTPUT / 1e6}
BODY = chat(max_tokens=64)
MEASURES = "POINTSMAN_MEASURE" in os.environ


def serving_paid(limit_nano: int, *models: str, first_token_ms: float = 0.0) -> Any:
    """Run a gateway with a paid and a free provider, and a key `me` with a budget."""
    price = Price(input_pico=INPUT, output_pico=OUTPUT, cached_pico=INPUT)
    provider = Settings(price=price, output_tokens=64.0, first_token_ms=first_token_ms, kept_requests=0)
    free = Settings(price=Price(input_pico=0, output_pico=0, cached_pico=0), output_tokens=64.0)
    return serving(
        providers={"paid": provider, "free": free},
        models={"chat": list(models)},
        governance=governance({"me": {"budgets": usd(f"{limit_nano / NANO:.9f}")}, "probe": {}}),
        pricing={"overrides": [PAID, FREE]},
        as_process=True,
    )


async def ask(gateway: Gateway, name: str = "me") -> Answer:
    client = await Client.connect(gateway.port)
    try:
        return await client.ask(BODY, headers=bearer(name))
    finally:
        await client.close()


async def cost_of_a_call() -> int:
    """Return the provider's charge for one call."""
    async with serving_paid(NANO, "paid/gpt-4o-mini") as gateway:
        assert (await ask(gateway, "probe")).status == 200
        return billed_nano(gateway)


async def free_after_broke(cost_nano: int) -> dict[str, Any]:
    """Send ten calls one after another, with a budget for three."""
    limit = cost_nano * 7 // 2
    async with serving_paid(limit, "paid/gpt-4o-mini", "free/gpt-4o-mini") as gateway:
        answers = [await ask(gateway) for _ in range(10)]
        records = await gateway.wait_for_records(10)
        return {
            "statuses": Counter(str(answer.status) for answer in answers),
            "providers": Counter(answer.headers["x-pointsman-provider"] for answer in answers),
            "order": [answer.headers["x-pointsman-provider"] for answer in answers],
            "decision": records[-1]["verdicts"][0],
            "billed_of_limit": round(billed_nano(gateway) / limit, 4),
        }


async def all_at_once(cost_nano: int, first_token_ms: float) -> dict[str, Any]:
    """Send 300 calls at once, with a budget for a hundred."""
    limit = cost_nano * 100
    async with serving_paid(limit, "paid/gpt-4o-mini", first_token_ms=first_token_ms) as gateway:
        answers = await asyncio.gather(*(ask(gateway) for _ in range(300)))
        return {
            "statuses": Counter(str(answer.status) for answer in answers),
            "billed_of_limit": round(billed_nano(gateway) / limit, 4),
        }


def test_calls_move_to_a_free_model_once_the_budget_is_used_up() -> None:
    found = run(_measured("free_after_broke"))
    assert found["order"] == ["paid"] * 3 + ["free"] * 7
    assert found["statuses"] == {"200": 10}
    assert "paid/gpt-4o-mini: the budget of $" in found["decision"]
    assert "per year of virtual key me has $" in found["decision"]


@pytest.mark.parametrize("first_token_ms", [20.0, pytest.param(1000.0, marks=pytest.mark.slow)])
def test_calls_at_once_use_a_budget_up(first_token_ms: float) -> None:
    found = run(_measured(f"at_once_{first_token_ms:g}_ms", first_token_ms))
    assert set(found["statuses"]) == {"200", "402"}
    assert found["statuses"]["200"] >= 95
    assert found["billed_of_limit"] <= 1


async def _measured(name: str, first_token_ms: float | None = None) -> dict[str, Any]:
    cost_nano = await cost_of_a_call()
    found = await (free_after_broke(cost_nano) if first_token_ms is None else all_at_once(cost_nano, first_token_ms))
    if MEASURES:
        table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
        TABLE.write_text(json.dumps(table | {name: found}, indent=2) + "\n")
    return found
