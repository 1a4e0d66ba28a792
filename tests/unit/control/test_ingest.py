"""From journals into the store: once, in order, whatever breaks in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from fakes.clock import PATIENCE_S, SOON_S, pace
from fakes.control import DAY_COUNTER, scope, write_request
from integration.databases import database
from integration.gateway import run
from pointsman.control import ingest as module
from pointsman.control.ingest import Ingest
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.store import Batch, Rows, Store
from pointsman.domain.leases import Share
from pointsman.domain.limits import Level, Limit, Metric, Period
from pointsman.journal.records import Outcome, Scope
from pointsman.journal.segments import segment_path
from pointsman.journal.writer import JournalWriter
from pointsman.routing.leases import LeaseBook

ALL = Rows(0, 1e11)


class Books:
    """An ingestion over a folder, with the store and the book it fills."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url
        self.retired: list[list[tuple[int, Share]]] = []
        self.book = LeaseBook(1)
        limit = Limit(Level.VIRTUAL_KEY, "virtual_key:me", Metric.USD, Period("day"), 1000)
        self.book.configure({limit.counter: limit})
        self.ingest = Ingest(folder / "journal", self.book, self._open, self.retired.append)
        self.failures = 0  # how often the store cannot be opened

    async def _open(self) -> Store:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreError("it is not there")
        return await Store.open(store_url(self.url, self.folder))

    async def read(self) -> None:
        while not await self.ingest.step():
            pass

    async def total(self) -> Any:
        assert self.ingest.store is not None
        (row,) = await self.ingest.store.usage([], {}, ALL)
        return row["nano"]

    @property
    def posted(self) -> int:
        return sum(one.posted for one in self.book.status() if one.counter == DAY_COUNTER)


def writer_in(folder: Path, epoch: int = 1, **how: Any) -> JournalWriter:
    return JournalWriter(folder / "journal", 0, epoch, segment_bytes=how.pop("segment_bytes", 1 << 20), **how)


