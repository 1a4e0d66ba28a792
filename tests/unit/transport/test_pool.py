"""The choice of a connection for a request, and the failure of a dead one."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from fakes.clock import PATIENCE_S
from fakes.origin import OK, POST, Answer, FakeOrigin, Peer, ask, connecting, run, send, serving
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.transport import upstream_connection
from pointsman.transport.room import Room
from pointsman.transport.upstream_connection import STALE_S

ONCE = UpstreamRequest(b"POST", b"/files", b"", b"{}", is_replayable=False)
FRESH = UpstreamRequest(b"POST", b"/chat", b"", b"{}", wants_fresh=True)


def closing_on_reuse(ending: str, part: bytes = b"", fresh: int = 10**9) -> Callable[[Peer], object]:
    """Answer the first request of a connection; end it upon the second, with `part` of an answer. Connections from
    number `fresh` on end upon their first request."""

    async def script(peer: Peer) -> None:
        if peer.number < fresh:
            await peer.answer(OK)
        await peer.answer(part)
        await peer.drain()
        peer.close() if ending == "close" else peer.reset()

    return script


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_stale_connection_is_reported_and_the_retry_gets_a_new_one(ending: str) -> None:
    """The pool does not resend by itself, because the provider may have read and billed the request."""

    async def main() -> None:
        async with serving(closing_on_reuse(ending)) as fake, connecting() as client:  # type: ignore[arg-type]
            pooled = [send(client, fake.origin) for _ in range(3)]
            for answer in pooled:
                await answer.finished()
            stale = await ask(client, fake.origin)
            assert stale.failure is not None
            assert (stale.failure_code, stale.failure.was_sent) == ("connection_stale", True)
            assert len(fake.peers) == 3, "only the caller resends a request"
            again = await ask(client, fake.origin, FRESH)
            assert (again.body, again.failure) == (b"ok", None)
            assert len(fake.peers) == 4
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.stale_retries, gauges.connects, gauges.open) == (0, 4, 3)

    run(main())


def test_new_connection_replaces_an_idle_one_at_the_limit() -> None:
    async def main() -> None:
        network = Network(max_connections=2)
        async with serving(closing_on_reuse("reset")) as fake, connecting(network) as client:  # type: ignore[arg-type]
            for answer in [send(client, fake.origin) for _ in range(2)]:
                await answer.finished()
            again = await ask(client, fake.origin, FRESH)
            assert (again.body, again.failure) == (b"ok", None)
            assert client.gauges()[str(fake.origin)].open == 2

    run(main())


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize(("request_", "part"), [(ONCE, b""), (POST, b"H"), (POST, b"HTTP/1.1 100 Continue\r\n\r\n")])
def test_request_that_may_not_be_resent_fails(ending: str, request_: UpstreamRequest, part: bytes) -> None:
    """A request is not resent if it is not replayable, or if the first bytes of an answer have arrived."""

    async def main() -> Answer:
        async with serving(closing_on_reuse(ending, part)) as fake, connecting() as client:  # type: ignore[arg-type]
            await ask(client, fake.origin)
            answer = await ask(client, fake.origin, request_)
            assert len(fake.peers) == 1
            return answer

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("connection_lost", True)


def test_new_connection_that_ends_without_an_answer_is_not_retried() -> None:
    async def main() -> Answer:
        async with serving(closing_on_reuse("close", fresh=0)) as fake, connecting() as client:  # type: ignore[arg-type]
            answer = await ask(client, fake.origin)
            assert len(fake.peers) == 1
            return answer

    answer = run(main())
    assert answer.failure is not None
    assert "without an answer" in answer.failure.message


@pytest.mark.parametrize("ending", ["close", "reset", "bytes"])
def test_idle_connections_that_end_or_send_bytes_leave_the_pool_at_once(ending: str) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            await end.wait()
            if ending == "bytes":
                peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                await peer.wait_closed()
            elif ending == "close":
                peer.close()
            else:
                peer.reset()

        async with serving(script) as fake, connecting() as client:
            end = asyncio.Event()
            for answer in [send(client, fake.origin) for _ in range(5)]:
                await answer.finished()
            assert client.gauges()[str(fake.origin)].idle == 5
            end.set()
            while client.gauges()[str(fake.origin)].open:
                await asyncio.sleep(0.001)
            answer = await ask(client, fake.origin)
            assert answer.failure is None
            assert client.gauges()[str(fake.origin)].stale_retries == 0

    run(main())


def test_keep_alive_races_are_distinguished_from_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection ends at an arbitrary moment after its answer. None of 600 requests fails twice."""
    monkeypatch.setattr(
        upstream_connection, "STALE_S", 10.0
    )  # on a busy machine the end of a connection is reported late

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            for _ in range(peer.number % 5):
                await asyncio.sleep(0)
            if peer.number % 2:
                peer.reset()

        async with serving(script) as fake, connecting() as client:

            async def row() -> None:
                for turn in range(60):
                    answer = await ask(client, fake.origin)
                    if answer.failure is not None:
                        assert answer.failure_code == "connection_stale"
                        answer = await ask(client, fake.origin, FRESH)
                    assert (answer.body, answer.failure) == (b"ok", None)
                    for _ in range(turn % 4):
                        await asyncio.sleep(0)

            await asyncio.gather(*(row() for _ in range(10)))
            await _settled(fake)

    run(main())


