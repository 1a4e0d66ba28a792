"""Two gateways on one database would each allow the whole of every limit, so the second one is rejected."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import asyncpg
import pytest

from fakes.clock import PATIENCE_S
from fakes.processes import freeze
from integration import kills, limits
from integration.databases import database, pooler
from integration.gateway import Gateway, run, serving
from integration.governance import bearer, governance
from pointsman.control.store.ownership import STALE_S

IN_USE = "another gateway .* uses this database and wrote to it .* ago"


@contextlib.asynccontextmanager
async def on(url: str) -> AsyncIterator[Gateway]:
    """Return a gateway with this store."""
    async with serving(
        providers=limits.provider(),
        models=limits.MODEL,
        governance=governance(limits.KEY),
        pricing={"overrides": [limits.PRICE]},
        server={"workers": kills.WORKERS},
        store={"url": "env.TEST_STORE"},
        environ={"TEST_STORE": url},
        as_process=True,
        is_alone=False,
    ) as gateway:
        yield gateway


async def owner(url: str, ago_s: float = 0.0) -> tuple[int, str]:
    """Return the epoch and the place of a database's owner, after moving its last write into the past."""
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow("UPDATE owner SET beat = beat - $1 RETURNING epoch, place", ago_s)
    await connection.close()
    assert row is not None
    return row["epoch"], row["place"]


async def is_refused(url: str) -> None:
    """Check that another gateway does not start there, and reports the reason."""
    with pytest.raises(AssertionError, match=IN_USE):
        async with on(url):
            pass


async def kill_all(gateway: Gateway) -> None:
    assert gateway.process is not None
    children = gateway.children
    gateway.process.kill()
    for pid in children.values():
        os.kill(pid, signal.SIGKILL)
    await gateway.process.wait()


async def is_in_the_store(gateway: Gateway) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            rows = (await gateway.admin("/api/v1/usage")).json["rows"]
            if sum(row["cost_nano"] for row in rows) == limits.billed(gateway):
                return
            await asyncio.sleep(0.05)


def test_second_gateway_is_rejected_also_during_an_upgrade_of_the_first() -> None:
    async def main() -> None:
        async with database() as url, on(url) as gateway:
            await limits.spend(gateway, 0.3)
            await is_refused(url)
            epoch, place = await owner(url)
            assert str(gateway.config_file.parent) in place
            await kills.upgrade(gateway)
            os.kill(gateway.children["control"], signal.SIGKILL)
            await kills.wait_for_recovery(gateway)
            assert await owner(url) == (epoch + 2, place)
            await limits.spend_to_the_limit(gateway)

    run(main())


def test_database_is_free_soon_after_its_gateway_was_killed() -> None:
    """The next gateway knows the spending, and the first one is rejected when it restarts."""

    async def main() -> None:
        async with database() as url, on(url) as first:
            await limits.spend(first, 0.6)
            await is_in_the_store(first)
            await kill_all(first)
            began_at = monotonic()
            async with on(url) as second:
                took_s = monotonic() - began_at
                assert took_s < STALE_S + second.within_s(5), took_s
                with pytest.raises(AssertionError, match=IN_USE):
                    await first.start()
                await limits.spend_to_the_limit(second, limits.billed(first))

    run(main())


@pytest.mark.slow
def test_gateway_that_lost_its_database_stops_writing_and_leasing() -> None:
    async def main() -> None:
        async with database() as url, on(url) as first:
            await limits.spend(first, 0.3)
            await is_in_the_store(first)
            control = first.children["control"]
            freeze(control)
            await owner(url, ago_s=STALE_S + 1)
            async with on(url) as second:
                await limits.spend(second, 0.3)
                epoch = await owner(url)
                os.kill(control, signal.SIGCONT)
                health: dict[str, Any] = {}
                async with asyncio.timeout(PATIENCE_S):
                    while "another gateway" not in health.get("store", ""):
                        health = (await first.admin("/readyz")).json
                        await asyncio.sleep(0.05)
                refused = ""
                async with asyncio.timeout(PATIENCE_S):  # after its leases are used up
                    while "the store is in use by another gateway" not in refused:
                        answer = await first.ask(limits.body(), headers=bearer(limits.LIMITED_KEY))
                        refused = answer.body.decode() if answer.status == 503 else ""
                assert await owner(url) == epoch
            await owner(url, ago_s=STALE_S + 1)
            await kills.wait_for_recovery(first)
            answer = await first.ask(limits.body(), headers=bearer(limits.LIMITED_KEY))
            assert answer.status in (200, 402)

    run(main())


@pytest.mark.slow
def test_ownership_works_behind_a_pooler() -> None:
    """Transactions alternate between two sessions of the database."""

    async def main() -> None:
        async with database() as url, pooler(url) as through, on(through) as gateway:
            await limits.spend(gateway, 0.3)
            await is_refused(url)
            os.kill(gateway.children["control"], signal.SIGKILL)
            os.kill(gateway.children["worker 0"], signal.SIGKILL)
            await kills.wait_for_recovery(gateway)
            await limits.spend_to_the_limit(gateway)

    run(main())
