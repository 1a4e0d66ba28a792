"""Requests whose body is written in pieces: framing, back-pressure and early answers."""

import asyncio
from time import monotonic

import pytest

from fakes.origin import OK, Answer, Peer, ask, connecting, run, send, serving
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin
from pointsman.transport.http_client import HttpClient
from pointsman.transport.leg import UploadLeg

UPLOAD = UpstreamRequest(b"POST", b"/v1/files", b"Content-Type: application/octet-stream\r\n", b"")


def upload(client: HttpClient, origin: Origin, length: int | None, timeout_s: float = 5.0) -> tuple[Answer, UploadLeg]:
    answer = Answer()
    leg = client.send_streaming(origin, UPLOAD, answer, monotonic() + timeout_s, length)
    answer.leg = leg
    return answer, leg


@pytest.mark.parametrize("length", [None, 11])
@pytest.mark.parametrize("is_late", [False, True])
def test_upload_is_sent_as_expected_bytes(length: int | None, is_late: bool) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(OK)

        async with serving(script) as fake, connecting() as client:
            for _ in range(2):  # over a new connection, then over the same
                answer, leg = upload(client, fake.origin, length)
                ready = asyncio.Event()
                leg.on_writable = ready.set
                if is_late:
                    await ready.wait()
                leg.write_body(b"hello ")
                assert leg.write_body(b"")
                leg.write_body(b"world")
                leg.end_body()
                leg.end_body()
                assert (await answer.finished()).body == b"ok"
            head = b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % fake.origin.port + UPLOAD.headers
            if length is None:
                one = head + b"Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
            else:
                one = head + b"Content-Length: 11\r\n\r\nhello world"
            assert [peer.received for peer in fake.peers] == [one * 2]

    run(main())


def test_on_writable_is_called_when_a_connection_is_open() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(OK)

        async with serving(script) as fake, connecting(Network(max_connections=1)) as client:
            for _ in range(2):
                answer, leg = upload(client, fake.origin, 3)

                def give(leg: UploadLeg = leg) -> None:
                    leg.write_body(b"abc")
                    leg.end_body()

                leg.on_writable = give
                assert (await answer.finished()).failure is None

    run(main())


def test_upload_must_match_its_announced_length() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)

        async with serving(script) as fake, connecting() as client:
            _, leg = upload(client, fake.origin, 3)
            leg.write_body(b"ab")
            with pytest.raises(ValueError, match="1 bytes shorter than its announced length"):
                leg.end_body()
            with pytest.raises(ValueError, match="longer than its announced length"):
                leg.write_body(b"cd")
            leg.cancel()

    run(main())


def test_slow_reader_pauses_the_upload() -> None:
    piece = b"x" * 65536
    total = 400

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await slow.wait()
            request = await peer.request()
            assert len(request) > total * len(piece)
            peer.send(OK)
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            slow = asyncio.Event()
            answer, leg = upload(client, fake.origin, total * len(piece))
            written = 0
            stalls = 0

            def give() -> None:
                nonlocal written, stalls
                while written < total:
                    written += 1
                    if not leg.write_body(piece):
                        stalls += 1
                        return
                leg.end_body()

            leg.on_writable = give
            while not stalls:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
            held_at = written
            await asyncio.sleep(0.05)
            assert written == held_at < total
            slow.set()
            assert (await answer.finished()).body == b"ok"
            assert written == total

    run(main())


@pytest.mark.parametrize("length", [None, 10**9])
def test_early_answer_is_delivered_and_the_connection_closed(length: int | None) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            if peer.number == 0:
                await peer._until(b"\r\n\r\n")
                peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
                await peer.wait_closed()
                ended.set()
            else:
                await peer.answer(OK)
                await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            ended = asyncio.Event()
            answer, leg = upload(client, fake.origin, length)
            leg.write_body(b"begin")
            await answer.finished()
            assert (answer.status, answer.body, answer.failure) == (413, b"big", None)
            assert leg.write_body(b"more")  # dropped
            leg.end_body()
            await ended.wait()
            assert client.gauges()[str(fake.origin)].open == 0
            assert (await ask(client, fake.origin)).body == b"ok"

    run(main())


def test_early_answer_to_an_unsent_body_closes_the_connection() -> None:
    """The whole body was written, but most of it is not sent yet, so the connection cannot be reused."""

    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer._until(b"\r\n\r\n")
            peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            await closed.wait()

        async with serving(script) as fake, connecting() as client:
            closed = asyncio.Event()
            answer = send(client, fake.origin, UpstreamRequest(b"POST", b"/", b"", bytes(30_000_000)))
            await answer.finished()
            assert (answer.status, answer.body) == (413, b"big")
            assert client.gauges()[str(fake.origin)].open == 0
            closed.set()

    run(main())


def test_upload_over_a_dead_connection_fails_and_is_not_sent_again() -> None:
    async def main() -> Answer:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            await peer._until(b"\r\n\r\n")
            peer.reset()

        async with serving(script) as fake, connecting() as client:
            await ask(client, fake.origin)
            answer, leg = upload(client, fake.origin, None)
            leg.write_body(b"abc")
            leg.end_body()
            await answer.finished()
            assert len(fake.peers) == 1
            return answer

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("connection_lost", True)


def test_cancelling_an_upload_closes_it(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer._until(b"begin\r\n")
            begun.set()
            await peer.wait_closed()
            ended.set()

        async with serving(script) as fake, connecting() as client:
            begun, ended = asyncio.Event(), asyncio.Event()
            answer, leg = upload(client, fake.origin, None)
            leg.write_body(b"begin")
            await begun.wait()
            leg.cancel()
            assert leg.write_body(b"more")
            leg.end_body()
            await ended.wait()
            assert answer.calls == []
            assert not caplog.records

    run(main())
