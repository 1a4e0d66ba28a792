"""The client as the engine uses it: sent bytes, deadlines, cancelling, pausing and closing."""

import asyncio
import contextlib
from time import monotonic

import pytest

from fakes.clock import PATIENCE_S, SOON_S, Clock
from fakes.origin import GET, OK, POST, Answer, Peer, ask, connecting, run, send, serving
from pointsman.domain import failures
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_client import HttpClient
from pointsman.transport.resolver import Address, Resolver

POST_ON_THE_WIRE = (
    b"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
    b'Content-Length: 7\r\n\r\n{"a":1}'
)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (GET, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"),
        (
            POST,
            b"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            + POST.headers
            + b"Content-Length: 7\r\n\r\n"
            + POST.body,
        ),
        (
            UpstreamRequest(b"POST", b"/", b"", b""),
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
)
def test_request_is_sent_as_expected_bytes(request_: UpstreamRequest, expected: bytes) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            assert await peer.wait_closed() == b""

        async with serving(script) as fake, connecting() as client:
            await ask(client, fake.origin, request_)
            assert fake.peers[0].received == expected % fake.origin.port

    run(main())


def test_default_port_is_not_in_the_host_header() -> None:
    async def main() -> None:
        async with connecting() as client:
            for origin, line in [
                (Origin("http", "a.example", 80), b" HTTP/1.1\r\nHost: a.example\r\n"),
                (Origin("https", "a.example", 443), b" HTTP/1.1\r\nHost: a.example\r\n"),
                (Origin("https", "a.example", 80), b" HTTP/1.1\r\nHost: a.example:80\r\n"),
                (Origin("http", "::1", 80), b" HTTP/1.1\r\nHost: [::1]\r\n"),
                (Origin("http", "[::1]", 81), b" HTTP/1.1\r\nHost: [::1]:81\r\n"),
            ]:
                assert client._open_pool(origin).request_line_end == line

    run(main())


def test_most_recently_used_connection_is_reused_and_gauges_count_it() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                await release.wait()
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % peer.number)

        async with serving(script) as fake, connecting() as client:
            release = asyncio.Event()
            answers = [send(client, fake.origin) for _ in range(3)]
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.open, gauges.idle, gauges.in_flight, gauges.connects) == (3, 0, 3, 3)
            release.set()
            for answer in answers:
                await answer.finished()
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.open, gauges.idle, gauges.in_flight, gauges.reuses) == (3, 3, 0, 0)
            numbers = [(await ask(client, fake.origin)).body for _ in range(5)]
            assert len(set(numbers)) == 1
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.open, gauges.idle, gauges.reuses, gauges.stale_retries) == (3, 3, 5, 0)

    run(main())


def test_idle_connection_is_closed_after_its_timeout() -> None:
    clock = Clock()

    async def main() -> None:
        async def script(peer: Peer) -> None:
            for _ in range(3):
                await peer.answer(OK)
            await peer.wait_closed()
            ended.set()

        async with serving(script) as fake, connecting(Network(idle_timeout_s=2.0), clock=clock) as client:
            ended = asyncio.Event()
            for _ in range(3):  # each use restarts the timeout
                assert (await ask(client, fake.origin)).body == b"ok"
                clock.now += 1.5
                await asyncio.sleep(0.05)  # long enough for a tick of the timer
            assert client.gauges()[str(fake.origin)].idle == 1
            assert await clock.run_until(ended.is_set) >= 0.49
            assert client.gauges()[str(fake.origin)].open == 0

    run(main())


