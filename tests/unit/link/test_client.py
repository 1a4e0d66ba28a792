"""A worker's end of the connection. Control may be silent, away or faulty without an error in a request."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from fakes.clock import PATIENCE_S
from fakes.money import limit
from pointsman.domain.leases import NO_SHARE, Grant, Holding, LeaseRequest, LeaseUnavailable, Return, Share
from pointsman.link import client as module
from pointsman.link.client import LinkClient
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
    Hello,
    InForce,
    Metrics,
    MetricsRequest,
    NewSnapshot,
    Recall,
    Reshare,
    Welcome,
    encode,
)
from pointsman.money import ledger as ledger_module
from pointsman.money.ledger import Ledger
from pointsman.money.usage import UsedAmounts

USD = limit("usd", 1000)
NOW = 1_764_000_000.0
DAY = int(NOW // 86_400) * 86_400
SHARE = Share(1, 2, 0.0)


class Control:
    """The other end, controlled by the test."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[FromWorker] = asyncio.Queue()
        self.lines: list[asyncio.Transport] = []

    def line(self) -> asyncio.Protocol:
        return _Line(self)

    def send(self, frame: FromControl) -> None:
        self.lines[-1].write(encode(frame))

    async def next(self) -> FromWorker:
        async with asyncio.timeout(PATIENCE_S):
            return await self.frames.get()

    async def welcome(self, share: Share = SHARE) -> Hello:
        hello = await self.next()
        assert isinstance(hello, Hello)
        self.send(Welcome(PROTOCOL, share))
        return hello


class _Line(asyncio.Protocol):
    def __init__(self, control: Control) -> None:
        self._control = control
        self._frames = FrameReader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._control.lines.append(transport)

    def data_received(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            self._control.frames.put_nowait(FROM_WORKER.decode(body))


class Scene:
    def __init__(self, path: Path) -> None:
        self.control = Control()
        self.ledger = Ledger(NO_SHARE)
        self.lines: list[bool] = []
        self.taken: list[str] = []
        self.server: asyncio.Server | None = None
        self.path = str(path / "link")
        self.link = LinkClient(
            self.path, self.ledger, self.hello, self.take, lambda: b"m 1", self.lines.append, UsedAmounts(self.ledger)
        )

    def hello(self) -> Hello:
        return Hello(
            protocol=PROTOCOL,
            slot=0,
            epoch=7,
            pid=1,
            journal="j",
            digest="digest",
            share=self.link.share,
            holdings=self.ledger.holdings(),
        )

    async def take(self, path: str) -> str:
        if path == "bad":
            raise ValueError("it is damaged")
        await asyncio.sleep(0.05 if path == "slow" else 0)
        self.taken.append(path)
        return f"digest of {path}"

    async def listen(self) -> None:
        self.server = await asyncio.get_running_loop().create_unix_server(self.control.line, self.path)

    async def hang_up(self) -> None:
        assert self.server is not None
        self.server.close()
        for line in self.control.lines:
            line.close()
        await self.until(lambda: not self.link.is_connected)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.001)

    async def connected(self) -> None:
        await self.control.welcome()
        await self.until(lambda: self.link.is_connected)

    def ask(self, more: int = 5) -> "asyncio.Future[Sequence[Grant] | LeaseUnavailable]":
        answer: asyncio.Future[Sequence[Grant] | LeaseUnavailable] = asyncio.get_running_loop().create_future()
        self.link.ask([LeaseRequest(USD.counter, DAY, more)], answer.set_result)
        return answer


@asynccontextmanager
async def scene_in(path: Path) -> AsyncIterator[Scene]:
    scene = Scene(path)
    running = asyncio.create_task(scene.link.run())
    try:
        await scene.listen()
        yield scene
    finally:
        running.cancel()
        scene.link.close()
        if scene.server is not None:
            scene.server.close()
        for line in scene.control.lines:
            line.abort()
        await asyncio.sleep(0.01)


Test = Callable[[Scene], Coroutine[Any, Any, None]]


