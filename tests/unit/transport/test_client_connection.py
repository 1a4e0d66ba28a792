"""The limits on clients: time, size, memory and connections."""

import asyncio
from time import monotonic
from typing import Any, cast

import pytest

from fakes.clock import Clock
from fakes.serving import GET, Recorder, post, run, serving, until, wait
from pointsman.transport._bodies import MIN_BYTES_PER_S
from pointsman.transport.http_server import BodyMode, Exchange

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
TICKS_S = 0.05  # long enough for a tick of the timer


@pytest.fixture
def clock() -> Clock:
    return Clock()


def timeouts(limit_s: float, *names: str) -> dict[str, Any]:
    """Return limits in which the named timeouts are `limit_s`, and the other timeouts are far longer."""
    every = ("head_timeout_s", "body_timeout_s", "idle_timeout_s", "write_timeout_s")
    return dict.fromkeys(every, 1e6) | dict.fromkeys(names, limit_s)


@pytest.mark.parametrize(
    ("limit", "part"),
    [
        ("head_timeout_s", b"GE"),
        ("head_timeout_s", b"\r"),
        ("head_timeout_s", GET[:-1]),
        ("body_timeout_s", post(b"abc")[:-1]),
        ("body_timeout_s", CHUNKED + b"3\r\nab"),
    ],
)
@pytest.mark.parametrize("is_fresh", [True, False])
def test_incomplete_request_is_answered_at_its_time_limit_and_the_connection_closed(
    limit: str, part: bytes, is_fresh: bool, clock: Clock
) -> None:
    async def case() -> None:
        async with serving(**timeouts(1.0, limit), clock=clock) as served:
            peer = await served.connect()
            if not is_fresh:
                await peer.ask(GET)
            await peer.send(part)
            assert await clock.run_until(lambda: served.handler.failures) >= 0.99
            answer = await peer.read_answer()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert await peer.is_ended()

    run(case())


def test_time_limit_of_a_head_is_not_extended_by_single_bytes(clock: Clock) -> None:
    async def case() -> None:
        async with serving(**timeouts(1.0, "head_timeout_s"), clock=clock) as served:
            peer = await served.connect()
            for _ in range(10):
                await peer.send(b"x")
                clock.now += 0.11
                await asyncio.sleep(TICKS_S)
            assert served.handler.failures
            assert (await peer.read_answer()).status == 408

    run(case())


def test_body_at_the_lowest_allowed_rate_may_take_longer_than_its_timeout(clock: Clock) -> None:
    async def case() -> None:
        async with serving(**timeouts(1.0, "body_timeout_s"), clock=clock) as served:
            peer = await served.connect()
            request = post(b"x" * 8 * MIN_BYTES_PER_S)
            await peer.send(request[: -7 * MIN_BYTES_PER_S])
            for count in range(1, 8):
                await until(lambda: served.server.body_memory == count * MIN_BYTES_PER_S)  # noqa: B023 -- called at once
                clock.now += 0.9
                await asyncio.sleep(TICKS_S)
                await peer.send(b"x" * MIN_BYTES_PER_S)
            assert (await peer.read_answer()).status == 200

    run(case())


def test_body_of_one_byte_a_second_times_out(clock: Clock) -> None:
    async def case() -> None:
        async with serving(**timeouts(10.0, "body_timeout_s"), clock=clock) as served:
            peer = await served.connect()
            await peer.send(post(b"x" * 1000)[:-999])
            for count in range(1, 10):
                await until(lambda: served.server.body_memory == count)  # noqa: B023 -- called at once
                clock.now += 1.0
                await asyncio.sleep(TICKS_S)
                await peer.send(b"x")
            clock.now += 1.1
            assert (await peer.read_answer()).status == 408

    run(case())


@pytest.mark.parametrize("is_fresh", [True, False])
def test_idle_connection_is_closed_without_an_answer(is_fresh: bool, clock: Clock) -> None:
    async def case() -> None:
        async with serving(**timeouts(1.0, "head_timeout_s", "idle_timeout_s"), clock=clock) as served:
            peer = await served.connect()
            if not is_fresh:
                await peer.ask(GET)
            await until(lambda: served.server.connections == 1)
            assert await clock.run_until(lambda: served.server.connections == 0) >= 0.99
            assert await peer.is_ended()

    run(case())