async def _settled(fake: FakeOrigin) -> None:
    for peer in fake.peers:
        await peer.wait_closed()


def test_requests_over_the_limit_of_connections_wait_in_order() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                order.append((await peer.request()).split()[1])
                peer.send(OK)

        async with serving(script) as fake, connecting(Network(max_connections=2)) as client:
            order: list[bytes] = []
            answers = [send(client, fake.origin, UpstreamRequest(b"GET", b"/%d" % n, b"", b"")) for n in range(20)]
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.open, gauges.in_flight, gauges.waiting) == (2, 2, 18)
            assert answers[7].leg is not None
            answers[7].leg.cancel()
            for number, answer in enumerate(answers):
                if number != 7:
                    await answer.finished()
                    assert answer.failure is None
            assert len(fake.peers) == 2
            assert sorted(order) == sorted(b"/%d" % n for n in range(20) if n != 7)
            # In the order of arrival, except that one connection may be a request ahead of the other.
            waited = [number for number in (int(path[1:]) for path in order) if number > 1]
            assert all(abs(sorted(waited).index(number) - place) <= 1 for place, number in enumerate(waited)), order
            assert client.gauges()[str(fake.origin)].waiting == 0

    run(main())


def test_queued_request_ends_at_its_deadline_or_replaces_a_closed_connection() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.request()
            await go_on.wait()
            peer.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

        async with serving(script) as fake, connecting(Network(max_connections=1)) as client:
            go_on = asyncio.Event()
            first, short, long = (send(client, fake.origin, timeout_s=limit) for limit in (PATIENCE_S, 0.1, PATIENCE_S))
            moved = send(client, fake.origin)
            assert moved.leg is not None
            moved.leg.deadline = monotonic() + 0.05
            moved.leg.watch()
            for answer in (short, moved):
                await answer.finished()
                assert answer.failure is not None
                assert (answer.failure_code, answer.failure.was_sent) == ("gateway_overloaded", False)
                assert "became free in time; raise egress.connections" in answer.failure.message
            assert not first.is_over
            go_on.set()
            assert (await first.finished()).body == b"ok"
            assert (await long.finished()).body == b"ok"
            assert len(fake.peers) == 2

    run(main())


def test_room_lists_a_pool_whose_connections_are_all_in_use() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.request()
                await go_on.wait()
                peer.send(OK)

        network, room = Network(max_connections=1), Room()
        async with serving(script) as fake, connecting(network, room=room) as client:
            go_on, way = asyncio.Event(), (network, fake.origin)
            first = send(client, fake.origin)
            assert room.saturated == {way}
            second = send(client, fake.origin)
            go_on.set()
            for answer in (first, second):
                assert (await answer.finished()).body == b"ok"
            assert room.saturated == set()
            send(client, fake.origin).leg.cancel()  # type: ignore[union-attr]
            assert room.saturated == set(), "a closed connection leaves room in its pool"
        assert room.used == 0

    run(main())


