"""Replacing processes while they serve fails no request."""

import asyncio
import os
import signal

import pytest
import yaml

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration import kills, limits
from integration.client import Client
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import bearer, billed_nano, settings, usd

RATE = 40


def governed(gap_ms: float = 5.0):  # type: ignore[no-untyped-def]
    sections = limits.background(
        {"alpha": settings(first_token_ms=10.0, token_gap_ms=gap_ms, kept_requests=5000)},
        {"chat": ["alpha/gpt-4o-mini"]},
        {"me": {"budgets": usd(1000)}},
        "alpha/gpt-4o-mini",
    )
    return serving(**sections, server={"workers": 2}, as_process=True)


async def load(gateway: Gateway, over: asyncio.Event) -> list[int]:
    """Send requests at a steady pace until `over`, each on its own connection. Return their statuses, 0 for a broken
    one."""
    statuses: list[int] = []

    async def ask(number: int) -> None:
        try:
            client = await Client.connect(gateway.port)
        except OSError:
            statuses.append(0)
            return
        answer = await client.ask(chat(stream=number % 2 == 0), headers=bearer("me"))
        statuses.append(answer.status if answer.ended == "complete" else 0)
        await client.close()

    asks: list[asyncio.Task[None]] = []
    while not over.is_set():
        asks.append(asyncio.create_task(ask(len(asks))))
        await asyncio.sleep(1 / RATE)
    await asyncio.gather(*asks)
    return statuses


async def spending_is_exact(gateway: Gateway) -> None:
    spent = None
    async with asyncio.timeout(PATIENCE_S):
        while spent != billed_nano(gateway):
            answer = await gateway.admin("/api/v1/usage")
            spent = sum(row["cost_nano"] for row in answer.json["rows"]) if answer.status == 200 else None
            await asyncio.sleep(0.05)


async def spending_holds(gateway: Gateway) -> None:
    """Check that all spending is accounted for, and that the rest of a limit, and no more, can be spent."""
    await spending_is_exact(gateway)
    await limits.spend_to_the_limit(gateway)


async def all_serve(gateway: Gateway, workers: int) -> None:
    """Wait until this number of workers has connected to control."""
    async with asyncio.timeout(PATIENCE_S):
        while len((await gateway.admin("/api/v1/status")).json["workers"]) != workers:
            await asyncio.sleep(0.05)


def test_upgrade_fails_no_request() -> None:
    """SIGUSR2 replaces all processes; the supervisor becomes the installed version."""

    async def main() -> None:
        async with governed() as gateway:
            assert gateway.process is not None
            over = asyncio.Event()
            loading = asyncio.create_task(load(gateway, over))
            await limits.spend(gateway, 0.3)
            before = dict(gateway.children)
            await asyncio.sleep(0.5)
            gateway.process.send_signal(signal.SIGUSR2)
            await until(
                lambda: len(gateway.children) == 4 and not set(before.values()) & set(gateway.children.values()),
                "all processes are replaced",
            )
            await asyncio.sleep(0.5)
            over.set()
            statuses = await loading
            assert statuses == [200] * len(statuses), ([s for s in statuses if s != 200], "".join(gateway.stderr))
            await spending_holds(gateway)
            print(f"{len(statuses)} requests, {len(statuses) - statuses.count(200)} failed")
            # An upgrade can be repeated, and the gateway ends normally after it.
            assert gateway.process.returncode is None

    run(main())


@pytest.mark.slow
def test_limit_holds_over_upgrades_and_deaths_in_its_window() -> None:
    """Workers connect to the new control process before it has read the store, and end later in the same window."""

    async def main() -> None:
        async with governed() as gateway:
            for _ in range(2):
                await limits.spend_to_the_limit(gateway)
                await kills.upgrade(gateway)
                await limits.spend_to_the_limit(gateway)
                for name in ("control", "worker 0", "worker 1"):
                    os.kill(gateway.children[name], signal.SIGKILL)
                await kills.wait_for_recovery(gateway)
            bill, unsettled = await limits.spend_to_the_limit(gateway)
            assert not unsettled
            assert bill >= limits.MIN_SHARE * limits.LIMIT_NANO
            await limits.check_limits_are_shown_once(gateway)

    run(main())


def test_stopping_a_worker_fails_no_request() -> None:
    async def main() -> None:
        async with governed() as gateway:
            await limits.spend(gateway, 0.3)
            over = asyncio.Event()
            loading = asyncio.create_task(load(gateway, over))
            for name in ("worker 0", "worker 1"):
                await asyncio.sleep(0.3)
                before = gateway.children[name]
                os.kill(before, signal.SIGTERM)
                await until(lambda: gateway.children.get(name, before) != before, f"{name} is replaced")  # noqa: B023
                await all_serve(gateway, 2)
                await asyncio.sleep(0.3)
            over.set()
            statuses = await loading
            assert statuses == [200] * len(statuses), ([s for s in statuses if s != 200], "".join(gateway.stderr))
            await spending_holds(gateway)

    run(main())


def test_killed_worker_loses_no_queued_connection() -> None:
    """Queued connections wait for the next worker, because the supervisor holds the socket."""

    async def main() -> None:
        async with governed() as gateway:
            await limits.spend(gateway, 0.3)
            victims = {name: gateway.children[name] for name in ("worker 0", "worker 1")}
            for pid in victims.values():
                freeze(pid)
            clients = [await Client.connect(gateway.port) for _ in range(60)]
            for client in clients:
                client.send(chat(), headers=bearer("me"))
            await asyncio.sleep(0.2)
            for pid in victims.values():
                os.kill(pid, signal.SIGKILL)
            answers = await asyncio.gather(*(client.receive() for client in clients))
            assert [answer.status for answer in answers] == [200] * 60, "".join(gateway.stderr)
            for client in clients:
                await client.close()
            await spending_holds(gateway)

    run(main())


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
def test_upgrade_changes_the_number_of_workers(number: int) -> None:
    """From two workers to one or three: all of them serve, and no connection waits for a removed one."""

    async def main() -> None:
        async with governed() as gateway:
            assert gateway.process is not None
            await limits.spend(gateway, 0.3)
            before = dict(gateway.children)
            text = gateway.config_file.read_text()
            document = yaml.safe_load(text)
            document["server"]["workers"] = number
            gateway.config_file.write_text(yaml.safe_dump(document))
            gateway.process.send_signal(signal.SIGUSR2)
            await until(
                lambda: (
                    len(gateway.children) == 2 + number and not set(before.values()) & set(gateway.children.values())
                ),
                "the configured number of workers has replaced the old ones",
            )
            await all_serve(gateway, number)
            over = asyncio.Event()
            loading = asyncio.create_task(load(gateway, over))
            await asyncio.sleep(0.5)
            over.set()
            statuses = await loading
            assert statuses == [200] * len(statuses), "".join(gateway.stderr)
            await spending_holds(gateway)

    run(main())
