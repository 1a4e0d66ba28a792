"""Without control, only known keys are served, and an old configuration is used only for a limited time."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration import limits
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import bearer, billed_nano, governance, prices, settings, usd

# Known keys: one without limits, and one whose lease covers the requests.
KEYS: dict[str, Any] = {"free": {}, "me": {"budgets": usd(1000)}}


def governed(**governed_by: Any) -> Any:
    models = {"chat": ["alpha/gpt-4o-mini"]}
    sections = limits.background({"alpha": settings()}, models, KEYS, "alpha/gpt-4o-mini", **governed_by)
    return serving(**sections, server={"workers": 2}, as_process=True)


async def status(gateway: Gateway, key: str) -> int:
    return (await gateway.ask(chat(), headers=bearer(key))).status


async def until_answered(gateway: Gateway, key: str, expected: int) -> None:
    """Wait until 20 answers in a row have this status, so that every worker gives it."""
    row, ends_at = 0, monotonic() + PATIENCE_S
    while row < 20:
        assert monotonic() < ends_at, f"the answer to {key} is not {expected}:\n" + "".join(gateway.stderr)
        row = row + 1 if await status(gateway, key) == expected else 0
        await asyncio.sleep(0.02 if row == 0 else 0)


async def stop_control(gateway: Gateway) -> Callable[[], Awaitable[None]]:
    """Freeze control; return a function that wakes it."""
    pid = gateway.children["control"]
    freeze(pid)

    async def wake() -> None:
        os.kill(pid, signal.SIGCONT)

    return wake


async def kill_control(gateway: Gateway) -> Callable[[], Awaitable[None]]:
    """Kill control for good, by freezing the supervisor, which would restart it."""
    assert gateway.process is not None
    supervisor = gateway.process.pid
    pid = gateway.children["control"]
    freeze(supervisor)
    os.kill(pid, signal.SIGKILL)

    async def wake() -> None:
        os.kill(supervisor, signal.SIGCONT)
        await until(lambda: gateway.children.get("control", pid) != pid, "control is restarted")

    return wake


@pytest.mark.parametrize("away", [stop_control, pytest.param(kill_control, marks=pytest.mark.slow)])
def test_without_control_only_known_keys_are_served(
    away: Callable[[Gateway], Awaitable[Callable[[], Awaitable[None]]]],
) -> None:
    async def main() -> None:
        async with governed() as gateway:
            await until_answered(gateway, "unknown", 401)
            for key in KEYS:
                await until_answered(gateway, key, 200)
            await limits.spend(gateway, 0.3)
            back = await away(gateway)
            try:
                await until_answered(gateway, "unknown", 503)
                refused = await gateway.ask(chat(), headers=bearer("unknown"))
                assert refused.json["error"]["code"] == "control_unavailable"
                for key in KEYS:
                    await until_answered(gateway, key, 200)
            finally:
                await back()
            await until_answered(gateway, "unknown", 401)
            spent = None
            async with asyncio.timeout(PATIENCE_S):  # control ingests the journals with a delay
                while spent != billed_nano(gateway):
                    answer = await gateway.admin("/api/v1/usage")
                    spent = sum(row["cost_nano"] for row in answer.json["rows"]) if answer.status == 200 else None
            unknown = [request for request in gateway.providers["alpha"].requests if "unknown" in str(request.headers)]
            assert not unknown
            await limits.spend_to_the_limit(gateway)

    run(main())


def test_key_served_by_one_worker_is_served_by_all() -> None:
    """The window began before the workers, so each worker needs a lease on a part of it."""

    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": usd(1000), "rate_limits": [{"requests": 1000, "per": "month"}]}}),
            pricing=prices("alpha/gpt-4o-mini"),
            server={"workers": 3},
            as_process=True,
        ) as gateway:
            assert await status(gateway, "me") == 200
            back = await stop_control(gateway)
            try:
                assert [await status(gateway, "me") for _ in range(24)] == [200] * 24
            finally:
                await back()

    run(main())


def test_leases_hold_and_none_is_granted_before_the_store_is_reached() -> None:
    """A control process that started while the store was unavailable does not know the spending, and reports that."""

    async def main() -> None:
        keys = {"me": {"budgets": usd(1000)}, "other": {"budgets": usd(1000)}}
        models = {"chat": ["alpha/gpt-4o-mini"]}
        sections = limits.background({"alpha": settings()}, models, keys, "alpha/gpt-4o-mini")
        async with serving(**sections, as_process=True) as gateway:
            await limits.spend(gateway, 0.3)
            assert await status(gateway, "me") == 200
            data, away = gateway.config_file.parent / "data", gateway.config_file.parent / "away"
            away.mkdir()
            pid = gateway.children["control"]
            os.kill(pid, signal.SIGSTOP)
            for file in data.glob("pointsman.db*"):
                file.rename(away / file.name)
            (data / "pointsman.db").mkdir()
            os.kill(pid, signal.SIGKILL)
            message = ""
            async with asyncio.timeout(20):
                while "the store cannot be reached" not in message:
                    refused = await gateway.ask(chat(), headers=bearer("other"))
                    assert refused.json["error"]["code"] == "budget_unavailable"
                    message = refused.json["error"]["message"]
                    await asyncio.sleep(0.02)
            assert await status(gateway, "me") == 200, "a lease that was granted before was not used"
            (data / "pointsman.db").rmdir()
            for file in away.iterdir():
                file.rename(data / file.name)
            await until_answered(gateway, "other", 200)
            await limits.spend_to_the_limit(gateway)

    run(main())


def test_old_configuration_expires() -> None:
    async def main() -> None:
        async with governed(max_stale_s=1) as gateway:
            await until_answered(gateway, "free", 200)
            back = await stop_control(gateway)
            try:
                await until_answered(gateway, "free", 503)
                refused = await gateway.ask(chat(), headers=bearer("free"))
                assert refused.json["error"]["code"] == "snapshot_stale"
                assert (await gateway.ask(path="/readyz", method="GET")).status == 503
                assert (await gateway.ask(path="/healthz", method="GET")).status == 200
            finally:
                await back()
            await until_answered(gateway, "free", 200)

    run(main())
