"""A store has one owning gateway at a time."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from integration.databases import database
from integration.gateway import run
from pointsman.control.store.database import store_url
from pointsman.control.store.ownership import STALE_S, Gateway, InUseError, gateway_of
from pointsman.control.store.store import Batch, JournalState, Store
from pointsman.journal.reader import Position

ONE, OTHER = Gateway("one", "on host a"), Gateway("other", "on host b")
BATCH = Batch(journals={"000-1": JournalState(Position(1, 2), Position(1, 2))})


@asynccontextmanager
async def opened(url: str, gateway: Gateway | None) -> AsyncIterator[Store]:
    store = await Store.open(store_url(url, Path("/nowhere")), gateway)
    try:
        yield store
    finally:
        await store.close()


async def pass_time(url: str, seconds: float) -> None:
    """Date the owner's last write back by this time."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE owner SET beat = beat - $1", seconds)
    await connection.close()


def with_database(test: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with database() as url:
            await test(url)

    run(main())


def test_second_gateway_is_rejected_and_the_first_may_reclaim() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await store.commit(BATCH)
            with pytest.raises(
                InUseError, match=r"another gateway \(on host a\).* wrote to it 0 s ago; .* stop the other one"
            ):
                async with opened(url, OTHER):
                    pass
            async with opened(url, ONE) as again:
                await again.commit(BATCH)
                with pytest.raises(InUseError):
                    await store.commit(BATCH)

    with_database(test)


def test_store_of_a_silent_owner_is_claimed_and_the_owner_cannot_write() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await pass_time(url, STALE_S + 1)
            async with opened(url, OTHER) as other:
                await other.commit(BATCH)
                for writing in (store.commit(BATCH), store.beat(), store.prune(1e10)):
                    with pytest.raises(InUseError, match="on host b"):
                        await writing
                await store.counters(0.0)  # reading is allowed
                assert (await other.journals()).keys() == BATCH.journals.keys()

    with_database(test)


def test_heartbeat_keeps_the_ownership() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await pass_time(url, STALE_S + 1)
            await store.beat()
            with pytest.raises(InUseError):
                async with opened(url, OTHER):
                    pass

    with_database(test)


def test_concurrent_claims_of_a_free_store_have_one_winner() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE):
            pass
        await pass_time(url, STALE_S + 1)

        async def is_claimed(number: int) -> bool:
            try:
                async with opened(url, Gateway(str(number), "somewhere")) as store:
                    await store.commit(BATCH)
                    await asyncio.sleep(0.2)
                    await store.commit(BATCH)
            except InUseError:
                return False
            return True

        assert sum(await asyncio.gather(*map(is_claimed, range(6)))) == 1

    with_database(test)


def test_claim_waits_for_a_transaction_of_the_owner() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await pass_time(url, STALE_S + 1)
            async with store._writing():
                taking = asyncio.ensure_future(Store.open(store_url(url, Path("/nowhere")), OTHER))
                await asyncio.sleep(0.3)
                assert not taking.done()
            with pytest.raises(InUseError):
                await taking

    with_database(test)


def test_copy_of_a_data_folder_is_another_gateway(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    folder.mkdir()
    made = gateway_of(folder)
    assert gateway_of(folder) == made
    assert str(folder) in made.place
    shutil.copytree(folder, copy)
    assert gateway_of(copy).name != made.name


def test_sqlite_store_needs_no_owner(tmp_path: Path) -> None:
    async def main() -> None:
        for gateway in (ONE, OTHER):
            store = await Store.open(store_url(None, tmp_path), gateway)
            await store.commit(BATCH)
            await store.beat()
            await store.close()

    run(main())
