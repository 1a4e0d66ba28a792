"""The orders of operators: in the store, and at the workers."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from time import time

import pytest

from fakes.audit import audited_call
from pointsman.control import holds as module
from pointsman.control.holds import HoldBook
from pointsman.control.store.database import StoreError
from pointsman.control.store.store import Store
from pointsman.domain.holds import Hold
from unit.control.store.test_store import STORES, on_store


class Workers:
    def __init__(self, store: Store | None) -> None:
        self.store = store
        self.sent: list[list[str]] = []
        self.book = HoldBook(lambda: self.store, self.send)
        self.call = audited_call(Path(mkdtemp()))

    def send(self, holds: Sequence[Hold]) -> None:
        self.sent.append([one.name for one in holds])


@STORES
def test_orders_survive_a_restart_and_end_with_their_release(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        first = Workers(store)
        await first.book.load(store)
        forever = Hold("alpha", reason="maintenance", at=time())
        short = Hold("beta/m", "in", at=time(), until=time() + 3600)
        await first.book.place(forever, first.call)
        await first.book.place(short, first.call)
        second = Workers(store)
        assert second.book.present() is None, "nothing is known before the store was read"
        await second.book.load(store)
        assert second.book.present() == [forever, short]
        assert await second.book.release("alpha", second.call)
        assert not await second.book.release("alpha", second.call)
        assert await store.holds(time()) == [short]
        assert first.sent == [[], ["alpha"], ["alpha", "beta/m"]]
        assert second.sent == [["alpha", "beta/m"], ["beta/m"]]

    on_store(kind, tmp_path, check)


@STORES
def test_new_order_replaces_an_earlier_one(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        workers = Workers(store)
        await workers.book.load(store)
        await workers.book.place(Hold("alpha", at=time()), workers.call)
        forced = Hold("alpha", "in", at=time(), until=time() + 60)
        await workers.book.place(forced, workers.call)
        assert workers.book.present() == await store.holds(time()) == [forced]

    on_store(kind, tmp_path, check)


@STORES
def test_ended_orders_are_gone(kind: str, tmp_path: Path) -> None:
    async def check(store: Store) -> None:
        workers = Workers(store)
        await workers.book.load(store)
        await workers.book.place(Hold("alpha", at=time() - 10, until=time() - 1), workers.call)
        assert workers.book.present() == []
        assert not await workers.book.release("alpha", workers.call)
        await workers.book.place(Hold("alpha", at=time() - 10, until=time() - 1), workers.call)
        await workers.book.place(Hold("beta", at=time()), workers.call)
        assert [one.name for one in await store.holds(0.0)] == ["beta"]

    on_store(kind, tmp_path, check)


def test_order_that_cannot_be_stored_does_not_come_into_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(store: Store) -> None:
        workers = Workers(None)
        with pytest.raises(StoreError):
            await workers.book.place(Hold("alpha"), workers.call)
        workers.store = store
        with pytest.raises(StoreError):
            await workers.book.place(Hold("alpha"), workers.call)
        await workers.book.load(store)
        monkeypatch.setattr(module, "MAX_HOLDS", 1)
        await workers.book.place(Hold("alpha"), workers.call)
        assert not await workers.book.place(Hold("beta"), workers.call)
        assert workers.sent == [[], ["alpha"]]
        await workers.book.place(Hold("alpha", until=time() - 1), workers.call)
        assert await workers.book.place(Hold("beta"), workers.call)  # the other one is over

    on_store("sqlite", tmp_path, check)