class Silent:
    """A script that stops after some parts of an answer, and an event that is set when the client disconnects."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.gone = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        await peer.answer(*self.parts)
        await peer.wait_closed()
        self.gone.set()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "did not answer in time"),
        ((b"HTTP/1.1 200",), "did not answer in time"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), "did not answer in time"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",), "did not continue it in time"),
        ((b"HTTP/1.1 200 OK\r\n\r\nabc",), "did not continue it in time"),
    ],
)
def test_deadline_ends_the_leg_and_its_connection(parts: tuple[bytes, ...], message: str) -> None:
    clock = Clock()

    async def main() -> Answer:
        async with serving(script := Silent(*parts)) as fake, connecting(clock=clock) as client:
            answer = send(client, fake.origin, timeout_s=PATIENCE_S)
            assert answer.leg is not None
            answer.leg.deadline = clock.now + 1.0
            answer.leg.watch()
            answer.leg.timeout_kind = failures.STALLED
            await _until(lambda: bool(fake.peers and fake.peers[0].received))
            if message == "did not continue it in time":
                await answer.until(lambda: answer.calls)
            assert await clock.run_until(lambda: answer.is_over) >= 0.99
            await script.gone.wait()
            assert client.gauges()[str(fake.origin)].open == 0
            return answer

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("stream_stalled", True)
    assert message in answer.failure.message


def test_deadline_may_be_moved_later_and_earlier() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nabc")
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            answer = send(client, fake.origin, timeout_s=0.05)
            leg = answer.leg
            assert leg is not None
            leg.deadline = monotonic() + PATIENCE_S
            await asyncio.sleep(0.15)
            assert not answer.is_over
            started = monotonic()
            leg.deadline = started + 0.05
            leg.watch()
            await answer.finished()
            assert monotonic() - started >= 0.05
            assert answer.failure_code == "upstream_timeout"

    run(main())


def test_cancel_closes_at_once_before_and_during_the_answer() -> None:
    async def main(*parts: bytes, paused: bool) -> None:
        async with serving(script := Silent(*parts)) as fake, connecting() as client:
            answer = send(client, fake.origin)
            leg = answer.leg
            assert leg is not None
            if parts:
                await answer.until(lambda: answer.pieces)
            else:
                await _until(lambda: bool(fake.peers and fake.peers[0].received))
            if paused:
                leg.pause()
            calls = list(answer.calls)
            started = monotonic()
            leg.cancel()
            leg.cancel()
            await script.gone.wait()
            assert monotonic() - started < SOON_S
            assert answer.calls == calls
            assert client.gauges()[str(fake.origin)].open == 0
            assert (await ask(client, fake.origin, timeout_s=0.05)).failure_code == "upstream_timeout"

    run(main(paused=False))
    run(main(b"HTTP/1.1 200 OK\r\n\r\nabc", paused=False))
    run(main(b"HTTP/1.1 200 OK\r\n\r\nabc", paused=True))


def test_cancel_works_before_and_during_connecting() -> None:
    async def main() -> None:
        async with serving(Silent()) as fake, connecting() as client:
            at_once = send(client, fake.origin)
            assert at_once.leg is not None
            at_once.leg.cancel()
            for turns in range(1, 6):
                answer = send(client, fake.origin)
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert answer.leg is not None
                answer.leg.cancel()
                assert client.gauges()[str(fake.origin)].open == 0
                assert answer.calls == []
            await asyncio.sleep(0.02)
            assert all(peer.received == b"" for peer in fake.peers) or len(fake.peers) <= 5
            assert at_once.calls == []

    run(main())


def test_cancel_and_deadline_work_during_a_name_lookup() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        held = asyncio.Event()

        def lookup(host: str) -> list[Address]:
            asyncio.run_coroutine_threadsafe(held.wait(), loop).result()
            return []

        async with connecting(resolver=Resolver(loop, lookup)) as client:
            origin = Origin("http", "slow.example", 80)
            cancelled, late = send(client, origin), send(client, origin, timeout_s=0.05)
            await asyncio.sleep(0.01)
            assert cancelled.leg is not None
            cancelled.leg.cancel()
            await late.finished()
            assert late.failure is not None
            assert late.failure_code == "upstream_timeout"
            assert late.failure.was_sent is False
            assert "resolving the name" in late.failure.message
            assert client.gauges()[str(origin)].open == 0
            held.set()
            await asyncio.sleep(0.01)
            assert cancelled.calls == []

    run(main())


def test_cancel_works_inside_every_callback() -> None:
    class Cancelling(Answer):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

        def _note(self, call: str) -> None:
            super()._note(call)
            if call == self.where:
                assert self.leg is not None
                self.leg.cancel()
                self.is_over = True

    async def main(reply: bytes, where: str) -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(reply)

        async with serving(script) as fake, connecting() as client:
            for _ in range(3):
                answer = Cancelling(where)
                answer.leg = client.send(fake.origin, GET, answer, monotonic() + 5)
                await answer.finished()
                assert answer.calls[-1] == where
            assert client.gauges()[str(fake.origin)].in_flight == 0
            plain = await ask(client, fake.origin)
            assert (plain.body, plain.failure) == (b"ok", None)

    for where in ("head", "data", "end"):
        run(main(OK, where))
        run(main(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", where))


def test_large_bodies_stream_through_a_paused_reader_with_bounded_memory() -> None:
    size = 32 * 1024 * 1024
    block = bytes(range(256)) * 256

    async def main() -> None:
        sent = 0

        async def script(peer: Peer) -> None:
            nonlocal sent
            await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            while sent < size:
                peer.send(block)
                sent += len(block)
                await peer.drain()
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            received = 0
            is_right = True

            class Reader(Answer):
                def on_data(self, data: bytes) -> None:
                    nonlocal received, is_right
                    at = received % 256
                    is_right = is_right and data == (block[at:] + block * (len(data) // len(block) + 1))[: len(data)]
                    received += len(data)
                    if received == len(data):
                        assert self.leg is not None
                        self.leg.pause()
                        self._note("data")

            answer = Reader()
            answer.leg = client.send(fake.origin, GET, answer, monotonic() + PATIENCE_S)
            await answer.until(lambda: received)
            before = received
            await asyncio.sleep(0.1)
            assert received == before  # nothing is delivered while the leg is paused
            assert sent < size  # so the sender is paused too
            answer.leg.resume()
            await answer.finished()
            assert (received, is_right, answer.failure) == (size, True, None)
            assert (await ask(client, fake.origin, timeout_s=0.05)).calls  # the connection is read again

    run(main())


def test_connection_reads_again_after_a_leg_paused_in_its_last_piece() -> None:
    class Pausing(Answer):
        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            assert self.leg is not None
            self.leg.pause()

    async def main(reply: bytes) -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(reply)

        async with serving(script) as fake, connecting() as client:
            for _ in range(3):
                answer = Pausing()
                answer.leg = client.send(fake.origin, GET, answer, monotonic() + PATIENCE_S)
                await answer.finished()
                assert (answer.body, answer.failure) == (b"ok", None)
                answer.leg.resume()
            assert len(fake.peers) == 1

    run(main(OK))
    run(main(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))


def test_leg_paused_before_it_is_connected_reads_nothing_until_resumed() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            answered.set()
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            answered = asyncio.Event()
            answer = send(client, fake.origin)
            assert answer.leg is not None
            answer.leg.pause()
            await answered.wait()
            await asyncio.sleep(0.02)
            assert answer.calls == []
            answer.leg.resume()
            assert (await answer.finished()).body == b"ok"

    run(main())


def test_close_fails_requests_in_progress() -> None:
    async def main() -> list[Answer]:
        async with serving(script := Silent()) as fake:
            loop = asyncio.get_running_loop()
            client = HttpClient(loop, Deadlines(loop), Network(max_connections=2))
            answers = [send(client, fake.origin)]
            await _until(lambda: bool(fake.peers and fake.peers[0].received))
            answers += [send(client, fake.origin), send(client, fake.origin)]  # connecting, and waiting
            await client.close()
            await script.gone.wait()
            with contextlib.suppress(RuntimeError):
                send(client, Origin("http", "other.example", 80))
                pytest.fail("a closed client takes requests")
            return answers

    for answer in run(main()):
        assert answer.failure_code == "shutting_down"


async def _until(condition: object) -> None:
    assert callable(condition)
    while not condition():
        await asyncio.sleep(0.001)
