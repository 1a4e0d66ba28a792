"""One gateway at a time keeps its books in a store."""

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
    """As if the owner had not written for so long."""
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE owner SET beat = beat - $1", seconds)
    await connection.close()


def with_database(test: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with database() as url:
            await test(url)

    run(main())


def test_a_second_gateway_is_refused_in_words_and_the_first_may_come_again() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await store.commit(BATCH)
            with pytest.raises(InUseError, match=r"another gateway \(on host a\).* wrote to it 0 s ago; .* stop the other one"):
                async with opened(url, OTHER):
                    pass
            async with opened(url, ONE) as again:
                await again.commit(BATCH)
                with pytest.raises(InUseError):
                    await store.commit(BATCH)

    with_database(test)


def test_a_store_whose_owner_is_silent_is_free_and_the_owner_writes_no_more() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await pass_time(url, STALE_S + 1)
            async with opened(url, OTHER) as other:
                await other.commit(BATCH)
                for writing in (store.commit(BATCH), store.beat(), store.prune(1e10)):
                    with pytest.raises(InUseError, match="on host b"):
                        await writing
                await store.counters(0.0)  # to read does no harm
                assert (await other.journals()).keys() == BATCH.journals.keys()

    with_database(test)


def test_a_beat_keeps_a_store() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE) as store:
            await pass_time(url, STALE_S + 1)
            await store.beat()
            with pytest.raises(InUseError):
                async with opened(url, OTHER):
                    pass

    with_database(test)


def test_of_many_that_want_a_free_store_one_gets_it() -> None:
    async def test(url: str) -> None:
        async with opened(url, ONE):
            pass
        await pass_time(url, STALE_S + 1)

        async def want(number: int) -> bool:
            try:
                async with opened(url, Gateway(str(number), "somewhere")) as store:
                    await store.commit(BATCH)
                    await asyncio.sleep(0.2)
                    await store.commit(BATCH)
            except InUseError:
                return False
            return True

        assert sum(await asyncio.gather(*map(want, range(6)))) == 1

    with_database(test)


def test_a_transaction_of_the_owners_is_whole_before_another_takes_the_store() -> None:
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


def test_a_data_folder_is_one_gateway_and_its_copy_another(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    folder.mkdir()
    made = gateway_of(folder)
    assert gateway_of(folder) == made
    assert str(folder) in made.place
    shutil.copytree(folder, copy)
    assert gateway_of(copy).name != made.name


def test_a_store_in_sqlite_needs_no_owner(tmp_path: Path) -> None:
    async def main() -> None:
        for gateway in (ONE, OTHER):
            store = await Store.open(store_url(None, tmp_path), gateway)
            await store.commit(BATCH)
            await store.beat()
            await store.close()

    run(main())
