"""A fault of the store fails no request of a known key. All charges are stored soon after the recovery."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration import limits
from integration.client import Client
from integration.databases import Proxy, Server, database, own_server
from integration.gateway import Gateway, chat, run, serving, until
from integration.governance import bearer, billed_nano, settings, usd

RATE = 50
RETURN_S = 10.0
Fault = Callable[[Gateway, float], Coroutine[Any, Any, None]]
LENGTHS = [5, pytest.param(30, marks=pytest.mark.slow)]


async def load(gateway: Gateway, for_s: float) -> list[int]:
    """Return the statuses of a steady stream of requests."""
    statuses: list[int] = []

    async def ask() -> None:
        client = await Client.connect(gateway.port)
        answer = await client.ask(chat(stream=len(statuses) % 2 == 0), headers=bearer("me"))
        statuses.append(answer.status if answer.ended == "complete" else 0)
        await client.close()

    asks = []
    for _ in range(int(for_s * RATE)):
        asks.append(asyncio.create_task(ask()))
        await asyncio.sleep(1 / RATE)
    await asyncio.gather(*asks)
    return statuses


async def spent_nano(gateway: Gateway) -> int | None:
    """Return the spending in the admin API; `None` if it is unavailable."""
    try:
        answer = await gateway.admin("/api/v1/usage")
        return sum(row["cost_nano"] for row in answer.json["rows"]) if answer.status == 200 else None
    except (OSError, ValueError, KeyError):
        return None


async def withstand(gateway: Gateway, fault: Fault, for_s: float) -> None:
    """Apply load before, during and after `fault`. No request may fail, and all spending must be stored soon after."""
    await limits.spend(gateway, 0.3)
    assert await load(gateway, 0.5) == [200] * (RATE // 2)  # the workers have leases
    loading = asyncio.create_task(load(gateway, for_s + 1))
    breaking = asyncio.create_task(fault(gateway, for_s))
    await breaking
    returned_at = time.monotonic()
    statuses = await loading
    assert statuses == [200] * len(statuses), "".join(gateway.stderr)
    while (spent := await spent_nano(gateway)) != billed_nano(gateway):
        assert time.monotonic() < returned_at + gateway.within_s(RETURN_S), (
            spent,
            billed_nano(gateway),
            "".join(gateway.stderr),
        )
        await asyncio.sleep(0.1)
    after_s = time.monotonic() - returned_at
    await limits.spend_to_the_limit(gateway)
    print(
        f"{len(statuses)} requests, none failed; all {spent} nano-dollars in the store {after_s:.1f} s after its return"
    )


async def store_is_away(gateway: Gateway, for_s: float) -> None:
    """Wait for `for_s`, and until control reports the fault. Control detects it at its next access to the store."""
    await asyncio.sleep(for_s)
    async with asyncio.timeout(PATIENCE_S):
        while (await gateway.admin("/readyz")).json["status"] != "degraded":
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def governed(**sections: Any) -> AsyncIterator[Gateway]:
    shared = limits.background(
        {"alpha": settings(output_tokens=5.0, kept_requests=100)},
        {"chat": ["alpha/gpt-4o-mini"]},
        {"me": {"budgets": usd(1000), "rate_limits": [{"requests": 100_000, "per": "minute"}]}},
        "alpha/gpt-4o-mini",
    )
    async with serving(**shared, as_process=True, is_alone=False, **sections) as gateway:
        yield gateway


def data_of(gateway: Gateway) -> Path:
    return gateway.config_file.parent / "data"


async def exclusive_lock(gateway: Gateway, for_s: float) -> None:
    connection = sqlite3.connect(data_of(gateway) / "pointsman.db", isolation_level=None)
    connection.execute("PRAGMA busy_timeout=60000")
    connection.execute("BEGIN EXCLUSIVE")
    await store_is_away(gateway, for_s)
    connection.execute("ROLLBACK")
    connection.close()


async def no_space(gateway: Gateway, for_s: float) -> None:
    """Limit the size of files that control writes, as if the disk were full."""
    pid = gateway.children["control"]
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    await store_is_away(gateway, for_s)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


async def corrupt_wal(gateway: Gateway, for_s: float) -> None:
    """Overwrite the database's write-ahead log and kill the processes that use it, as a power failure would."""
    pid = gateway.children["control"]
    freeze(pid)
    os.kill(gateway.children["admin"], signal.SIGKILL)
    wal = data_of(gateway) / "pointsman.db-wal"
    with wal.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(min(size, 32))
        file.write(os.urandom(max(0, size - 32)))
    os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(for_s)


