"""Control's connection to the workers: leases, snapshots and metrics over a Unix socket.

A grant counts as soon as it is made. After a disconnect, the holdings that workers report when they reconnect are
authoritative. So control keeps no leases on disk. After a start it grants nothing until every worker has connected, or
is dead and its journal fully read.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from time import time
from typing import cast

import msgspec

from pointsman.control.ingest import Ingest
from pointsman.control.state_server import StateServer
from pointsman.domain.leases import LeaseUnavailable, Share
from pointsman.link.frames import (
    FROM_WORKER,
    PROTOCOL,
    Ask,
    CannotLease,
    Draining,
    FrameReader,
    FromControl,
    FromWorker,
    GiveBack,
    Granted,
    Heartbeat,
    Hello,
    InForce,
    Inquiry,
    MetricsRequest,
    NewSnapshot,
    Recall,
    Reshare,
    StateAnswer,
    StateChanges,
    StateRequest,
    Welcome,
    encode,
)
from pointsman.money.leases import LeaseTable

BEAT_S = 1.0
UNASKED = 0  # the number of a grant without an ask
RECALL_S = 0.03  # how long an ask waits for other workers to return leases

OnInquiry = Callable[[Inquiry, Callable[[FromControl], None]], Coroutine[None, None, None]]

_logger = logging.getLogger(__name__)


class WorkerConnection(asyncio.Protocol):
    """One connection, of a worker or of admin."""

    def __init__(self, lease_server: "LeaseServer") -> None:
        self._lease_server = lease_server
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.hello: Hello | None = None
        self.digest = ""
        self.is_draining = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transport has the methods only

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                self._lease_server.received(self, FROM_WORKER.decode(body))
        except (ValueError, msgspec.DecodeError) as error:
            _logger.error("a connection is closed, since it sent a malformed frame: %s", error)  # noqa: TRY400
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._lease_server.lost(self)

    def send(self, frame: FromControl) -> None:
        if self._transport is not None:
            self._transport.write(encode(frame))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class LeaseServer:
    """The connections of all workers, and of the admin process, whose inquiries go to `on_inquiry`. `snapshot` returns
    the path and the digest of the snapshot that workers should have."""

    def __init__(self, book: LeaseTable, ingest: Ingest, snapshot: Callable[[], tuple[str, str]]) -> None:
        self._book = book
        self._ingest = ingest
        self._snapshot = snapshot
        self._lines: dict[int, WorkerConnection] = {}  # by epoch
        self._server: asyncio.Server | None = None
        self._metrics: dict[int, tuple[asyncio.Future[None], dict[int, bytes]]] = {}
        self._number = 0
        self._changed = asyncio.Event()
        self._has_all = False  # every worker has connected since the start, or its journal is fully read
        self._tasks: set[asyncio.Task[None]] = set()
        self._state_server = StateServer(ingest)
        self.on_inquiry: OnInquiry | None = None

    async def listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: WorkerConnection(self), sock=listener
        )
        self._start(self._beat())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
        for line in list(self._lines.values()):
            line.close()

    @property
    def lines(self) -> list[WorkerConnection]:
        """The connected workers."""
        return list(self._lines.values())

    def received(self, line: WorkerConnection, frame: FromWorker) -> None:
        """Handle one frame."""
        if isinstance(frame, Hello):
            self._welcome(line, frame)
        elif isinstance(frame, Inquiry):
            if self.on_inquiry is not None:
                self._start(self.on_inquiry(frame, line.send))
        elif line.hello is None:
            line.close()
        elif isinstance(frame, Ask):
            self._start(self._answer(line, line.hello.epoch, frame))
        elif isinstance(frame, StateRequest):
            self._start(self._look_up(line, frame))
        elif isinstance(frame, StateChanges):
            self._state_server.told(frame.changes)
        elif isinstance(frame, GiveBack):
            self._book.give_back(line.hello.epoch, frame.returns)
            self._signal()
        elif isinstance(frame, InForce):
            line.digest = frame.digest
            self._signal()
        elif isinstance(frame, Draining):
            line.is_draining = True
            self.reshare(self._book.draining(line.hello.epoch, time()))
            self._signal()
        elif frame.number in self._metrics:
            waiting, found = self._metrics[frame.number]
            found[line.hello.epoch] = frame.page
            if len(found) >= len(self._lines) and not waiting.done():
                waiting.set_result(None)

    def lost(self, line: WorkerConnection) -> None:
        """Handle the end of a connection. The worker may be alive, so it keeps its leases."""
        if line.hello is not None and self._lines.get(line.hello.epoch) is line:
            del self._lines[line.hello.epoch]
        self._signal()

    def reshare(self, shares: list[tuple[int, Share]]) -> None:
        """Notify workers of their new shares."""
        for epoch, share in shares:
            if epoch in self._lines:
                self._lines[epoch].send(Reshare(share))
        self._signal()

    async def distribute(self, within_s: float) -> list[int]:
        """Distribute the snapshot to all workers. Return the epochs of those that have not taken it after
        `within_s`."""
        path, digest = self._snapshot()
        for line in self._lines.values():
            if line.digest != digest:
                line.send(NewSnapshot(path, digest))
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within_s
        while behind := [
            epoch for epoch, line in self._lines.items() if line.digest != digest and not line.is_draining
        ]:
            if not await self._wait(ends_at - loop.time()):
                break
        return behind

    async def metrics(self, within_s: float) -> dict[int, bytes]:
        """Return the encoded metrics of every worker that answers in time, by its epoch."""
        if not self._lines:
            return {}
        self._number += 1
        number, waiting = self._number, asyncio.get_running_loop().create_future()
        found: dict[int, bytes] = {}
        self._metrics[number] = (waiting, found)
        for line in self._lines.values():
            line.send(MetricsRequest(number))
        try:
            async with asyncio.timeout(within_s):
                await waiting
        except TimeoutError:
            pass
        finally:
            del self._metrics[number]
        return found

    async def _beat(self) -> None:
        """Show the workers that control is alive."""
        while True:
            await asyncio.sleep(BEAT_S)
            for line in self._lines.values():
                line.send(Heartbeat())

    def _welcome(self, line: WorkerConnection, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            _logger.error(
                "rejected a worker: it speaks protocol %d, and control speaks protocol %d", hello.protocol, PROTOCOL
            )
            line.close()
            return
        line.hello, line.digest = hello, hello.digest
        self._lines[hello.epoch] = line
        share = self._book.hello(hello.epoch, hello.slot, hello.share, hello.holdings, time())
        line.send(Welcome(PROTOCOL, share))
        self._knows_all()
        path, digest = self._snapshot()
        if hello.digest != digest:
            line.send(NewSnapshot(path, digest))
        self._signal()

    async def _answer(self, line: WorkerConnection, epoch: int, ask: Ask) -> None:
        """Answer an ask, after recalling leases from other workers if necessary. The answer is late if spending and
        leases are not known yet. By then the worker has given up, but it keeps the grant. If the store has been
        unreachable since the start, the wait could be endless: the ask is rejected."""
        if ask.wants:
            await self._ingest.is_tried.wait()
            if not self._ingest.is_ready.is_set():
                line.send(CannotLease(ask.number, self._ingest.unable))
                return
        await self._ingest.is_ready.wait()
        while not self._knows_all():
            await self._wait(1.0)
        if self._lines.get(epoch) is not line:  # a grant would not arrive
            return
        grants, recalls = self._book.ask(epoch, ask.wants)
        known = {(grant.counter, grant.window): grant for grant in grants}
        ends_at = asyncio.get_running_loop().time() + RECALL_S
        while recalls:
            for other, counters in recalls.items():
                if other in self._lines:
                    self._lines[other].send(Recall(counters))
            if not await self._wait(ends_at - asyncio.get_running_loop().time()):
                break
            if self._lines.get(epoch) is not line:
                return
            unmet = {counter for counters in recalls.values() for counter in counters}
            grants, recalls = self._book.ask(
                epoch, [want for want in ask.wants if (want.counter, want.window) in unmet]
            )
            known.update({(grant.counter, grant.window): grant for grant in grants})
        # Others first: they too can serve once the asking worker has served, even if control dies.
        for other, ahead in self._book.lease_ahead(epoch, known.values(), self._lines).items():
            self._lines[other].send(Granted(UNASKED, ahead))
        line.send(Granted(ask.number, list(known.values())))

    async def _look_up(self, line: WorkerConnection, ask: StateRequest) -> None:
        """Send the owners of these ids."""
        found = await self._state_server.look_up(ask.ids)
        unable = found if isinstance(found, LeaseUnavailable) else None
        line.send(StateAnswer(ask.number, [] if isinstance(found, LeaseUnavailable) else found, unable))

    def _knows_all(self) -> bool:
        if not self._has_all:
            self._has_all = self._ingest.is_owner and self._ingest.open_epochs() <= self._lines.keys()
            if self._has_all:
                self.reshare(self._book.know_all(time()))
        return self._has_all

    def _signal(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, timeout_s: float) -> bool:
        """Wait for a change. Return whether there was one."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _start(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
