"""Control's connection to the workers: leases, snapshots and metrics over a Unix socket.

A grant counts as soon as it is made. After a disconnect, the holdings that workers report when they reconnect are
authoritative. So control keeps no leases on disk. After a start it grants nothing until every worker has connected, or
is dead and its journal fully read.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import time
from typing import cast

import msgspec

from pointsman.control.health_server import HealthServer
from pointsman.control.holds import HoldBook
from pointsman.control.ingest import Ingest
from pointsman.control.key_server import KeyServer
from pointsman.control.state_server import StateServer
from pointsman.control.usage_server import UsageServer
from pointsman.domain.holds import Hold
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
    HealthPeers,
    Heartbeat,
    Hello,
    Holds,
    InForce,
    Inquiry,
    KeysTaken,
    MakeKey,
    MetricsRequest,
    NewSnapshot,
    Recall,
    Reshare,
    StateAnswer,
    StateChanges,
    StateRequest,
    Welcome,
    WorkerHealth,
    WorkerUsage,
    encode,
)
from pointsman.money.leases import LeaseTable

BEAT_S = 1.0
MAX_UNREAD = 1024 * 1024  # bytes that a worker has not read yet, beyond which it gets no news of others
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

    @property
    def reads(self) -> bool:
        """True if the other end has read most of what was sent."""
        return self._transport is not None and self._transport.get_write_buffer_size() <= MAX_UNREAD

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class LeaseServer:
    """The connections of all workers, and of the admin process, whose inquiries go to `on_inquiry`. `snapshot` returns
    the path and the digest of the snapshot that workers should have."""

    def __init__(self, lease_table: LeaseTable, ingest: Ingest, snapshot: Callable[[], tuple[str, str]]) -> None:
        self._lease_table = lease_table
        self._ingest = ingest
        self._snapshot = snapshot
        self._workers: dict[int, WorkerConnection] = {}  # by epoch
        self._server: asyncio.Server | None = None
        self._metrics: dict[int, tuple[asyncio.Future[None], dict[int, bytes]]] = {}
        self._number = 0
        self._changed = asyncio.Event()
        self._has_all = False  # every worker has connected since the start, or its journal is fully read
        self._tasks: set[asyncio.Task[None]] = set()
        self._state_server = StateServer(ingest)
        self._usage_server = UsageServer(
            lease_table, self._send, lambda: ingest.is_ready.is_set() and self._knows_all()
        )
        self._health_server = HealthServer(self._send_news)
        self.key_server = KeyServer(self._send, self._start)
        self.holds = HoldBook(lambda: ingest.store, self._send_holds)
        ingest.on_open.append(self.holds.load)
        self.on_inquiry: OnInquiry | None = None

    async def listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: WorkerConnection(self), sock=listener
        )
        self._start(self._beat())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._usage_server.close()
        if self._server is not None:
            self._server.close()
        for connection in list(self._workers.values()):
            connection.close()

    @property
    def workers(self) -> list[WorkerConnection]:
        """The connected workers."""
        return list(self._workers.values())

    def slots_of(self, epochs: Iterable[int]) -> list[int]:
        """Return the slots of the connected workers with these epochs."""
        found = [self._workers[epoch].hello for epoch in epochs if epoch in self._workers]
        return sorted(hello.slot for hello in found if hello is not None)

    def received(self, connection: WorkerConnection, frame: FromWorker) -> None:
        """Handle one frame."""
        if isinstance(frame, Hello):
            self._welcome(connection, frame)
        elif isinstance(frame, Inquiry):
            if self.on_inquiry is not None:
                self._start(self.on_inquiry(frame, connection.send))
        elif connection.hello is None:
            connection.close()
        elif isinstance(frame, Ask):
            self._start(self._answer(connection, connection.hello.epoch, frame))
        elif isinstance(frame, StateRequest):
            self._start(self._look_up(connection, frame))
        elif isinstance(frame, StateChanges):
            self._state_server.note(frame.changes)
        elif isinstance(frame, WorkerUsage):
            self._usage_server.received(connection.hello.epoch, frame)
        elif isinstance(frame, WorkerHealth):
            self._health_server.received(connection.hello.epoch, frame)
        elif isinstance(frame, KeysTaken | MakeKey):
            self.key_server.received(connection.hello.epoch, frame)
        elif isinstance(frame, GiveBack):
            self._lease_table.give_back(connection.hello.epoch, frame.returns)
            self._signal()
        elif isinstance(frame, InForce):
            connection.digest = frame.digest
            self._signal()
        elif isinstance(frame, Draining):
            connection.is_draining = True
            self.reshare(self._lease_table.draining(connection.hello.epoch, time()))
            self._signal()
        elif frame.number in self._metrics:
            waiting, found = self._metrics[frame.number]
            found[connection.hello.epoch] = frame.page
            if len(found) >= len(self._workers) and not waiting.done():
                waiting.set_result(None)

    def lost(self, connection: WorkerConnection) -> None:
        """Handle the end of a connection. The worker may be alive, so it keeps its leases."""
        if connection.hello is not None and self._workers.get(connection.hello.epoch) is connection:
            del self._workers[connection.hello.epoch]
            self._usage_server.lost(connection.hello.epoch)
            self._health_server.lost(connection.hello.epoch)
            self.key_server.lost(connection.hello.epoch)
        self._signal()

    def reshare(self, shares: list[tuple[int, Share]]) -> None:
        """Notify workers of their new shares."""
        for epoch, share in shares:
            if epoch in self._workers:
                self._workers[epoch].send(Reshare(share))
        self._signal()

    async def distribute(self, within_s: float) -> list[int]:
        """Distribute the snapshot to all workers. Return the epochs of those that have not taken it after
        `within_s`."""
        path, digest = self._snapshot()
        for connection in self._workers.values():
            if connection.digest != digest:
                connection.send(NewSnapshot(path, digest))
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within_s
        while outdated := [
            epoch
            for epoch, connection in self._workers.items()
            if connection.digest != digest and not connection.is_draining
        ]:
            if not await self._wait(ends_at - loop.time()):
                break
        return outdated

    async def metrics(self, within_s: float) -> dict[int, bytes]:
        """Return the encoded metrics of every worker that answers in time, by its epoch."""
        if not self._workers:
            return {}
        self._number += 1
        number, waiting = self._number, asyncio.get_running_loop().create_future()
        found: dict[int, bytes] = {}
        self._metrics[number] = (waiting, found)
        for connection in self._workers.values():
            connection.send(MetricsRequest(number))
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
            for connection in self._workers.values():
                connection.send(Heartbeat())

    def _welcome(self, connection: WorkerConnection, hello: Hello) -> None:
        if hello.protocol != PROTOCOL:
            _logger.error(
                "rejected a worker: it speaks protocol %d, and control speaks protocol %d", hello.protocol, PROTOCOL
            )
            connection.close()
            return
        connection.hello, connection.digest = hello, hello.digest
        self._workers[hello.epoch] = connection
        share = self._lease_table.hello(hello.epoch, hello.slot, hello.share, hello.holdings, time())
        connection.send(Welcome(PROTOCOL, share, shares_usage=True))
        if hello.shares_usage:
            self._usage_server.connected(hello.epoch)
        if hello.shares_health:
            self._health_server.connected(hello.epoch)
            if (holds := self.holds.present()) is not None:
                connection.send(Holds(holds))
        if hello.takes_keys:
            self.key_server.connected(hello.epoch)
        self._knows_all()
        path, digest = self._snapshot()
        if hello.digest != digest:
            connection.send(NewSnapshot(path, digest))
        self._signal()

    async def _answer(self, connection: WorkerConnection, epoch: int, ask: Ask) -> None:
        """Answer an ask, after recalling leases from other workers if necessary. The answer is late if spending and
        leases are not known yet. By then the worker has given up, but it keeps the grant. If the store has been
        unreachable since the start, the wait could be endless: the ask is rejected."""
        if ask.requests:
            await self._ingest.is_tried.wait()
            if not self._ingest.is_ready.is_set():
                connection.send(CannotLease(ask.number, self._ingest.unable))
                return
        await self._ingest.is_ready.wait()
        while not self._knows_all():
            await self._wait(1.0)
        if self._workers.get(epoch) is not connection:  # a grant would not arrive
            return
        grants, recalls = self._lease_table.ask(epoch, ask.requests)
        known = {(grant.counter, grant.window): grant for grant in grants}
        ends_at = asyncio.get_running_loop().time() + RECALL_S
        while recalls:
            for other, counters in recalls.items():
                if other in self._workers:
                    self._workers[other].send(Recall(counters))
            if not await self._wait(ends_at - asyncio.get_running_loop().time()):
                break
            if self._workers.get(epoch) is not connection:
                return
            unmet = {counter for counters in recalls.values() for counter in counters}
            grants, recalls = self._lease_table.ask(
                epoch, [one for one in ask.requests if (one.counter, one.window) in unmet]
            )
            known.update({(grant.counter, grant.window): grant for grant in grants})
        # Others first: they too can serve once the asking worker has served, even if control dies.
        for other, ahead in self._lease_table.lease_ahead(epoch, known.values(), self._workers).items():
            self._usage_server.send_amounts(other, (grant.counter for grant in ahead))
            self._workers[other].send(Granted(UNASKED, ahead))
        self._usage_server.send_amounts(epoch, (grant.counter for grant in known.values() if grant.granted))
        connection.send(Granted(ask.number, list(known.values())))

    async def _look_up(self, connection: WorkerConnection, ask: StateRequest) -> None:
        """Send the owners of these ids."""
        found = await self._state_server.look_up(ask.ids)
        unable = found if isinstance(found, LeaseUnavailable) else None
        connection.send(StateAnswer(ask.number, [] if isinstance(found, LeaseUnavailable) else found, unable))

    def _knows_all(self) -> bool:
        if not self._has_all:
            self._has_all = self._ingest.is_owner and self._ingest.open_epochs() <= self._workers.keys()
            if self._has_all:
                self.reshare(self._lease_table.know_all(time()))
        return self._has_all

    def _send(self, epoch: int, frame: FromControl) -> None:
        """Send a frame to a worker, if it is connected."""
        if epoch in self._workers:
            self._workers[epoch].send(frame)

    def _send_holds(self, holds: Sequence[Hold]) -> None:
        """Send the orders of operators to all workers that know them."""
        for connection in self._workers.values():
            if connection.hello is not None and connection.hello.shares_health:
                connection.send(Holds(list(holds)))

    def _send_news(self, epoch: int, frame: FromControl) -> None:
        """Send a frame that may be dropped, if the worker is connected and reads."""
        if epoch in self._workers and (isinstance(frame, HealthPeers) or self._workers[epoch].reads):
            self._workers[epoch].send(frame)

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