async def control_stopped(gateway: Gateway, for_s: float) -> None:
    pid = gateway.children["control"]
    freeze(pid)
    await asyncio.sleep(for_s)
    os.kill(pid, signal.SIGCONT)


async def control_killed(gateway: Gateway, for_s: float) -> None:
    """Kill control repeatedly, also while it starts."""
    ends_at = time.monotonic() + for_s
    while time.monotonic() < ends_at:
        with contextlib.suppress(KeyError):  # control has not started yet
            os.kill(gateway.children["control"], signal.SIGKILL)
        await asyncio.sleep(2)


async def each(faults: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run several gateways in parallel, because they mostly wait."""
    async with asyncio.TaskGroup() as group:
        for fault in faults:
            group.create_task(fault)


@pytest.mark.parametrize("for_s", LENGTHS)
def test_sqlite_faults_lose_no_charge(for_s: float) -> None:
    async def run_with(fault: Fault) -> None:
        async with governed() as gateway:
            await withstand(gateway, fault, for_s)

    run(each(map(run_with, (exclusive_lock, no_space))))


@pytest.mark.parametrize("for_s", LENGTHS)
def test_deaths_of_control_lose_no_charge(for_s: float) -> None:
    async def run_with(fault: Fault) -> None:
        async with governed() as gateway:
            await withstand(gateway, fault, for_s)

    run(each(map(run_with, (corrupt_wal, control_stopped, control_killed))))


@contextlib.asynccontextmanager
async def database_behind_proxy() -> AsyncIterator[tuple[str, Proxy, str]]:
    """Yield the address of a database, a proxy to it, and the address through the proxy."""
    async with database() as url:
        parts = urlsplit(url)
        proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
        await proxy.start()
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        try:
            yield url, proxy, urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}"))
        finally:
            await proxy.stop()


@pytest.mark.parametrize("for_s", LENGTHS)
@pytest.mark.parametrize("kinds", [("reset", "frozen"), ("refusing", "read_only")])
def test_postgresql_faults_lose_no_charge(kinds: tuple[str, ...], for_s: float) -> None:
    async def run_with(kind: str) -> None:
        async with database_behind_proxy() as (url, proxy, proxied_url):

            async def fault(gateway: Gateway, seconds: float) -> None:
                name = urlsplit(url).path.strip("/")
                if kind == "frozen":
                    proxy.freeze()
                elif kind == "reset":
                    proxy.reset()
                elif kind == "refusing":
                    proxy.refuse()
                else:
                    await execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
                    proxy.cut()
                await store_is_away(gateway, seconds)
                if kind == "read_only":
                    await execute(url, "SET default_transaction_read_only = off", f"ALTER DATABASE {name} RESET ALL")
                    proxy.cut()
                await proxy.restore()

            async with governed(store={"url": "env.TEST_STORE"}, environ={"TEST_STORE": proxied_url}) as gateway:
                await withstand(gateway, fault, for_s)

    run(each(map(run_with, kinds)))


@pytest.mark.slow
def test_control_process_ends_with_a_frozen_database() -> None:
    """No other process kills the control process, and its successor waits for its end."""

    async def main() -> None:
        async with (
            database_behind_proxy() as (_, proxy, proxied_url),
            governed(store={"url": "env.TEST_STORE"}, environ={"TEST_STORE": proxied_url}) as gateway,
        ):
            assert gateway.process is not None
            assert await load(gateway, 1) == [200] * RATE
            proxy.freeze()
            assert await load(gateway, 1) == [200] * RATE
            control = Path(f"/proc/{gateway.children['control']}")
            gateway.process.kill()
            await gateway.process.wait()
            await until(lambda: not control.exists(), "control has ended")
            await proxy.restore()
            await gateway.start()
            async with asyncio.timeout(gateway.within_s(RETURN_S)):
                while await spent_nano(gateway) != billed_nano(gateway):
                    await asyncio.sleep(0.1)

    run(main())


@pytest.mark.parametrize("for_s", LENGTHS)
def test_stopped_postgresql_loses_no_charge(for_s: float) -> None:
    async def main(server: Server) -> None:
        async def fault(gateway: Gateway, seconds: float) -> None:
            await asyncio.to_thread(server.stop)
            await store_is_away(gateway, seconds)
            await asyncio.to_thread(server.start)

        async with governed(store={"url": "env.TEST_STORE"}, environ={"TEST_STORE": server.url}) as gateway:
            await withstand(gateway, fault, for_s)

    with own_server() as server:
        run(main(server))


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