def test_idle_connections_are_closed_for_another_provider() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            await go_on.wait()

        room = Room(1)
        async with serving(script) as one, serving(script) as other, connecting(room=room) as client:
            go_on = asyncio.Event()
            assert (await ask(client, one.origin)).body == b"ok"
            held = send(client, other.origin)
            rejected = await ask(client, one.origin)
            assert rejected.failure is not None
            assert (rejected.failure_code, rejected.failure.was_sent) == ("gateway_overloaded", False)
            assert "limit of 1 connections to providers" in rejected.failure.message
            assert (await held.finished()).body == b"ok"
            cancelled = send(client, one.origin)
            assert cancelled.leg is not None
            cancelled.leg.cancel()
            go_on.set()
            assert (room.rejected, room.used) == (1, 0)

    run(main())


def test_queued_requests_proceed_when_connecting_fails() -> None:
    async def main() -> None:
        async with serving(closing_on_reuse("close")) as fake:  # type: ignore[arg-type]
            nowhere = fake.origin
        async with connecting(Network(max_connections=1)) as client:
            answers = [send(client, nowhere) for _ in range(5)]
            for answer in answers:
                await answer.finished()
                assert answer.failure is not None
                assert (answer.failure_code, answer.failure.was_sent) == ("connect_failed", False)
                assert "refused" in answer.failure.message

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_cancelling_at_any_moment_leaks_nothing(seed: int) -> None:
    """Requests are cancelled after an arbitrary number of turns of the loop: resolving, connecting, waiting in the
    queue, reading. Each remaining request gets its own answer."""

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def main() -> None:
        before = open_files()
        dice = random.Random(seed)

        async def script(peer: Peer) -> None:
            while True:
                path = (await peer.request()).split()[1]
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(path))
                peer.send(head)
                for _ in range(dice.randrange(3)):
                    await asyncio.sleep(0)
                peer.send(path)
                await peer.drain()
                await asyncio.sleep(0)
                peer.send(path)

        async with serving(script, name="localhost") as fake, connecting(Network(max_connections=8)) as client:
            await ask(client, fake.origin, UpstreamRequest(b"GET", b"/0", b"", b""))

            async def one(number: int) -> None:
                path = b"/%d" % number
                answer = send(client, fake.origin, UpstreamRequest(b"GET", path, b"", b""))
                if dice.random() < 0.5:
                    for _ in range(dice.randrange(40)):
                        await asyncio.sleep(0)
                    assert answer.leg is not None
                    answer.leg.cancel()
                    calls = list(answer.calls)
                    await asyncio.sleep(0.01)
                    assert answer.calls == calls
                else:
                    await answer.finished()
                    assert (answer.body, answer.failure) == (path * 2, None)

            for start in range(1, 401, 40):
                await asyncio.gather(*(one(number) for number in range(start, start + 40)))
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.in_flight, gauges.waiting) == (0, 0)
            assert gauges.open == gauges.idle <= 8
            assert not client._pools[fake.origin]._connecting
        while open_files() > before + 1:  # libuv keeps one file in reserve; `run` bounds the wait
            await asyncio.sleep(0.001)

    run(main())


def test_request_that_the_provider_had_begun_is_not_resent() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(b"")  # reads the second request, works on it for a while, and ends the connection
        await asyncio.sleep(STALE_S + 0.1)
        peer.close()

    async def main() -> None:
        async with serving(script) as fake, connecting() as client:
            await ask(client, fake.origin)
            answer = await ask(client, fake.origin)
            assert answer.failure_code == "connection_lost"
            assert len(fake.peers) == 1
            assert client.gauges()[str(fake.origin)].stale_retries == 0

    run(main())