def test_handler_has_no_time_limit(clock: Clock) -> None:
    async def case() -> None:
        limits: dict[str, Any] = dict.fromkeys(timeouts(0.0), 1.0)
        async with serving(Recorder(wait), **limits, clock=clock) as served:
            peer = await served.connect()
            await peer.send(post(b"x"))
            await served.handler.arrived.wait()
            for _ in range(3):
                clock.now += 100
                await asyncio.sleep(TICKS_S)
            served.handler.exchanges[0].send(200, b"", b"late")
            assert (await peer.read_answer()).body == b"late"

    run(case())


@pytest.mark.parametrize("mode", list(BodyMode))
def test_body_announced_over_the_limit_is_rejected_before_it_arrives(mode: BodyMode) -> None:
    async def case() -> None:
        async with serving(Recorder(wait, mode), body_bytes=100, streamed_body_bytes=100) as served:
            for line in (b"X: y", b"Expect: 100-continue"):
                peer = await served.connect()
                answer = await peer.ask(post(b"x" * 101, line)[:-101])
                assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert not served.handler.exchanges

    run(case())


def test_body_limit_applies_to_a_cached_head() -> None:
    async def case() -> None:
        async with serving(body_bytes=100) as served:
            peer = await served.connect()
            for _ in range(4):
                assert (await peer.ask(post(b"x" * 100))).status == 200
            assert (await peer.ask(post(b"x" * 101))).status == 413

    run(case())


