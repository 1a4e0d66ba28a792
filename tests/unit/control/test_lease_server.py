"""The connection to workers, tested with frames as bytes."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.clock import PATIENCE_S
from fakes.control import DAY_COUNTER, ControlPlane, control_plane
from integration.gateway import run
from pointsman.control import ingest as ingest_module
from pointsman.control.store.store import Store
from pointsman.domain.leases import LeaseRequest, LeaseUnavailable
from pointsman.domain.limits import Period
from pointsman.link.frames import (
    FROM_CONTROL,
    PROTOCOL,
    Ask,
    CannotLease,
    Draining,
    FrameReader,
    FromControl,
    FromWorker,
    Granted,
    Heartbeat,
    Hello,
    InForce,
    Metrics,
    MetricsRequest,
    NewSnapshot,
    Welcome,
    encode,
)


class FakeWorker:
    """The worker's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = FrameReader()
        self._waiting: list[FromControl] = []

    def send(self, frame: FromWorker) -> None:
        self._writer.write(encode(frame))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def next(self) -> FromControl:
        async with asyncio.timeout(PATIENCE_S):
            while not self._waiting:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError
                frames = map(FROM_CONTROL.decode, self._frames.feed(data))
                self._waiting += [frame for frame in frames if not isinstance(frame, Heartbeat)]  # those come any time
        return self._waiting.pop(0)

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def listening(folder: Path, *, is_read: bool = True) -> AsyncIterator[tuple[ControlPlane, str]]:
    path = str(folder / "link")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    async with control_plane(folder, is_read=is_read) as plane:
        await plane.inquiry_handler.parts.lease_server.listen(listener)
        yield plane, path


async def call(plane: ControlPlane, path: str, digest: str | None = None, epoch: int = 0) -> FakeWorker:
    """Return a worker that has sent `Hello`. Without an epoch, it is the one that writes `plane.writer`."""
    worker = FakeWorker(*await asyncio.open_unix_connection(path))
    epoch = epoch or int(plane.writer.name.partition("-")[2])
    known = digest if digest is not None else plane.inquiry_handler.parts.configuration.digest
    worker.send(
        Hello(
            protocol=PROTOCOL,
            slot=0,
            epoch=epoch,
            pid=4711,
            journal=plane.writer.name,
            digest=known,
            share=None,
            holdings=[],
        )
    )
    return worker


def day() -> int:
    return Period("day").window(time.time())[0]


def test_new_worker_gets_a_welcome_and_the_current_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            current = await call(plane, path)
            assert isinstance(await current.next(), Welcome)
            current.close()
            outdated = await call(plane, path, digest="old")
            assert isinstance(await outdated.next(), Welcome)
            received = await outdated.next()
            assert isinstance(received, NewSnapshot)
            assert received.digest == plane.inquiry_handler.parts.configuration.digest
            outdated.close()

    run(main())


