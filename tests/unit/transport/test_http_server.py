"""Valid requests and their answers: framing, keep-alive, pipelining, streams and TLS."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import pytest
import trustme
import uvloop

from fakes.serving import GET, LINES, Peer, Recorder, echo, post, run, serving, until, wait
from pointsman.transport.client_connection import ClientConnection
from pointsman.transport.http_server import BodyMode, Exchange

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"


@pytest.mark.parametrize("loop_factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_connection_carries_several_requests_in_turn(loop_factory: Callable[[], Any]) -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            for size in (0, 1, 10, 100_000, 3_000_000, 7):
                answer = await peer.ask(post(b"x" * size, target=b"/a//../b%20?c=d?e"))
                assert (answer.status, len(answer.body)) == (200, size)
                assert answer.headers == {"x-test": "yes", "content-length": str(size)}
            head = served.handler.exchanges[-1].head
            assert (head.method, head.path, head.query) == (b"POST", b"/a//../b%20", b"c=d?e")
            assert head.target == b"/a//../b%20?c=d?e"
            assert head.headers == {b"host": b"a"}
            assert served.handler.exchanges[-1].body_length == 7
            assert served.handler.exchanges[-1].peer == "127.0.0.1"

    run(case(), loop_factory)


def test_repeated_headers_are_joined_and_stripped() -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            await peer.ask(b"GET / HTTP/1.1\r\nhOST: a\r\nX-A:  1 \t\r\nx-a:2\r\nX-B:\r\n\r\n")
            assert served.handler.exchanges[0].head.headers == {b"host": b"a", b"x-a": b"1, 2", b"x-b": b""}

    run(case())


@pytest.mark.parametrize(
    ("request_", "status", "expected"),
    [
        (GET, 200, b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 2\r\n\r\nok"),
        (GET, 204, b"HTTP/1.1 204 No Content\r\nX-Test: yes\r\n\r\n"),
        (GET, 304, b"HTTP/1.1 304 Not Modified\r\nX-Test: yes\r\n\r\n"),
        (GET, 599, b"HTTP/1.1 599 \r\nX-Test: yes\r\nContent-Length: 2\r\n\r\nok"),
        (HEAD, 200, b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 2\r\n\r\n"),
        (OLD, 200, b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
    ],
)
def test_answer_in_one_piece_has_the_expected_bytes(request_: bytes, status: int, expected: bytes) -> None:
    async def case() -> None:
        async with serving(Recorder(lambda exchange: exchange.send(status, LINES, b"ok"))) as served:
            peer = await served.connect()
            await peer.send(request_)
            assert await peer.reader.readexactly(len(expected)) == expected
            if request_ == OLD:
                assert await peer.is_ended()
            else:  # the next answer follows directly
                await peer.send(request_)
                assert await peer.reader.readexactly(len(expected)) == expected

    run(case())


CHUNKED = b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDED = b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nConnection: close\r\n\r\n"
FIXED = b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "length", "expected"),
    [
        (GET, None, CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        (GET, 5, FIXED + b"abcde"),
        (HEAD, None, CHUNKED),
        (HEAD, 5, FIXED),
        (OLD, None, ENDED + b"abcde"),
    ],
)
def test_answer_in_pieces_has_the_expected_bytes(request_: bytes, length: int | None, expected: bytes) -> None:
    def serve(exchange: Exchange) -> None:
        exchange.start(200, LINES, length)
        assert exchange.write(b"abc")
        assert exchange.write(b"")
        assert exchange.write(b"de")
        assert not exchange.is_closed
        exchange.end()
        assert exchange.is_closed
        exchange.write(b"too late")
        exchange.end()
        exchange.abort()

    async def case() -> None:
        async with serving(Recorder(serve)) as served:
            peer = await served.connect()
            await peer.send(request_)
            assert await peer.reader.readexactly(len(expected)) == expected
            if request_ == OLD:
                assert await peer.is_ended()
            else:
                await peer.send(request_)
                assert await peer.reader.readexactly(len(expected)) == expected

    run(case())


@pytest.mark.parametrize("ending", [Exchange.abort, Exchange.end])
@pytest.mark.parametrize("length", [None, 5])
def test_aborted_answer_is_visibly_incomplete(ending: Callable[[Exchange], None], length: int | None) -> None:
    if length is None and ending is Exchange.end:
        return

    def serve(exchange: Exchange) -> None:
        exchange.start(200, LINES, length)
        exchange.write(b"abc")
        ending(exchange)

    async def case() -> None:
        handler = Recorder(serve)
        async with serving(handler) as served:
            peer = await served.connect()
            await peer.send(GET)
            expected = CHUNKED + b"3\r\nabc\r\n" if length is None else FIXED + b"abc"
            assert await peer.reader.read() == expected
            assert handler.disconnects == 0

    run(case())


def test_aborted_answer_without_a_length_resets_the_connection() -> None:
    async def case() -> None:
        async with serving(Recorder(wait)) as served:
            peer = await served.connect()
            await peer.send(OLD)
            await served.handler.arrived.wait()
            exchange = served.handler.exchanges[0]
            exchange.start(200, LINES)
            exchange.write(b"abc")
            assert await peer.reader.readexactly(len(ENDED) + 3) == ENDED + b"abc"
            exchange.abort()
            with pytest.raises(ConnectionResetError):
                await peer.reader.read()

    run(case())


def test_misuse_is_an_error() -> None:
    async def case() -> None:
        async with serving(Recorder(wait)) as served:
            peer = await served.connect()
            await peer.send(GET)
            await served.handler.arrived.wait()
            exchange = served.handler.exchanges[0]
            for call in (exchange.end, lambda: exchange.write(b"x")):
                with pytest.raises(RuntimeError, match="not been started"):
                    call()
            exchange.start(200, b"", 1)
            with pytest.raises(RuntimeError, match="already been started"):
                exchange.start(200, b"")
            with pytest.raises(RuntimeError, match="already been started"):
                exchange.send(200, b"", b"")
            with pytest.raises(RuntimeError, match="longer than its announced length"):
                exchange.write(b"xx")

    run(case())


def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    async def case() -> None:
        handler = Recorder(wait)
        async with serving(handler) as served:
            peer = await served.connect()
            await peer.send(post(b"0") + GET + post(b"22") + post(b"3", b"Transfer-Encoding: x")[:20])
            for number in range(3):
                await handler.arrived.wait()
                handler.arrived.clear()
                await asyncio.sleep(0)
                assert len(handler.exchanges) == number + 1
                handler.exchanges[number].send(200, b"", b"%d" % number)
                assert (await peer.read_answer()).body == b"%d" % number
            assert [exchange.body for exchange in handler.exchanges] == [b"0", b"", b"22"]

    run(case())


def test_many_pipelined_requests_answered_at_once_do_not_nest() -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            await peer.send(GET * 3000)
            for _ in range(3000):
                assert (await peer.read_answer()).status == 200

    run(case())


@pytest.mark.parametrize("chunk", [1, 7, 4096, 300_000])
def test_chunked_body_is_collected(chunk: int) -> None:
    async def case() -> None:
        body = bytes(range(256)) * (300 if chunk == 1 else 2000)
        chunks = (body[at : at + chunk] for at in range(0, len(body), chunk))
        coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks) + b"0\r\n\r\n"
        async with serving() as served:
            peer = await served.connect()
            request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n" + coded
            for _ in range(2):
                assert (await peer.ask(request)).body == body
            assert served.handler.exchanges[0].body_length == len(body)

    run(case())


def test_client_may_request_the_end_of_the_connection() -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            answer = await peer.ask(post(b"hi", b"Connection: TE, Close"))
            assert answer.headers["connection"] == "close"
            assert await peer.is_ended()

    run(case())


@pytest.mark.parametrize("is_started", [False, True])
def test_exception_of_a_handler_affects_only_its_request(is_started: bool, caplog: pytest.LogCaptureFixture) -> None:
    def serve(exchange: Exchange) -> None:
        if exchange.body == b"bad":
            if is_started:
                exchange.start(200, b"")
                exchange.write(b"x")
            raise ValueError("broken")
        exchange.send(200, b"", b"fine")

    async def case() -> None:
        async with serving(Recorder(serve)) as served:
            good, bad = await served.connect(), await served.connect()
            await bad.send(post(b"bad"))
            received = await bad.reader.read()
            if is_started:
                assert received.endswith(b"1\r\nx\r\n")
            else:
                assert received.startswith(b"HTTP/1.1 500 ")
            assert (await good.ask(post(b"good"))).body == b"fine"

    with caplog.at_level(logging.ERROR):
        run(case())
    assert "broken" in caplog.text


@pytest.mark.parametrize("place", ["on_data", "on_end", "on_cancel", "on_drain"])
def test_exception_of_a_callback_affects_only_its_connection(place: str, caplog: pytest.LogCaptureFixture) -> None:
    def boom(*_: object) -> None:
        raise ValueError("broken")

    def serve(exchange: Exchange) -> None:
        if place in ("on_data", "on_end"):
            ignore: Callable[..., None] = lambda *_: None  # noqa: E731
            callbacks = {"on_data": ignore, "on_end": ignore, place: boom}
            exchange.read_body(callbacks["on_data"], callbacks["on_end"])
        else:
            setattr(exchange, place, boom)
            exchange.start(200, b"")
            while place == "on_drain" and exchange.write(b"x" * 65536):
                pass

    async def case() -> None:
        async with serving(Recorder(serve, BodyMode.STREAM)) as served:
            peer = await served.connect()
            await peer.send(post(b"hi"))
            if place == "on_cancel":
                await served.handler.arrived.wait()
                peer.finish()
                await until(lambda: served.server.connections == 0)
            else:
                received = await peer.reader.read()
                assert not received.endswith(b"0\r\n\r\n")
            served.handler.serve = lambda exchange: exchange.send(200, b"", b"fine")
            assert (await (await served.connect()).ask(GET)).body == b"fine"

    with caplog.at_level(logging.ERROR):
        run(case())
    assert "broken" in caplog.text


def test_output_waits_until_the_client_reads() -> None:
    async def case() -> None:
        drained = asyncio.Event()
        async with serving(Recorder(wait)) as served:
            peer = await served.connect()
            await peer.send(GET)
            await served.handler.arrived.wait()
            exchange = served.handler.exchanges[0]
            exchange.on_drain = drained.set
            exchange.start(200, b"", 64 << 20)
            pieces = 0
            while exchange.write(b"x" * 65536):
                pieces += 1
                await asyncio.sleep(0)
            pieces += 1
            assert pieces < 300, "output fits into the kernel's buffers and the high-water mark"
            assert not drained.is_set()
            await peer.reader.readuntil(b"\r\n\r\n")
            await peer.reader.readexactly(pieces * 65536)
            await drained.wait()
            assert exchange.write(b"x")

    run(case())


def test_client_that_pipelines_without_reading_is_not_served() -> None:
    async def case() -> None:
        handler = Recorder(lambda exchange: exchange.send(200, b"", b"x" * 1_000_000))
        async with serving(handler) as served:
            peer = await served.connect()
            cast("asyncio.Transport", peer.writer.transport).pause_reading()
            await peer.send(GET * 100)
            await handler.arrived.wait()
            for _ in range(50):
                await asyncio.sleep(0)
            assert len(handler.exchanges) < 20
            cast("asyncio.Transport", peer.writer.transport).resume_reading()
            for _ in range(100):
                assert len((await peer.read_answer()).body) == 1_000_000

    run(case())


def test_streamed_body_is_delivered_as_it_arrives() -> None:
    async def case() -> None:
        pieces: list[bytes] = []
        ended = asyncio.Event()
        handler = Recorder(lambda exchange: exchange.read_body(pieces.append, ended.set), BodyMode.STREAM)
        async with serving(handler) as served:
            peer = await served.connect()
            for request in (post(b"abcdef"), post(b""), post(b"abc" + b"d" * 500_000)):
                pieces.clear()
                ended.clear()
                await peer.send(request[:-3])
                while not request.endswith(b"".join(pieces) + request[-3:]):
                    await asyncio.sleep(0)
                await peer.send(request[-3:])
                await ended.wait()
                assert b"".join(pieces) == request.partition(b"\r\n\r\n")[2]
                handler.exchanges[-1].send(200, b"", b"")
                assert (await peer.read_answer()).headers == {"content-length": "0"}

    run(case())


@pytest.mark.parametrize("framing", ["fixed", "chunked"])
def test_streamed_body_can_be_paused(framing: str) -> None:
    async def case() -> None:
        received = bytearray()
        ended = asyncio.Event()
        body = bytes(range(251)) * 20_000
        if framing == "fixed":
            request = post(body)
        else:
            request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
                b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:1], body[1:3_000_000], body[3_000_000:])
            )
            request += b"0\r\n\r\n"

        def on_data(piece: bytes) -> None:
            received.extend(piece)
            exchange = handler.exchanges[0]
            exchange.pause_body()
            asyncio.get_running_loop().call_soon(exchange.resume_body)

        handler = Recorder(lambda exchange: exchange.read_body(on_data, ended.set), BodyMode.STREAM)
        async with serving(handler) as served:
            peer = await served.connect()
            await peer.send(request)
            await ended.wait()
            assert received == body
            handler.exchanges[0].send(200, b"", b"done")
            assert (await peer.read_answer()).body == b"done"
            handler.serve = echo
            assert (await peer.ask(post(b""))).status == 200, "the connection serves the next request"

    run(case())


def test_answer_before_the_end_of_the_body_closes_the_connection() -> None:
    async def case() -> None:
        handler = Recorder(lambda exchange: exchange.send(403, b"", b"no"), BodyMode.STREAM)
        async with serving(handler) as served:
            peer = await served.connect()
            peer.writer.write(post(b"x" * 600_000))  # more than the buffers take, less than is dropped after the answer
            answer = await peer.read_answer()
            assert (answer.status, answer.headers["connection"], answer.body) == (403, "close", b"no")
            assert await peer.is_ended()

    run(case())


def test_tls_connections_are_served() -> None:
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async def case() -> None:
        async with serving(context=server_context, idle_timeout_s=0.1) as served:
            peer = await served.connect(client_context)
            for size in (0, 10, 700_000):
                assert len((await peer.ask(post(b"x" * size))).body) == size
            assert await peer.is_ended()
            rejected = await served.connect(client_context)
            assert (await rejected.ask(b"nonsense\n")).status == 400
            waiting = await served.connect(client_context)
            served.handler.serve = wait
            served.handler.arrived.clear()
            await waiting.send(GET)
            await served.handler.arrived.wait()
            waiting.finish()
            await served.handler.disconnected.wait()

    run(case())


def test_small_writes_are_not_delayed_by_the_kernel() -> None:
    async def case() -> None:
        async with serving(Recorder(wait)) as served:
            peer = await served.connect()
            await peer.send(GET)
            await served.handler.arrived.wait()
            (connection,) = served.server._shared.connections
            assert isinstance(connection, ClientConnection)
            accepted = connection._transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(case())


def test_server_listens_on_a_given_socket() -> None:
    async def case() -> None:
        async with serving() as served:
            listening = socket.create_server(("127.0.0.1", 0))
            await served.server.listen(sock=listening)
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            assert (await Peer(reader, writer).ask(GET)).status == 200
            writer.transport.abort()

    run(case())