@pytest.mark.parametrize("mode", list(BodyMode))
def test_chunked_body_over_the_limit_is_rejected_as_it_arrives(mode: BodyMode) -> None:
    async def case() -> None:
        handler = Recorder(lambda exchange: exchange.read_body(lambda _: None, lambda: None), mode)
        async with serving(handler, body_bytes=100, streamed_body_bytes=100) as served:
            peer = await served.connect()
            answer = await peer.ask(CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n33\r\n" + b"x" * 51)
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert handler.disconnects == (mode is BodyMode.STREAM)

    run(case())


@pytest.mark.parametrize("spoiling", [b"x\r\n", None])
@pytest.mark.parametrize("is_started", [False, True])
def test_error_in_a_streamed_body_ends_the_request(spoiling: bytes | None, is_started: bool) -> None:
    def serve(exchange: Exchange) -> None:
        if is_started:
            exchange.start(200, b"")
        exchange.read_body(lambda _: None, lambda: None)

    async def case() -> None:
        handler = Recorder(serve, BodyMode.STREAM)
        async with serving(handler, body_timeout_s=0.1) as served:
            peer = await served.connect()
            await peer.send(CHUNKED + b"3\r\nabc\r\n" + (spoiling or b""))
            received = await peer.reader.read()
            status = 200 if is_started else (400 if spoiling else 408)
            assert received.startswith(b"HTTP/1.1 %d " % status)
            assert not received.endswith(b"0\r\n\r\n")
            assert handler.exchanges[0].is_closed
            assert handler.disconnects == 1

    run(case())


@pytest.mark.parametrize("mode", list(BodyMode))
@pytest.mark.parametrize(
    ("request_bytes", "has_head"),
    [
        (post(b"x" * 101, target=b"/second")[:-1], True),
        (CHUNKED.replace(b"/", b"/second", 1) + b"66\r\n" + b"x" * 102, True),
        (CHUNKED.replace(b"/", b"/second", 1) + b"x\r\n", True),
        (post(b"x" * 50, target=b"/second")[:-1], True),
        (b"POST /second\r\n\r\n", False),
        (b"GET /second", False),
    ],
)
def test_rejection_of_a_body_is_composed_for_its_head(mode: BodyMode, request_bytes: bytes, has_head: bool) -> None:
    """The handler needs the head for the dialect of the answer, for the headers of web pages, and for its log."""

    def serve(exchange: Exchange) -> None:
        exchange.read_body(lambda _: None, lambda: exchange.send(200, b"", b""))

    async def case() -> None:
        handler = Recorder(serve, mode)
        limits: dict[str, Any] = {
            "body_bytes": 100,
            "streamed_body_bytes": 100,
            "body_timeout_s": 0.1,
            "head_timeout_s": 0.1,
        }
        async with serving(handler, **limits) as served:
            peer = await served.connect()
            assert (await peer.ask(post(b"x", target=b"/first"))).status == 200
            await peer.send(request_bytes)
            assert (await peer.read_answer()).headers["connection"] == "close"
            (head,) = handler.rejected
            assert (head is not None) is has_head
            if head is not None:
                assert head.path == b"/second"

    run(case())


def test_memory_of_bodies_is_limited_over_all_connections() -> None:
    async def case() -> None:
        handler = Recorder(wait)
        async with serving(handler, body_memory_bytes=1000) as served:
            first, second, third = [await served.connect() for _ in range(3)]
            await first.send(post(b"x" * 600))
            await until(lambda: served.server.body_memory == 600)
            await second.send(post(b"x" * 400)[:-1])
            await until(lambda: served.server.body_memory == 999)
            answer = await third.ask(post(b"x" * 2))
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            answer = await (await served.connect()).ask(CHUNKED + b"2\r\nab\r\n")
            assert answer.status == 503
            handler.exchanges[0].send(200, b"", b"")
            await first.read_answer()
            assert served.server.body_memory == 399
            second.finish()
            await until(lambda: served.server.body_memory == 0)
            # The limit also applies to a head that is cached by now.
            handler.serve = lambda exchange: exchange.send(200, b"", b"")
            for _ in range(3):
                assert (await first.ask(post(b"x" * 1000))).status == 200
            assert (await first.ask(post(b"x" * 1001))).status == 503

    run(case())


def test_client_that_pipelines_too_much_is_disconnected() -> None:
    async def case() -> None:
        handler = Recorder(wait)
        async with serving(handler, pipeline_bytes=1000) as served:
            peer = await served.connect()
            await peer.send(GET)
            await handler.arrived.wait()
            await peer.send(b"x" * 1000)
            await asyncio.sleep(0.02)
            assert not handler.disconnects
            await peer.send(b"x")
            await handler.disconnected.wait()
            assert await peer.is_ended()

    run(case())


@pytest.mark.parametrize("is_ended", [False, True])
def test_client_that_reads_nothing_of_its_answer_is_disconnected(is_ended: bool) -> None:
    def serve(exchange: Exchange) -> None:
        exchange.start(200, b"")
        exchange.write(b"x" * 20_000_000)
        if is_ended:
            exchange.end()

    async def case() -> None:
        async with serving(Recorder(serve), **timeouts(0.15, "write_timeout_s")) as served:
            peer = await served.connect()
            cast("asyncio.Transport", peer.writer.transport).pause_reading()
            await peer.send(GET)
            before = monotonic()
            await until(lambda: served.server.connections == 0)
            assert monotonic() - before > 0.14
            assert served.handler.disconnects == (not is_ended)

    run(case())


def test_client_that_reads_slowly_stays_connected(clock: Clock) -> None:
    async def case() -> None:
        handler = Recorder(lambda exchange: exchange.send(200, b"", b"x" * 20_000_000))
        async with serving(handler, **timeouts(1.0, "write_timeout_s", "idle_timeout_s"), clock=clock) as served:
            peer = await served.connect()
            await peer.send(GET)
            await peer.reader.readuntil(b"\r\n\r\n")
            left = 20_000_000
            while left:
                clock.now += 0.9
                await asyncio.sleep(TICKS_S)
                left -= len(await peer.reader.readexactly(min(left, 2_000_000)))

    run(case())


def test_connections_over_the_limit_are_rejected() -> None:
    async def case() -> None:
        async with serving(max_connections=2) as served:
            peers = [await served.connect() for _ in range(2)]
            for peer in peers:
                assert (await peer.ask(GET)).status == 200
            third = await served.connect()
            answer = await third.read_answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert await third.is_ended()
            third.finish()
            peers[0].finish()
            await until(lambda: served.server.connections == 1)
            assert (await (await served.connect()).ask(GET)).status == 200

    run(case())


def test_client_that_goes_on_sending_after_a_rejection_is_disconnected() -> None:
    async def case() -> None:
        async with serving(body_bytes=10) as served:
            peer = await served.connect()
            await peer.send(post(b"x" * 100_000_000)[:200])
            assert (await peer.read_answer()).status == 413
            for _ in range(2000):
                try:
                    await peer.send(b"x" * 10_000)
                except ConnectionError:
                    break
            else:
                pytest.fail("20 MB were listened to")
            assert served.server.connections == 0

    run(case())
