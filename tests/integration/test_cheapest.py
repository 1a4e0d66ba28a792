"""Cost-aware strategies through a whole gateway: the providers' own bills show which of them was the cheapest."""

import asyncio
from time import monotonic, time
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from integration.client import Answer
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, governance, usd
from pointsman.engine import billing
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

MINUTE_S = 60
# Pico-dollars for a token of the prompt and of the answer: each provider is the cheapest for some requests.
RATES = {"alpha": (100_000, 10_000_000), "beta": (2_000_000, 2_000_000), "gamma": (500_000, 5_000_000)}
MODEL = "gpt-4o-mini"


def shape(words: int, max_tokens: int) -> dict[str, Any]:
    return chat(max_tokens=max_tokens, messages=[{"role": "user", "content": "word " * words}])


# The provider with the lowest bill for an answer of `TOKENS`, and the words of prompts that it serves best.
TOKENS = 100
WORDS = {"beta": [2, 30, 80], "gamma": [400, 700], "alpha": [2_500, 4_000]}


def priced(names: tuple[str, ...] = tuple(RATES), strategy: Any = "cheapest", **how: Any) -> Any:
    def settings(name: str) -> Settings:
        first, second = RATES[name]
        return Settings(
            price=Price(input_pico=first, output_pico=second, cached_pico=first), output_tokens=float(TOKENS)
        )

    overrides = [
        {
            "model": f"{name}/{MODEL}",
            "input_usd_per_million": str(RATES[name][0] / 1e6),
            "output_usd_per_million": str(RATES[name][1] / 1e6),
        }
        for name in names
    ]
    targets = [f"{name}/{MODEL}" for name in names]
    return serving(
        **{
            "providers": {name: settings(name) for name in names},
            "models": {"chat": {"strategy": strategy, "targets": targets}},
            "pricing": {"overrides": overrides},
            **how,
        }
    )


def served_by(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-pointsman-provider"]


def test_each_request_goes_to_the_provider_with_its_lowest_bill() -> None:
    async def bill_at(gateway: Gateway, name: str, body: dict[str, Any]) -> int:
        assert served_by(await gateway.ask(body | {"model": f"{name}/{MODEL}"})) == name
        return gateway.providers[name].bill.entries[-1].charged_nano

    async def main() -> None:
        async with priced() as gateway:
            for best, lengths in WORDS.items():
                for body in [shape(words, TOKENS + 20) for words in lengths]:
                    chosen = served_by(await gateway.ask(body))
                    billed = gateway.providers[chosen].bill.entries[-1].charged_nano
                    bills = {name: await bill_at(gateway, name, body) for name in RATES}
                    assert (chosen, billed) == (best, min(bills.values()))

    run(main())


def test_ceiling_of_a_request_leaves_out_dearer_providers_whatever_came_before_on_the_connection() -> None:
    """The heads of requests are remembered, so heads that differ in this header must not share a decision."""

    async def main() -> None:
        async with priced(strategy="priority") as gateway:
            client = await gateway.connect()
            body = shape(10, 120)  # 0.0012 dollars at alpha, 0.0003 at beta
            for _ in range(2):
                assert served_by(await client.ask(body)) == "alpha"
                assert served_by(await client.ask(body, headers={"x-pointsman-max-usd": "0.0005"})) == "beta"
                rejected = await client.ask(body, headers={"x-pointsman-max-usd": "0.0001"})
                assert (rejected.status, rejected.json["error"]["code"]) == (402, "max_cost_exceeded")
                assert "x-pointsman-max-usd" in rejected.json["error"]["message"]
            await client.close()

    run(main())


def test_provider_that_is_slow_to_the_first_content_serves_after_the_others() -> None:
    async def main() -> None:
        slow = Settings(first_token_ms=150.0)
        how: dict[str, Any] = {"providers": {"alpha": slow, "beta": Settings()}}
        async with priced(("alpha", "beta"), {"cheapest": {"max_ttft_s": 0.1}}, **how) as gateway:
            body = shape(2_000, 10) | {"stream": True}
            assert served_by(await gateway.ask(body)) == "alpha", "its time is unknown"
            assert [served_by(await gateway.ask(body)) for _ in range(3)] == ["beta"] * 3

    run(main())


# A limit of the cheapest provider, and one of the cheapest entry of a virtual key.
LIMITED: dict[str, dict[str, Any]] = {
    "provider": {
        "provider_settings": {"alpha": {"budgets": usd("0.0018", "minute")}},
        "governance": governance({"me": {}}),
    },
    "rate of the provider": {
        "provider_settings": {"alpha": {"rate_limits": [{"requests": 3, "per": "minute"}]}},
        "governance": governance({"me": {}}),
    },
    "entry of the key": {
        "governance": governance(
            {"me": {"providers": {"alpha": {"budgets": usd("0.0018", "minute")}, "beta": {}, "gamma": {}}}}
        ),
    },
}


@pytest.mark.parametrize("limited", LIMITED)
def test_provider_over_its_own_limit_is_left_out_until_the_window_resets(
    limited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test moves the clock over the end of the window. The price order falls to the next cheapest and returns."""

    async def main() -> None:
        async with priced(**LIMITED[limited]) as gateway:
            body = shape(2_000, 10)  # 0.0003 dollars at alpha, 0.00105 at gamma, 0.00402 at beta
            now = (int(time()) // MINUTE_S + 1) * MINUTE_S - 30.0
            monkeypatch.setattr(billing, "time", lambda: now)
            order = [served_by(await gateway.ask(body, headers=bearer("me"))) for _ in range(6)]
            spent = [entry.charged_nano for entry in gateway.providers["alpha"].bill.entries]
            assert order == ["alpha"] * len(spent) + ["gamma"] * (6 - len(spent))
            assert 1 <= len(spent) < 6
            assert sum(spent) <= 0.0018 * NANO
            now += MINUTE_S
            give_up_at = monotonic() + PATIENCE_S
            while served_by(await gateway.ask(body, headers=bearer("me"))) != "alpha":
                assert monotonic() < give_up_at, "the price order returns after the window"
                await asyncio.sleep(0.05)

    run(main())


def test_weights_with_costs_prefer_the_cheaper_provider() -> None:
    async def main() -> None:
        async with priced(("alpha", "beta"), {"weighted": {"cost": 2}}) as gateway:
            answers = await gateway.ask_many(60, 4, shape(2_000, 10))  # 0.0003 and 0.00402 dollars: 1 in 180 for beta
            names = [served_by(answer) for answer in answers]
            assert names.count("alpha") >= 55

    run(main())