def test_everything_is_read_once_over_any_number_of_starts(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)

    async def main() -> None:
        for start in range(4):
            books = Books(tmp_path)
            await books.read()
            for number in range(25):
                write_request(writer, start * 25 + number, time.time())
            await books.read()
            assert await books.total() == (start + 1) * 25 * 70
            assert books.posted == (start + 1) * 25 * 70, "restored from the store, then told"
            await books.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_a_request_that_is_open_over_a_restart_is_charged_once(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    now = time.time()

    async def main() -> None:
        of = scope()
        writer.intent(of, "00000000-open", 1, now, 1000, 10)
        first = Books(tmp_path)
        await first.read()
        await first.ingest.finish(PATIENCE_S)
        writer.outcome(of, Outcome(of.number, "00000000-open", 1, now, 33, 1, 1, 0, 0, "ok", "reported"))
        second = Books(tmp_path)
        await second.read()
        assert await second.total() == 33
        assert second.posted == 33
        await second.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_the_journal_of_a_dead_worker_is_closed_and_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    writer = writer_in(tmp_path)

    async def main() -> None:
        books = Books(tmp_path)
        writer.intent(scope(), "00000000-open", 1, time.time(), 1000, 10)
        await books.read()
        assert books.retired == []
        assert books.ingest.open_epochs() == {1}
        writer.close()
        await books.read()
        assert await books.total() == 1000
        assert len(books.retired) == 1
        assert books.ingest.open_epochs() == set()
        await books.read()
        assert list((tmp_path / "journal").iterdir()) == []
        await books.ingest.finish(PATIENCE_S)

    run(main())


def test_while_the_store_fails_nothing_is_lost_or_doubled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_in(tmp_path)

    async def main() -> None:
        books = Books(tmp_path)
        await books.read()
        store = books.ingest.store
        assert store is not None
        commit = store.commit

        async def after_commit(batch: Batch) -> None:
            await commit(batch)
            raise StoreError("the answer was lost")

        for number in range(10):
            write_request(writer, number, time.time())
            if number % 3 == 0:
                store.commit = after_commit  # type: ignore[method-assign]
                await books.ingest.step()
                assert books.ingest.state.problem == "the answer was lost"
                store.commit = commit  # type: ignore[method-assign]
            await books.read()
            assert books.ingest.state.problem is None
        assert await books.total() == 700
        assert books.posted == 700
        assert caplog.text.count("stays in the journal") == caplog.text.count("the store works again") == 4
        await books.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_the_end_of_a_worker_is_told_though_the_answer_of_the_store_was_lost(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)

    async def main() -> None:
        books = Books(tmp_path)
        await books.read()
        store = books.ingest.store
        assert store is not None
        commit = store.commit

        async def after_commit(batch: Batch) -> None:
            await commit(batch)
            raise StoreError("the answer was lost")

        write_request(writer, 1, time.time())
        writer.close()
        store.commit = after_commit  # type: ignore[method-assign]
        await books.ingest.step()
        assert books.retired == []
        store.commit = commit  # type: ignore[method-assign]
        await books.read()
        assert len(books.retired) == 1
        assert books.posted == await books.total() == 70
        await books.read()
        assert len(books.retired) == 1
        await books.ingest.finish(PATIENCE_S)

    run(main())


def test_a_store_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        books = Books(tmp_path)
        books.failures = 2
        reading = asyncio.create_task(books.ingest.run())
        async with asyncio.timeout(10):
            await books.ingest.is_ready.wait()
            await books.ingest.finish(PATIENCE_S)
            await reading
        assert books.ingest.state.problem is None

    run(main())


def test_segments_that_are_safe_are_deleted_and_the_backlog_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    writer = writer_in(tmp_path, segment_bytes=1 << 16)

    async def main() -> None:
        books = Books(tmp_path)
        await books.read()
        for number in range(600):
            write_request(writer, number, time.time())
            while writer.dropped or (number % 20 == 0 and writer._next is None):
                await asyncio.sleep(0.001)
        assert books.ingest.backlog_bytes() > 1 << 17
        await books.read()
        await books.read()
        assert books.ingest.backlog_bytes() <= 1 << 16
        assert not segment_path(writer.folder, 0).exists()
        assert await books.total() == 600 * 70
        await books.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_a_journal_that_cannot_be_read_is_told_once_and_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    other = tmp_path / "journal" / "001-00000000000000000009"
    other.mkdir(parents=True)
    segment_path(other, 0).write_bytes(b"not a segment" * 100)
    writer = writer_in(tmp_path)

    async def main() -> None:
        books = Books(tmp_path)
        write_request(writer, 1, time.time())
        await books.read()
        await books.read()
        assert await books.total() == 70
        assert books.ingest.state.damage == 2, "its header, and what follows"
        assert caplog.text.count(f"the header of {segment_path(other, 0)} is damaged") == 1
        async with asyncio.timeout(SOON_S):
            await books.ingest.finish(PATIENCE_S)
        kept = other.with_name(f"damaged-{other.name}")
        assert segment_path(kept, 0).read_bytes().startswith(b"not a segment")

    run(main())
    writer.close()


def test_others_have_their_turn_while_much_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = writer_in(tmp_path, segment_bytes=1 << 23)
    for number in range(2000):
        write_request(writer, number, time.time())

    async def main() -> None:
        books = Books(tmp_path)
        await books.ingest.step()  # opens the store
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        await books.read()
        assert turns > 6000 / module.MAX_RECORDS
        beside.cancel()
        await books.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_the_book_is_ready_once_all_that_the_dead_have_spent_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 30)
    monkeypatch.setattr(module, "MAX_RECORDS", 30)
    dead, alive = writer_in(tmp_path, epoch=1), writer_in(tmp_path, epoch=2)
    for number in range(100):
        write_request(dead, number, time.time())
        write_request(alive, 1000 + number, time.time())
    dead.close()

    async def main() -> None:
        books = Books(tmp_path)
        steps = 0
        while books.posted < 100 * 70 or not books.retired:
            await books.ingest.step()
            steps += 1
            assert books.ingest.is_ready.is_set() == bool(books.retired)
        assert steps > 5
        assert books.ingest.is_ready.is_set(), "what the living hold, they say"
        await books.ingest.finish(PATIENCE_S)

    run(main())
    alive.close()


def test_counters_are_rebuilt_soon(tmp_path: Path) -> None:
    dead = writer_in(tmp_path, segment_bytes=1 << 26)
    for number in range(10_000):
        write_request(dead, number, time.time())
    dead.close()

    async def main() -> float:
        books = Books(tmp_path)
        reading = asyncio.create_task(books.ingest.run())
        began = time.process_time()  # of all threads; others use this machine too
        await books.ingest.is_ready.wait()
        took_s = time.process_time() - began
        assert books.posted == 10_000 * 70
        await books.ingest.finish(PATIENCE_S)
        await reading
        return took_s

    assert run(main()) < 5 * pace()


