"""Stored requests reach the collector once, in order, over its failures and over restarts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.clock import PATIENCE_S
from fakes.collector import FakeCollector, attributes, collecting
from fakes.control import record, request_id
from fakes.export import SETTINGS
from fakes.origin import run
from pointsman.admin import delivery
from pointsman.admin import following as module
from pointsman.admin.delivery_status import DeliveryStatus
from pointsman.admin.export.exporter import status_of
from pointsman.admin.export.outlet import SignalOutlet
from pointsman.admin.export.sender import Sender
from pointsman.admin.export.spans import trace_request
from pointsman.admin.following import Follower
from pointsman.admin.leaving import Gate
from pointsman.control.inquiries.sinks import Conditions
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.reports import Reports
from pointsman.control.store.store import Batch, Store
from pointsman.domain.records import RequestRecord

AT = 1.7e9


class Rig:
    """A store, a collector and a follower of one signal, which can be started again."""

    def __init__(self, store: Store, collector: FakeCollector, folder: Path) -> None:
        self.store = store
        self.collector = collector
        self.folder = folder
        self.status: DeliveryStatus = status_of("traces")
        self._task: asyncio.Task[None] | None = None
        self._sender: Sender | None = None
        self.most_at_once = 0

    async def add(self, *numbers: int) -> None:
        rows = [
            (one, AT, "me", "chat", "openai", 200, 70, record(one, AT), "", 0, 0, "", "", "", "", 0, 7, 0)
            for one in (request_id(number, AT) for number in numbers)
        ]
        await self.store.commit(Batch(requests=rows))

    def _encode(self, records: Iterable[RequestRecord]) -> tuple[bytes, int]:
        listed = list(records)
        self.most_at_once = max(self.most_at_once, len(listed))
        return trace_request(listed, SETTINGS)

    async def start(self) -> None:
        self._sender = Sender(replace(SETTINGS, port=self.collector.port, timeout_s=1.0), "traces")
        outlet = SignalOutlet(self._sender, self._encode)
        gate = Gate(Conditions())
        follower = Follower(self.store, outlet, self.status, self.folder / "p.position", gate=gate)
        self._task = asyncio.create_task(follower.run())

    async def stop(self) -> None:
        assert self._task is not None
        assert self._sender is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._sender.close()

    @property
    def exported(self) -> list[str]:
        """The ids of the requests whose spans arrived, in order."""
        found = [attributes(span).get("pointsman.request.id") for span in self.collector.spans]
        return [one for one in found if one is not None]

    async def until_exported(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.exported) < count:
                await asyncio.sleep(0.01)


def on_rig(folder: Path, monkeypatch: pytest.MonkeyPatch, test: Callable[[Rig], Awaitable[None]]) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.02)
    monkeypatch.setattr(module, "STORE_WAIT_S", 0.02)
    monkeypatch.setattr(delivery, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(delivery, "LONGEST_WAIT_S", 0.1)

    async def main() -> None:
        store = await Store.open(store_url(None, folder))
        with collecting() as collector:
            rig = Rig(store, collector, folder)
            await rig.start()
            try:
                await test(rig)
            finally:
                await rig.stop()
                await store.close()

    run(main())


async def settled(rig: Rig) -> None:
    """Wait until the follower knows its first position."""
    async with asyncio.timeout(PATIENCE_S):
        while not (rig.folder / "p.position").exists():
            await asyncio.sleep(0.01)


def test_requests_are_exported_once_over_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        await rig.add(1, 2, 3)
        await rig.until_exported(3)
        async with asyncio.timeout(PATIENCE_S):
            while rig.status.sent < 6:  # then the position is kept, too
                await asyncio.sleep(0.01)
        await rig.stop()
        await rig.add(5, 4)
        await rig.start()
        await rig.until_exported(5)
        await asyncio.sleep(0.1)
        assert rig.exported == [request_id(number, AT) for number in (1, 2, 3, 5, 4)]
        assert rig.status.sent == 10, "a span for each request and each attempt"
        assert rig.status.lag_s == 0

    on_rig(tmp_path, monkeypatch, test)


def test_requests_before_the_first_start_are_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        await rig.stop()
        (tmp_path / "p.position").unlink()
        await rig.add(1)
        await rig.start()
        await settled(rig)
        await rig.add(2)
        await rig.until_exported(1)
        assert rig.exported == [request_id(2, AT)]

    on_rig(tmp_path, monkeypatch, test)


@pytest.mark.parametrize("mode", ["slow", "html", "garbage", 401, 503])
def test_failing_collector_is_reported_and_gets_everything_later(
    mode: str | int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "SLOW_S", 0.2)

    async def test(rig: Rig) -> None:
        await settled(rig)
        rig.collector.mode = mode
        for first in range(0, 1000, 100):
            await rig.add(*range(first, first + 100))
        async with asyncio.timeout(PATIENCE_S):
            while not rig.status.problem:
                await asyncio.sleep(0.01)
        assert rig.exported == []
        rig.collector.mode = "ok"
        await rig.until_exported(1000)
        assert sorted(rig.exported) == [request_id(number, AT) for number in range(1000)]
        assert rig.most_at_once <= module.AT_ONCE
        await asyncio.sleep(0.05)
        assert rig.status.problem == ""

    on_rig(tmp_path, monkeypatch, test)


def test_dead_collector_is_reported_before_any_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        await rig.stop()
        rig.collector.mode = 503
        await rig.start()
        async with asyncio.timeout(PATIENCE_S):
            while not rig.status.problem:
                await asyncio.sleep(0.01)

    on_rig(tmp_path, monkeypatch, test)


def test_requests_are_kept_for_a_collector_that_is_away_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        await rig.stop()
        (tmp_path / "p.position").unlink()
        rig.collector.mode = 503
        await rig.start()
        await settled(rig)
        await rig.add(1)
        rig.collector.mode = "ok"
        await rig.until_exported(1)

    on_rig(tmp_path, monkeypatch, test)


def test_message_that_is_too_large_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        rig.collector.most = 5000
        await rig.add(*range(100))
        await rig.until_exported(100)
        assert len(set(rig.exported)) == len(rig.exported) == 100
        assert rig.status.rejected == 0

    on_rig(tmp_path, monkeypatch, test)


def test_message_that_is_rejected_is_counted_and_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        rig.collector.mode = 400
        await rig.add(1)
        async with asyncio.timeout(PATIENCE_S):
            while not rig.status.rejected:
                await asyncio.sleep(0.01)
        rig.collector.mode = "ok"
        await rig.add(2)
        await rig.until_exported(1)
        assert (rig.exported, rig.status.rejected) == ([request_id(2, AT)], 2)

    on_rig(tmp_path, monkeypatch, test)


def test_store_that_is_away_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        with monkeypatch.context() as patch:

            async def fail(*_: object) -> None:
                raise StoreError("it is away")

            patch.setattr(Reports, "stored_after", fail)
            async with asyncio.timeout(PATIENCE_S):
                while "it is away" not in rig.status.problem:
                    await asyncio.sleep(0.01)
        await rig.add(1)
        await rig.until_exported(1)

    on_rig(tmp_path, monkeypatch, test)


def test_position_that_cannot_be_written_is_reported_and_ends_no_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(rig: Rig) -> None:
        await settled(rig)
        blocked = rig.folder / "p.new"
        blocked.mkdir()
        await rig.add(1)
        async with asyncio.timeout(PATIENCE_S):
            while "p.position cannot be written" not in rig.status.problem:
                await asyncio.sleep(0.01)
        await rig.add(2)
        await rig.until_exported(2)
        blocked.rmdir()
        await rig.add(3)
        await rig.until_exported(3)
        async with asyncio.timeout(PATIENCE_S):
            while rig.status.problem:
                await asyncio.sleep(0.01)

    on_rig(tmp_path, monkeypatch, test)
