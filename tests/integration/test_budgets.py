"""Budgets and limits cannot be overspent, and do not refuse what fits. The providers' bill is the oracle."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from integration.client import Answer, Client
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, billed_nano, governance, prices, settings, usd
from pointsman.simulate import Settings
from pointsman.simulate.settings import Price

OUTPUT_ONLY = Price(input_pico=0, output_pico=1_000_000, cached_pico=0)
FREE_INPUT: dict[str, Any] = {
    "input_usd_per_million": "0",
    "cached_input_usd_per_million": "0",
    "output_usd_per_million": "1",
}
WORKERS = [1, 3]


async def ask_at_once(gateway: Gateway, count: int, body: Any, headers: dict[str, str]) -> list[Answer]:
    """`count` requests at the same moment, each on a connection of its own."""

    async def ask() -> Answer:
        client = await Client.connect(gateway.port)
        try:
            return await client.ask(body, headers=headers, quiet_s=60)
        finally:
            await client.close()

    return list(await asyncio.gather(*(ask() for _ in range(count))))


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("rounds", [30, pytest.param(200, marks=pytest.mark.slow)])
def test_five_hundred_at_once_at_a_budget_for_a_hundred(rounds: int, workers: int) -> None:
    """Every answer uses up its reservation, so exactly a hundred fit."""
    reservation_nano = 50 * 1000  # max_tokens at $1 per million; input costs nothing
    limit_nano = 100 * reservation_nano
    keys = {f"k{number}": {"budgets": usd(f"{limit_nano / NANO:.9f}")} for number in range(rounds)}

    async def main() -> None:
        provider = Settings(price=OUTPUT_ONLY, output_tokens="max_tokens", first_token_ms=5.0)
        async with serving(
            providers={"alpha": provider},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance(keys),
            pricing=prices("alpha/gpt-4o-mini", **FREE_INPUT),
            server={"workers": workers},
            as_process=True,
        ) as gateway:
            before = 0
            for name in keys:
                answers = await ask_at_once(gateway, 500, chat(max_tokens=50), bearer(name))
                statuses = Counter(answer.status for answer in answers)
                spent = billed_nano(gateway) - before
                before += spent
                assert set(statuses) == {200, 402}, statuses
                assert spent <= limit_nano
                assert statuses[200] >= 99, statuses
                refused = next(answer for answer in answers if answer.status == 402)
                assert refused.json["error"]["code"] == "budget_exceeded"
                assert f"virtual key {name}" in refused.json["error"]["message"]

    run(main())


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("metric", ["requests", "tokens"])
def test_limits_of_requests_and_tokens_hold_at_once_too(metric: str, workers: int) -> None:
    amount = 100 if metric == "requests" else 10_000
    rounds = 5
    keys = {f"k{number}": {"rate_limits": [{metric: amount, "per": "year"}]} for number in range(rounds)}

    async def main() -> None:
        async with serving(
            providers={"alpha": settings(output_tokens="max_tokens", first_token_ms=5.0)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance(keys),
            server={"workers": workers},
            as_process=True,
        ) as gateway:
            bill = gateway.providers["alpha"].bill
            for name in keys:
                bill.clear()
                answers = await ask_at_once(gateway, 500, chat(max_tokens=100), bearer(name))
                statuses = Counter(answer.status for answer in answers)
                assert set(statuses) <= {200, 429}, statuses
                totals = bill.totals()
                if metric == "requests":
                    assert 99 <= totals.requests <= 100
                else:
                    used = totals.tokens_in + totals.tokens_out
                    assert used <= amount
                    assert statuses[200] > 0
                refused = next(answer for answer in answers if answer.status == 429)
                assert refused.json["error"]["code"] == "rate_limited"
                assert int(refused.headers["retry-after"]) > 0

    run(main())


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("max_tokens", [32_000, None])
def test_what_fits_is_not_refused(workers: int, max_tokens: int | None) -> None:
    """Answers use a sixteenth of what they reserve; clients try again when they are refused."""

    async def main() -> None:
        async with serving(
            providers={"alpha": Settings(price=OUTPUT_ONLY, output_tokens=2000.0, first_token_ms=5.0)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd(1)}}),
            pricing=prices("alpha/gpt-4o-mini", output_tokens=32_000, **FREE_INPUT),
            server={"workers": workers},
            as_process=True,
        ) as gateway:
            body = chat() if max_tokens is None else chat(max_tokens=max_tokens)
            loop = asyncio.get_running_loop()
            ends_at = loop.time() + 30
            last_success = loop.time()

            async def work() -> None:
                nonlocal last_success
                client = await Client.connect(gateway.port)
                while loop.time() < ends_at and loop.time() < last_success + 6:
                    answer = await client.ask(body, headers=bearer("me"))
                    assert answer.status in (200, 402), answer
                    if answer.status == 200:
                        last_success = loop.time()
                    else:
                        await asyncio.sleep(0.1)
                await client.close()

            await asyncio.gather(*(work() for _ in range(20)))
            assert 0.95 * NANO <= billed_nano(gateway) <= NANO

    run(main())


def test_a_stream_costs_what_the_same_answer_costs_whole() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings(output_tokens=37.0, cached_share=0.5)},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd(1)}}),
            pricing=prices("alpha/gpt-4o-mini"),
        ) as gateway:
            whole = await gateway.ask(chat(), headers=bearer("me"))
            streamed = await gateway.ask(chat(stream=True), headers=bearer("me"))
            assert (whole.status, streamed.status) == (200, 200)
            first, second = await gateway.wait_for_records(2)
            costs = [entry.charged_nano for entry in gateway.providers["alpha"].bill.entries]
            assert first["cost_nano"] == second["cost_nano"] == costs[0] == costs[1] > 0
            assert whole.headers["x-pointsman-cost-usd"] == f"{costs[0] / NANO:.9f}".rstrip("0")
            assert "x-pointsman-cost-usd" not in streamed.headers

    run(main())


def test_the_refusal_names_level_and_limit_and_every_level_must_pass() -> None:
    tiny = usd("0.000000001", "day")
    keys: dict[str, dict[str, Any]] = {
        "own": {"budgets": tiny},
        "of-team": {"team": "research"},
        "of-customer": {"customer": "acme"},
        "of-entry": {"providers": {"alpha": {"budgets": tiny}}},
        "free": {},
    }

    async def main() -> None:
        async with serving(
            providers={"alpha": settings(), "beta": settings()},
            provider_settings={"beta": {"budgets": tiny}},
            models={"chat": ["alpha/gpt-4o-mini"], "other": ["beta/gpt-4o-mini"]},
            governance=governance(keys, teams={"research": {"budgets": tiny}}, customers={"acme": {"budgets": tiny}}),
            pricing=prices("alpha/gpt-4o-mini", "beta/gpt-4o-mini"),
        ) as gateway:
            named = {
                "own": "virtual key own",
                "of-team": "team research",
                "of-customer": "customer acme",
                "of-entry": "virtual key and provider of-entry/alpha",
            }
            for key, owner in named.items():
                answer = await gateway.ask(chat(), headers=bearer(key))
                assert answer.status == 402
                message = answer.json["error"]["message"]
                assert f"the budget of $0.000000001 per day of {owner}" in message
            answer = await gateway.ask(chat("other"), headers=bearer("free"))
            assert answer.status == 402
            assert "of provider beta" in answer.json["error"]["message"]
            assert (await gateway.ask(chat(), headers=bearer("free"))).status == 200
            assert sum(one.counters.requests_received for one in gateway.providers.values()) == 1

    run(main())


def test_a_cheaper_candidate_is_used_where_the_dear_one_does_not_fit() -> None:
    """And the verdict says why."""

    async def main() -> None:
        async with serving(
            providers={"dear": settings(), "cheap": settings()},
            models={"chat": ["dear/gpt-4o", "cheap/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd("0.001", "day")}}),
            pricing={
                "overrides": [
                    {"model": "dear/*", "input_usd_per_million": 10, "output_usd_per_million": 1000},
                    {"model": "cheap/*", "input_usd_per_million": "0.15", "output_usd_per_million": "0.6"},
                ]
            },
        ) as gateway:
            answer = await gateway.ask(chat(max_tokens=100), headers=bearer("me"))
            assert (answer.status, answer.headers["x-pointsman-provider"]) == (200, "cheap")
            [record] = await gateway.wait_for_records(1)
            assert record["verdicts"][0].startswith("dear/gpt-4o: the budget of $0.001 per day of virtual key me")

    run(main())


def test_an_unknown_price_is_refused_under_a_budget_and_flagged_without() -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/model-nobody-knows"]},
            provider_settings={"alpha": {"serves": ["*"]}},
            governance=governance({"me": {"budgets": usd(1)}, "free": {}}),
        ) as gateway:
            answer = await gateway.ask(chat(), headers=bearer("me"))
            assert (answer.status, answer.json["error"]["code"]) == (403, "price_unknown")
            assert "pricing.overrides" in answer.json["error"]["message"]

    run(main())