def test_the_end_waits_for_a_commit_that_is_under_way(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)

    async def main() -> None:
        books = Books(tmp_path)
        reading = asyncio.create_task(books.ingest.run())
        await books.ingest.is_ready.wait()
        for number in range(50):
            write_request(writer, number, time.time())
            await asyncio.sleep(0)
        await books.ingest.finish(PATIENCE_S)
        await reading
        again = Books(tmp_path)
        await again.read()
        assert await again.total() == 50 * 70
        assert again.ingest.state.records == 0, "all had been read"
        await again.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_while_nothing_is_written_the_disk_is_left_in_peace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_S", 0.0)
    checkpoints = 0
    checkpoint = Store.checkpoint

    async def counting(store: Store) -> bool:
        nonlocal checkpoints
        checkpoints += 1
        return await checkpoint(store)

    monkeypatch.setattr(Store, "checkpoint", counting)
    writer = writer_in(tmp_path)

    async def main() -> None:
        books = Books(tmp_path)
        await books.read()
        for number in range(3):
            before = checkpoints
            write_request(writer, number, time.time())
            await books.read()
            for _ in range(3):
                await books.read()
            assert checkpoints == before + 1
        await books.ingest.finish(PATIENCE_S)

    run(main())
    writer.close()


def test_scopes_of_configurations_that_are_over_are_not_kept(tmp_path: Path) -> None:
    """After each reload a worker uses new numbers; what it used before is told once more in no segment."""
    writer = writer_in(tmp_path, segment_bytes=1 << 14)

    async def main() -> None:
        books = Books(tmp_path)
        await books.read()
        for number in range(200):
            while writer._next is None:
                await asyncio.sleep(0.001)
            write_request(writer, number, time.time(), scope(number))
            if number % 10 == 0:
                await books.read()
        await books.read()
        assert await books.total() == 200 * 70
        (journal,) = books.ingest._journals.values()
        known = [*vars(journal).values(), *vars(journal.reader).values()]
        scopes = [one for found in known if isinstance(found, dict) for one in found.values() if type(one) is Scope]
        assert 0 < len(scopes) < 50, "those of one segment"
        await books.ingest.finish(5)

    run(main())
    writer.close()


STORES = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
TOO_MUCH = 1 << 63


@asynccontextmanager
async def address(kind: str) -> AsyncIterator[str | None]:
    if kind == "sqlite":
        yield None
    else:
        async with database() as url:
            yield url


