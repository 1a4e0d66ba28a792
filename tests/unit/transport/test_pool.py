"""Which connection a request gets, and what happens when the one it got was dead."""

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
def test_a_stale_connection_is_told_and_the_second_sending_gets_a_fresh_one(ending: str) -> None:
    """The provider may have read and billed the first."""

    async def main() -> None:
        async with serving(closing_on_reuse(ending)) as fake, connecting() as client:  # type: ignore[arg-type]
            pooled = [send(client, fake.origin) for _ in range(3)]
            for answer in pooled:
                await answer.over()
            stale = await ask(client, fake.origin)
            assert stale.failure is not None
            assert (stale.failure_code, stale.failure.was_sent) == ("connection_stale", True)
            assert len(fake.peers) == 3, "nothing was sent a second time behind anybody's back"
            again = await ask(client, fake.origin, FRESH)
            assert (again.body, again.failure) == (b"ok", None)
            assert len(fake.peers) == 4
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.stale_retries, gauges.connects, gauges.open) == (0, 4, 3)

    run(main())


def test_a_fresh_connection_takes_the_room_of_one_that_is_idle() -> None:
    async def main() -> None:
        network = Network(max_connections=2)
        async with serving(closing_on_reuse("reset")) as fake, connecting(network) as client:  # type: ignore[arg-type]
            for answer in [send(client, fake.origin) for _ in range(2)]:
                await answer.over()
            again = await ask(client, fake.origin, FRESH)
            assert (again.body, again.failure) == (b"ok", None)
            assert client.gauges()[str(fake.origin)].open == 2

    run(main())


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize(("request_", "part"), [(ONCE, b""), (POST, b"H"), (POST, b"HTTP/1.1 100 Continue\r\n\r\n")])
def test_what_may_not_be_sent_again_fails(ending: str, request_: UpstreamRequest, part: bytes) -> None:
    """Not replayable, or the first bytes of an answer have come."""

    async def main() -> Answer:
        async with serving(closing_on_reuse(ending, part)) as fake, connecting() as client:  # type: ignore[arg-type]
            await ask(client, fake.origin)
            answer = await ask(client, fake.origin, request_)
            assert len(fake.peers) == 1
            return answer

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("connection_lost", True)


def test_a_fresh_connection_that_ends_without_an_answer_is_not_tried_again() -> None:
    async def main() -> Answer:
        async with serving(closing_on_reuse("close", fresh=0)) as fake, connecting() as client:  # type: ignore[arg-type]
            answer = await ask(client, fake.origin)
            assert len(fake.peers) == 1
            return answer

    answer = run(main())
    assert answer.failure is not None
    assert "without an answer" in answer.failure.message


@pytest.mark.parametrize("ending", ["close", "reset", "bytes"])
def test_idle_connections_that_end_or_speak_leave_the_pool_at_once(ending: str) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            await end.wait()
            if ending == "bytes":
                peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                await peer.gone()
            elif ending == "close":
                peer.close()
            else:
                peer.reset()

        async with serving(script) as fake, connecting() as client:
            end = asyncio.Event()
            for answer in [send(client, fake.origin) for _ in range(5)]:
                await answer.over()
            assert client.gauges()[str(fake.origin)].idle == 5
            end.set()
            while client.gauges()[str(fake.origin)].open:
                await asyncio.sleep(0.001)
            answer = await ask(client, fake.origin)
            assert answer.failure is None
            assert client.gauges()[str(fake.origin)].stale_retries == 0

    run(main())


def test_keep_alive_races_are_told_from_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection dies at an arbitrary moment after its answer; of 600 requests none fails twice."""
    monkeypatch.setattr(upstream_connection, "STALE_S", 10.0)  # on a busy machine the news takes its time

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
        await peer.gone()


def test_beyond_the_largest_number_of_connections_requests_wait_in_turn() -> None:
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
                    await answer.over()
                    assert answer.failure is None
            assert len(fake.peers) == 2
            assert sorted(order) == sorted(b"/%d" % n for n in range(20) if n != 7)
            # As they came, but that each connection may be a step ahead of the other.
            waited = [number for number in (int(path[1:]) for path in order) if number > 1]
            assert all(abs(sorted(waited).index(number) - place) <= 1 for place, number in enumerate(waited)), order
            assert client.gauges()[str(fake.origin)].waiting == 0

    run(main())


def test_a_waiting_request_is_bounded_by_its_deadline_and_gets_the_place_of_a_closed_connection() -> None:
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
                await answer.over()
                assert answer.failure is not None
                assert (answer.failure_code, answer.failure.was_sent) == ("gateway_overloaded", False)
                assert "became free in time; raise egress.connections" in answer.failure.message
            assert not first.is_over
            go_on.set()
            assert (await first.over()).body == b"ok"
            assert (await long.over()).body == b"ok"
            assert len(fake.peers) == 2

    run(main())


def test_where_every_connection_is_in_use_those_who_decide_are_told() -> None:
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
            assert room.crowded == {way}
            second = send(client, fake.origin)
            go_on.set()
            for answer in (first, second):
                assert (await answer.over()).body == b"ok"
            assert room.crowded == set()
            send(client, fake.origin).leg.cancel()  # type: ignore[union-attr]
            assert room.crowded == set(), "a closed connection leaves room"
        assert room.used == 0

    run(main())


def test_idle_connections_to_one_provider_make_room_for_another() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            await go_on.wait()

        room = Room(1)
        async with serving(script) as one, serving(script) as other, connecting(room=room) as client:
            go_on = asyncio.Event()
            assert (await ask(client, one.origin)).body == b"ok"
            held = send(client, other.origin)
            refused = await ask(client, one.origin)
            assert refused.failure is not None
            assert (refused.failure_code, refused.failure.was_sent) == ("gateway_overloaded", False)
            assert "limit of 1 connections to providers" in refused.failure.message
            assert (await held.over()).body == b"ok"
            cancelled = send(client, one.origin)
            assert cancelled.leg is not None
            cancelled.leg.cancel()
            go_on.set()
            assert (room.refused, room.used) == (1, 0)

    run(main())


def test_when_connecting_fails_those_who_wait_are_not_forgotten() -> None:
    async def main() -> None:
        async with serving(closing_on_reuse("close")) as fake:  # type: ignore[arg-type]
            nowhere = fake.origin
        async with connecting(Network(max_connections=1)) as client:
            answers = [send(client, nowhere) for _ in range(5)]
            for answer in answers:
                await answer.over()
                assert answer.failure is not None
                assert (answer.failure_code, answer.failure.was_sent) == ("connect_failed", False)
                assert "refused" in answer.failure.message

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_cancelling_at_any_moment_leaks_nothing(seed: int) -> None:
    """Requests are cancelled after an arbitrary number of turns of the loop: resolving, connecting, waiting in the
    queue, reading. Whoever is left gets the answer to the own request."""

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
                    await answer.over()
                    assert (answer.body, answer.failure) == (path * 2, None)

            for start in range(1, 401, 40):
                await asyncio.gather(*(one(number) for number in range(start, start + 40)))
            gauges = client.gauges()[str(fake.origin)]
            assert (gauges.in_flight, gauges.waiting) == (0, 0)
            assert gauges.open == gauges.idle <= 8
            assert not client._pools[fake.origin]._connecting
        while open_files() > before + 1:  # libuv keeps one in reserve; `run` bounds the wait
            await asyncio.sleep(0.001)

    run(main())


def test_a_request_the_provider_was_at_work_on_is_not_sent_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(b"")  # takes the second request, works on it for a while, and dies
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