def test_lease_request_of_one_worker_grants_leases_to_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            asker, other = await call(plane, path), await call(plane, path, epoch=77)
            for worker in (asker, other):
                assert isinstance(await worker.next(), Welcome)
            asker.send(Ask(1, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
            assert isinstance(await asker.next(), Granted)
            received = await other.next()
            assert isinstance(received, Granted)
            assert received.number == 0, "the grant answers no request"
            (grant,) = received.grants
            assert (grant.counter, grant.window) == (DAY_COUNTER, day())
            assert grant.granted > 1000
            for worker in (asker, other):
                worker.close()

    run(main())


def test_lease_request_is_granted_within_the_limit(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            worker = await call(plane, path)
            await worker.next()
            worker.send(Ask(1, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
            answer = await worker.next()
            assert isinstance(answer, Granted)
            assert answer.number == 1
            spent = [one for one in plane.inquiry_handler.parts.lease_table.status() if one.counter == DAY_COUNTER]
            assert sum(one.posted + one.leased for one in spent) <= 5_000_000_000
            worker.close()

    run(main())


def test_lease_requests_wait_until_every_living_worker_has_connected(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            stranger = await call(plane, path, epoch=1)
            await stranger.next()
            stranger.send(Ask(7, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
            answer = asyncio.ensure_future(stranger.next())
            await asyncio.sleep(0.2)
            assert not answer.done(), "the holdings of the other worker are unknown"
            other = await call(plane, path)
            granted = await answer
            assert isinstance(granted, Granted)
            assert granted.number == 7
            for worker in (stranger, other):
                worker.close()

    run(main())


def test_lease_request_is_rejected_while_the_store_is_unreachable(tmp_path: Path) -> None:
    """An empty request, which waits until control can grant leases, is not rejected."""
    (tmp_path / "pointsman.db").mkdir()

    async def main() -> None:
        async with listening(tmp_path, is_read=False) as (plane, path):
            ingest = plane.inquiry_handler.parts.ingest
            reading = asyncio.ensure_future(ingest.run())
            worker = await call(plane, path)
            await worker.next()
            worker.send(Ask(1, []))
            for number in (2, 3):
                worker.send(Ask(number, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
                assert await worker.next() == CannotLease(number, LeaseUnavailable("the store cannot be reached"))
            (tmp_path / "pointsman.db").rmdir()
            answer = await worker.next()
            assert isinstance(answer, Granted)
            assert answer.number == 1
            worker.send(Ask(4, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
            answer = await worker.next()
            assert isinstance(answer, Granted)
            assert answer.grants
            worker.close()
            await ingest.finish(5)
            await reading

    run(main())


def test_store_that_is_slow_to_open_counts_as_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "OPEN_S", 0.01)

    async def main() -> None:
        async with listening(tmp_path, is_read=False) as (plane, path):
            ingest, is_back = plane.inquiry_handler.parts.ingest, asyncio.Event()
            open_store = ingest._open_store

            async def hang() -> Store:
                await is_back.wait()
                return await open_store()

            ingest._open_store = hang
            reading = asyncio.ensure_future(ingest.run())
            worker = await call(plane, path)
            await worker.next()
            worker.send(Ask(1, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
            assert isinstance(await worker.next(), CannotLease)
            is_back.set()
            await ingest.is_ready.wait()
            worker.send(Ask(2, [LeaseRequest(DAY_COUNTER, day(), 1000)]))
            assert isinstance(await worker.next(), Granted)
            worker.close()
            await ingest.finish(5)
            await reading

    run(main())


@pytest.mark.parametrize("data", [b"\xff" * 64, encode(Draining()), b"\x05\0\0\0nooo!"])
def test_malformed_frame_or_missing_hello_closes_the_connection(data: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            worker = FakeWorker(*await asyncio.open_unix_connection(path))
            worker.send_bytes(data)
            with pytest.raises((EOFError, ConnectionResetError)):
                await worker.next()
            worker.close()
            assert plane.inquiry_handler.parts.lease_server.workers == []

    run(main())


def test_worker_of_another_protocol_is_disconnected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (_, path):
            worker = FakeWorker(*await asyncio.open_unix_connection(path))
            worker.send(
                Hello(protocol=PROTOCOL + 1, slot=0, epoch=1, pid=1, journal="", digest="", share=None, holdings=[])
            )
            with pytest.raises((EOFError, ConnectionResetError)):
                await worker.next()
            worker.close()

    run(main())
    assert f"speaks protocol {PROTOCOL + 1}" in caplog.text


def test_distribution_ends_when_all_workers_have_the_snapshot(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            worker = await call(plane, path, digest="old")
            await worker.next()
            await worker.next()
            lease_server = plane.inquiry_handler.parts.lease_server
            (connection,) = lease_server.workers
            assert connection.hello is not None
            assert await lease_server.distribute(0.05) == [connection.hello.epoch]
            distributing = asyncio.ensure_future(lease_server.distribute(PATIENCE_S))
            await asyncio.sleep(0)
            worker.send(InForce(plane.inquiry_handler.parts.configuration.digest))
            assert await distributing == []
            worker.close()

    run(main())


def test_distribution_does_not_wait_for_draining_workers(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            worker = await call(plane, path, digest="old")
            await worker.next()
            worker.send(Draining())
            assert await plane.inquiry_handler.parts.lease_server.distribute(PATIENCE_S) == []
            worker.close()

    run(main())


def test_metrics_come_from_the_workers_that_answer_in_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with listening(tmp_path) as (plane, path):
            lease_server = plane.inquiry_handler.parts.lease_server
            assert await lease_server.metrics(0.1) == {}
            worker, silent = await call(plane, path), await call(plane, path, epoch=1)
            for one in (worker, silent):
                await one.next()
            page = asyncio.ensure_future(lease_server.metrics(0.5))
            request = await worker.next()
            assert isinstance(request, MetricsRequest)
            worker.send(Metrics(request.number, b"up 1"))
            assert await page == {int(plane.writer.name.partition("-")[2]): b"up 1"}
            worker.send(Metrics(request.number, b"late 1"))  # changes nothing
            silent.close()
            await asyncio.sleep(0.05)
            page = asyncio.ensure_future(lease_server.metrics(PATIENCE_S))
            request = await worker.next()
            assert isinstance(request, MetricsRequest)
            worker.send(Metrics(request.number, b"up 2"))
            assert await page == {int(plane.writer.name.partition("-")[2]): b"up 2"}, (
                "a disconnected worker is not waited for"
            )
            worker.close()

    run(main())