def on_store(kind: str, test: Callable[[str | None], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with address(kind) as url:
            await test(url)

    run(main())


def attempt(writer: JournalWriter, name: str, at: float, nano: int, tokens: int = 1) -> None:
    of = scope()
    writer.intent(of, name, 1, at, 1000, 100)
    writer.outcome(of, Outcome(of.number, name, 1, at, nano, tokens, 0, 0, 0, "ok", "reported"))


# What a store may refuse, or nothing can be made of: how it is written, and what of it is charged all the same.
BAD: dict[str, tuple[Callable[[JournalWriter], None], int]] = {
    "an amount that no store has room for": (lambda writer: attempt(writer, "a", time.time(), TOO_MUCH), 0),
    "tokens that no store has room for": (lambda writer: attempt(writer, "a", time.time(), 33, TOO_MUCH), 33),
    "a moment that no calendar has": (lambda writer: attempt(writer, "a", 1e300, 33), 0),
    "no moment": (lambda writer: attempt(writer, "a", float("nan"), 33), 0),
    "a line that is no JSON": (lambda writer: writer.request(b"{"), 0),
    "a line that is no text": (lambda writer: writer.request(b'{"request_id": "\xff", "time": 1.0, "status": 200}'), 0),
    "a line with too much": (
        lambda writer: writer.request(b'{"request_id": "a", "time": 1.0, "status": 200, "cost_nano": %d}' % TOO_MUCH),
        0,
    ),
    "a line from an age to come": (
        lambda writer: writer.request(b'{"request_id": "a", "time": 1e300, "status": 200, "tags": {"a": "b"}}'),
        0,
    ),
}


async def posted_of(store: Store) -> int:
    return sum(amount for counter, _, _, amount in await store.counters(time.time()) if counter == DAY_COUNTER)


@STORES
@pytest.mark.parametrize("name", BAD)
def test_a_record_that_cannot_be_taken_is_set_aside_and_stops_no_other(
    name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_bad, charged = BAD[name]

    async def test(url: str | None) -> None:
        writer, other = writer_in(tmp_path, epoch=1), writer_in(tmp_path, epoch=2)
        for number in range(10):
            write_request(writer, number, time.time())
            write_request(other, 100 + number, time.time())
            if number == 4:
                write_bad(writer)
        books = Books(tmp_path, url)
        await books.read()
        store = books.ingest.store
        assert store is not None
        assert books.ingest.state.problem is None
        assert books.ingest.state.refused == await store.refused() == 1
        assert books.posted == await posted_of(store) == 20 * 70 + charged
        assert await books.total() == 20 * 70
        assert len({row["request_id"] for row in await store.requests({}, 100)} - {"a"}) == 20
        assert caplog.text.count("a record is set aside in the table refused, epoch 1, segment 0, byte") == 1
        write_request(writer, 50, time.time())
        await books.read()
        assert books.posted == await posted_of(store) == 21 * 70 + charged
        await books.ingest.finish(5)
        again = Books(tmp_path, url)
        await again.read()
        assert (again.posted, again.ingest.state.refused) == (21 * 70 + charged, 1)
        await again.ingest.finish(5)
        for one in (writer, other):
            one.close()

    on_store(kind, test)


@STORES
def test_many_records_that_cannot_be_taken_are_set_aside_in_many_transactions(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 40)
    monkeypatch.setattr(module, "MAX_RECORDS", 7)
    monkeypatch.setattr(module, "MAX_CAREFUL", 7)

    async def test(url: str | None) -> None:
        writers, now = [writer_in(tmp_path, epoch=epoch) for epoch in (1, 2)], time.time()
        for number in range(60):
            for epoch, writer in enumerate(writers):
                write_request(writer, 100 * epoch + number, now)
            if number % 3 == 0:
                attempt(writers[0], f"bad-{number}", now, 1, TOO_MUCH)
        books = Books(tmp_path, url)
        await books.read()
        store = books.ingest.store
        assert store is not None
        assert books.ingest.state.problem is None
        assert books.ingest.state.refused == await store.refused() == 20
        assert books.posted == await posted_of(store) == 120 * 70 + 20
        assert await books.total() == 120 * 70
        await books.ingest.finish(5)
        for writer in writers:
            writer.close()

    on_store(kind, test)


@STORES
def test_what_a_dead_worker_left_open_and_nobody_takes_is_set_aside_too(kind: str, tmp_path: Path) -> None:
    async def test(url: str | None) -> None:
        writer, now = writer_in(tmp_path), time.time()
        for number, nano in enumerate((1000, TOO_MUCH, 2000)):
            writer.intent(scope(), f"00000000-open-{number}", 1, now, nano, 10)
        writer.intent(scope(), "00000000-open-never", 1, 1e300, 1, 10)
        writer.close()
        books = Books(tmp_path, url)
        await books.read()
        store = books.ingest.store
        assert store is not None
        assert len(books.retired) == 1
        assert books.ingest.is_ready.is_set()
        assert books.ingest.state.refused == 2
        assert books.posted == await posted_of(store) == await books.total() == 3000
        await books.ingest.finish(5)

    on_store(kind, test)


@STORES
def test_each_thing_is_counted_once_whenever_control_is_killed(kind: str, tmp_path: Path) -> None:
    """A store that breaks in the middle of what is written record by record, and another control that begins anew."""
    write = Store._write
    left = 0

    async def breaking(store: Store, connection: AsyncConnection, batch: Batch) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionResetError("it is gone")
        await write(store, connection, batch)

    async def test(url: str | None) -> None:
        nonlocal left
        writer, round_, breaks = writer_in(tmp_path), 0, 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "_write", breaking)
            while breaks:
                for number in range(4):
                    write_request(writer, 10 * round_ + number, time.time())
                    if number == 2:
                        attempt(writer, f"bad-{round_}", time.time(), 33, TOO_MUCH)
                left, breaks = round_, 0
                round_ += 1
                while True:
                    books = Books(tmp_path, url)
                    while not await books.ingest.step():
                        pass
                    store = books.ingest.store
                    assert store is not None
                    if books.ingest.state.problem is None:
                        break
                    breaks += 1
                    left = 10_000
                    await store.close()
                assert books.posted == await posted_of(store) == round_ * (4 * 70 + 33)
                assert await books.total() == round_ * 4 * 70
                assert books.ingest.state.refused == round_
                await books.ingest.finish(5)
        assert round_ > 10
        writer.close()

    on_store(kind, test)


@STORES
def test_a_lost_answer_to_what_was_written_record_by_record_changes_nothing(kind: str, tmp_path: Path) -> None:
    async def test(url: str | None) -> None:
        writer, books = writer_in(tmp_path), Books(tmp_path, url)
        await books.read()
        store = books.ingest.store
        assert store is not None
        commit = store.commit_pieces

        async def after_commit(*what: Any) -> Any:
            await commit(*what)
            store.commit_pieces = commit  # type: ignore[method-assign]
            raise StoreError("the answer was lost")

        store.commit_pieces = after_commit  # type: ignore[method-assign, assignment]
        write_request(writer, 1, time.time())
        attempt(writer, "bad", time.time(), 33, TOO_MUCH)
        await books.ingest.step()
        await books.ingest.step()
        assert books.ingest.state.problem == "the answer was lost"
        await books.read()
        write_request(writer, 2, time.time())
        await books.read()
        assert books.posted == await posted_of(store) == 2 * 70 + 33
        assert books.ingest.state.refused == 1
        await books.ingest.finish(5)
        writer.close()

    on_store(kind, test)