def run(path: Path, test: Test) -> None:
    async def main() -> None:
        async with scene_in(path) as scene, asyncio.timeout(PATIENCE_S):
            await test(scene)

    asyncio.run(main())


def test_connection_begins_with_hello_and_yields_the_share(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        hello = await scene.control.welcome()
        assert (hello.epoch, hello.share, hello.holdings) == (7, None, [])
        await scene.until(lambda: scene.link.is_connected)
        assert (scene.lines, scene.link.share) == ([True], SHARE)
        assert scene.link.away_since(monotonic()) is None
        scene.ledger.reserve(scene.ledger.account((USD,)), "a", 500, 0, 1, NOW)  # half of the limit
        scene.control.send(Reshare(NO_SHARE))
        await scene.until(lambda: scene.link.share == NO_SHARE)

    run(tmp_path, test)


def test_grant_is_in_the_ledger_before_the_callback(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.ledger.reserve(scene.ledger.account((USD,)), "a", 900, 0, 1, NOW)
        holdings: list[Holding] = []
        scene.link.ask([LeaseRequest(USD.counter, DAY, 400)], lambda _: holdings.extend(scene.ledger.holdings()))
        ask = await scene.control.next()
        assert isinstance(ask, Ask)
        assert ask.requests == [LeaseRequest(USD.counter, DAY, 400)]
        scene.control.send(Granted(ask.number, [Grant(USD.counter, DAY, 450, 0, 0)]))
        await scene.until(lambda: holdings)
        assert holdings == [Holding(USD.counter, DAY, 950, 500)]

    run(tmp_path, test)


def test_empty_ask_does_not_absorb_other_asks(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        empty, full = scene.ask(0), scene.ask(5)
        asks = [await scene.control.next(), await scene.control.next()]
        grants = [[Grant(USD.counter, DAY, 0, 7, 0)], [Grant(USD.counter, DAY, 5, 2, 0)]]
        for ask, answer in zip(asks, grants, strict=True):
            assert isinstance(ask, Ask)
            scene.control.send(Granted(ask.number, answer))
        assert [await empty, await full] == grants

    run(tmp_path, test)


def test_asks_for_the_same_window_share_one_frame(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        answers = [scene.ask() for _ in range(50)]
        ask = await scene.control.next()
        assert isinstance(ask, Ask)
        grants = [Grant(USD.counter, DAY, 5, 0, 0)]
        scene.control.send(Granted(ask.number, grants))
        assert await asyncio.gather(*answers) == [grants] * 50
        assert scene.control.frames.empty()
        scene.ask()
        assert isinstance(await scene.control.next(), Ask), "a later ask sends a new frame"

    run(tmp_path, test)


def test_failed_send_leaves_no_pending_ask(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        with pytest.raises(OverflowError):
            scene.link.ask([LeaseRequest(USD.counter, DAY, 1 << 70)], lambda _: None)
        scene.ask()
        assert isinstance(await scene.control.next(), Ask), "the ask is sent again"

    run(tmp_path, test)


def test_ask_times_out_and_a_late_grant_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_S", 0.02)

    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.ledger.reserve(scene.ledger.account((USD,)), "a", 900, 0, 1, NOW)
        assert await scene.ask() == LeaseUnavailable("control does not answer")
        ask = await scene.control.next()
        assert isinstance(ask, Ask)
        scene.control.send(Granted(ask.number, [Grant(USD.counter, DAY, 70, 0, 0)]))
        await scene.until(lambda: scene.ledger.holdings() == [Holding(USD.counter, DAY, 570, 500)])

    run(tmp_path, test)


def test_unavailable_leases_answer_every_caller(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        answers = [scene.ask() for _ in range(3)]
        ask = await scene.control.next()
        assert isinstance(ask, Ask)
        scene.control.send(CannotLease(ask.number, LeaseUnavailable("the store cannot be reached")))
        assert await asyncio.gather(*answers) == [LeaseUnavailable("the store cannot be reached")] * 3
        scene.ask()
        assert isinstance(await scene.control.next(), Ask), "a later ask sends a new frame"

    run(tmp_path, test)


def test_ask_without_a_connection_is_answered_at_once(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.control.next()  # no welcome yet
        assert await scene.ask() == LeaseUnavailable("control is away")
        scene.control.send(Welcome(PROTOCOL, SHARE))
        await scene.until(lambda: scene.link.is_connected)
        answer = scene.ask()
        await scene.control.next()
        await scene.hang_up()
        assert isinstance(await answer, LeaseUnavailable), "a lost connection answers pending asks"
        assert scene.lines == [True, False]
        assert scene.link.away_since(monotonic()) is not None

    run(tmp_path, test)


def test_reconnection_reports_the_holdings(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.ledger.reserve(scene.ledger.account((USD,)), "a", 100, 0, 1, NOW)
        await scene.hang_up()
        Path(scene.path).unlink(missing_ok=True)
        await scene.listen()
        hello = await scene.control.welcome(NO_SHARE)
        assert (hello.share, hello.holdings) == (SHARE, [Holding(USD.counter, DAY, 500, 500)])
        await scene.until(lambda: scene.link.is_connected)
        assert scene.lines == [True, False, True]

    run(tmp_path, test)


def test_unusable_unasked_grant_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_AHEAD", 1)

    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.control.send(Granted(0, [Grant(f"virtual_key:{n}|usd|day", DAY, 7 + n, 0, 0) for n in range(2)]))
        assert await scene.control.next() == GiveBack([Return("virtual_key:1|usd|day", DAY, 8)])

    run(tmp_path, test)


def test_idle_leases_are_returned_on_recall(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.ledger.reserve(scene.ledger.account((USD,)), "a", 100, 0, 1, NOW)
        scene.control.send(Recall([(USD.counter, DAY)]))
        assert await scene.control.next() == GiveBack([Return(USD.counter, DAY, 400, 500)])
        scene.link.give_back([Return(USD.counter, DAY, 1, 500)])
        assert await scene.control.next() == GiveBack([Return(USD.counter, DAY, 1, 500)])

    run(tmp_path, test)


def test_draining_worker_takes_no_share(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.link.drain()
        assert await scene.control.next() == Draining()
        scene.control.send(Reshare(SHARE))
        await scene.hang_up()
        Path(scene.path).unlink(missing_ok=True)
        await scene.listen()
        assert (await scene.control.welcome(SHARE)).share == NO_SHARE
        assert await scene.control.next() == Draining(), "the new control process must be notified"
        assert scene.link.share == NO_SHARE
        shortfalls = scene.ledger.reserve(scene.ledger.account((USD,)), "a", 100, 0, 1, NOW)
        assert isinstance(shortfalls, list)

    run(tmp_path, test)


def test_snapshots_are_loaded_in_order_of_arrival(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        for path in ("slow", "bad", "quick"):
            scene.control.send(NewSnapshot(path, "digest"))
        assert [await scene.control.next() for _ in range(2)] == [
            InForce("digest of slow"),
            InForce("digest of quick"),
        ]
        assert scene.taken == ["slow", "quick"]
        assert scene.link.is_connected

    with caplog.at_level(logging.ERROR):
        run(tmp_path, test)
    assert "cannot load the new configuration; the old one stays in force: it is damaged" in caplog.text


def test_metrics_request_is_answered(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await scene.connected()
        scene.control.send(MetricsRequest(3))
        assert await scene.control.next() == Metrics(3, b"m 1")

    run(tmp_path, test)


@pytest.mark.parametrize("data", [b"\0\0\0\x01\xc1", b"\xff\xff\xff\xff", encode(Welcome(PROTOCOL + 1, SHARE))])
def test_malformed_frame_closes_the_connection_and_reconnects_after_a_pause(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(scene: Scene) -> None:
        await scene.control.next()
        for count in range(5):
            told_at = monotonic()
            scene.control.lines[-1].write(data)
            await scene.control.next()
            assert monotonic() - told_at >= module.PAUSES_S[count] * 0.9, "there is a pause between attempts"
        assert scene.link.share is None
        assert scene.lines == []

    with caplog.at_level(logging.ERROR):
        run(tmp_path, test)
    assert "the connection to control is closed" in caplog.text
