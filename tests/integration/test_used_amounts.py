"""Rules of every worker read the amount that all workers have spent. The provider's bill is the oracle."""

import asyncio
import os
import signal
from collections.abc import Callable
from time import monotonic, time
from typing import Any

import pytest

from fakes.processes import freeze
from integration.gateway import Gateway, chat, run, serving
from integration.governance import NANO, bearer, governance, prices, settings, usd

LIMIT_USD = "0.01"
LIMIT_NANO = NANO // 100
USED = 'budget_used["team"]'
WORKERS = 3
PROBES = 12  # requests on their own connections: enough to reach every worker almost always
RECENT_S = 1.0


def governed(per: str = "year") -> Any:
    """A gateway in which a team's key spends at `alpha`, and another key of it sends free requests to `beta`, whose
    rule reads the team's budget."""
    rules = [{"name": "reads", "when": f"model == 'probe' && {USED} >= 1000.0", "refuse": {"message": "overspent"}}]
    free = {"model": "beta/gpt-4o-mini", "input_usd_per_million": "0", "output_usd_per_million": "0"}
    pricing = prices("alpha/gpt-4o-mini")
    return serving(
        providers={"alpha": settings(), "beta": settings()},
        models={"chat": ["alpha/gpt-4o-mini"], "probe": ["beta/gpt-4o-mini"]},
        governance=governance(
            {"spender": {"team": "research"}, "reader": {"team": "research"}},
            teams={"research": {"budgets": usd(LIMIT_USD, per)}},
        ),
        pricing={"overrides": [*pricing["overrides"], free]},
        routing={"rules": rules},
        server={"workers": WORKERS},
        as_process=True,
    )


def billed(gateway: Gateway) -> int:
    return gateway.providers["alpha"].bill.totals().charged_nano


async def spend(gateway: Gateway, count: int) -> None:
    answers = await gateway.ask_many(count, 8, chat(max_tokens=64), headers=bearer("spender"))
    assert [answer.status for answer in answers] == [200] * count


async def probe(gateway: Gateway) -> list[float | None]:
    """Return the percentages that decisions of the workers used, from their records."""
    before = len(gateway.records)
    answers = await gateway.ask_many(PROBES, 1, chat("probe", max_tokens=1), headers=bearer("reader"))
    assert [answer.status for answer in answers] == [200] * PROBES
    records = (await gateway.wait_for_records(before + PROBES))[before:]
    facts = [record["rule_facts"].get(USED) for record in records]
    return [float(fact) if fact not in (None, "unknown") else None for fact in facts]


async def until_all(gateway: Gateway, holds: Callable[[float | None], bool], within_s: float) -> float:
    """Wait until every decision used an amount for which this holds. Return the seconds until the first such probe."""
    began_at = monotonic()
    while True:
        at, found = monotonic(), await probe(gateway)
        if all(map(holds, found)):
            return at - began_at
        assert at < began_at + gateway.within_s(within_s), (found, billed(gateway) * 100 / LIMIT_NANO)
        await asyncio.sleep(0.05)


def is_bill(gateway: Gateway) -> Callable[[float | None], bool]:
    share = billed(gateway) * 100 / LIMIT_NANO
    return lambda percent: percent is not None and abs(percent - share) < 0.01


def test_each_worker_knows_what_all_have_spent() -> None:
    async def main() -> None:
        async with governed() as gateway:
            assert None not in await probe(gateway), "the first decision did not wait for control"
            for _ in range(3):
                await spend(gateway, 40)
                assert billed(gateway) > 0
                await until_all(gateway, is_bill(gateway), RECENT_S)

    run(main())


def test_amount_is_unknown_while_control_is_frozen() -> None:
    async def main() -> None:
        async with governed() as gateway:
            await spend(gateway, 20)
            await until_all(gateway, is_bill(gateway), RECENT_S)
            pid = gateway.children["control"]
            freeze(pid)
            try:
                await until_all(gateway, lambda percent: percent is None, 4.0)
            finally:
                os.kill(pid, signal.SIGCONT)
            await until_all(gateway, is_bill(gateway), 2.0)

    run(main())


@pytest.mark.parametrize("name", ["worker", "control"])
def test_amount_is_exact_after_a_process_was_killed(name: str) -> None:
    async def main() -> None:
        async with governed() as gateway:
            await spend(gateway, 20)
            await until_all(gateway, is_bill(gateway), RECENT_S)
            pid = next(pid for child, pid in gateway.children.items() if child.startswith(name))
            os.kill(pid, signal.SIGKILL)
            while pid in gateway.children.values() or len(gateway.children) < WORKERS + 2:
                await asyncio.sleep(0.05)
            await until_all(gateway, is_bill(gateway), 10.0)
            await spend(gateway, 20)
            await until_all(gateway, is_bill(gateway), RECENT_S)

    run(main())


@pytest.mark.slow
def test_amount_begins_at_zero_in_a_new_window() -> None:
    """A rule that shifts traffic near a limit stops to do so when the window resets."""

    async def main() -> None:
        async with governed("minute") as gateway:
            if time() % 60 > 40:
                await asyncio.sleep(60 - time() % 60)  # the spending must be seen before the window ends
            await spend(gateway, 20)
            await until_all(gateway, bool, RECENT_S)  # an old amount is 0 too
            await until_all(gateway, lambda percent: percent == 0.0, 61.0)
            before = billed(gateway)
            await spend(gateway, 5)
            share = (billed(gateway) - before) * 100 / LIMIT_NANO
            await until_all(gateway, lambda percent: percent is not None and abs(percent - share) < 0.01, RECENT_S)

    run(main())
