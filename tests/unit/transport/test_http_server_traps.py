"""Ambiguous, malformed and hostile requests."""

import asyncio
import re
from pathlib import Path
from typing import cast

import pytest

from fakes.serving import GET, Recorder, post, run, serving
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.transport._server_parts import Shared
from pointsman.transport.client_connection import ClientConnection
from pointsman.transport.deadlines import Deadlines
from pointsman.transport.http_server import BodyMode, Head, Limits

CORPUS = Path(__file__).parents[4] / "shared/data/corpora/llhttp/test/request"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

REJECTED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "two hosts, old": (b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400),
    "chunked, old": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "length and chunked": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "chunked and length": (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (post(b"abc", b"Content-Length: 3"), 400),
    "a list of lengths": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    "signed length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "hex length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    "empty length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400),
    "huge length": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 15 + b"\r\n\r\n", 400),
    "space before colon": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare LF inside": (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "bare LF in front": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bare CR in front": (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bare CR": (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    "folded": (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400),
    "folded first": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", 400),
    "no name": (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
    "gzip": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    "gzip, chunked": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "chunked twice": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
    "identity": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    "unknown expectation": (post(b"abc", b"Expect: tea"), 417),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "absolute": (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "unknown method": (b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "another protocol": (b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "too many headers": (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431),
    "too long a head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 65536 + b"\r\n\r\n", 431),
    "an endless head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70000, 431),
    "bad chunk size": (CHUNKED + b"x\r\n", 400),
    "negative chunk size": (CHUNKED + b"-1\r\n", 400),
    "huge chunk size": (CHUNKED + b"1" + b"0" * 15 + b"\r\n", 400),
    "space after chunk size": (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400),
    "bare LF after chunk size": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400),
    "long chunk": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400),
    "endless chunk extension": (CHUNKED + b"3;" + b"x" * 300, 400),
    "many chunk extensions": (CHUNKED + (b"1;" + b"x" * 200 + b"\r\na\r\n") * 100, 400),
    "bad trailer": (CHUNKED + b"0\r\nno colon\r\n\r\n", 400),
    "bare LF in trailers": (CHUNKED + b"0\r\na: b\nc: d\r\n\r\n", 400),
    "endless trailers": (CHUNKED + b"0\r\n" + b"a: b\r\n" * 2000, 431),
}


@pytest.mark.parametrize("name", REJECTED)
def test_ambiguous_or_malformed_request_is_rejected_and_the_connection_closed(name: str) -> None:
    request, status = REJECTED[name]

    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            answer = await peer.ask(request)
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            assert answer.body, "a rejection has a message"
            assert await peer.is_ended()
            assert not served.handler.exchanges
            # The same follows if it is pipelined after a valid request.
            peer = await served.connect()
            await peer.send(GET + request)
            assert (await peer.read_answer()).status == 200
            assert (await peer.read_answer()).status == status

    run(case())


@pytest.mark.parametrize("body", [b"abc", b""])
def test_offered_upgrade_is_ignored_and_the_body_is_read(body: bytes) -> None:
    """Every HTTP client of the JDK offers h2c with its requests."""
    lines = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
    chunked = CHUNKED[:-2] + b"\r\n".join(lines) + b"\r\n\r\n" + b"3\r\nabc\r\n0\r\n\r\n"

    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            for _ in range(4):
                answer = await peer.ask(post(body, *lines))
                assert (answer.status, answer.body) == (200, body)
                assert "connection" not in answer.headers
                assert (await peer.ask(chunked)).body == b"abc"
            assert (await peer.ask(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n")).status == 200

    run(case())


def test_trailers_are_dropped() -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            request = CHUNKED + b"3;a=b\r\nabc\r\n0;c\r\nHost: evil\r\nAuthorization: x\r\n\r\n"
            assert (await peer.ask(request + GET)).body == b"abc"
            assert (await peer.read_answer()).status == 200
            assert served.handler.exchanges[0].head.headers == {b"host": b"a", b"transfer-encoding": b"chunked"}

    run(case())


def test_empty_lines_before_a_request_are_ignored() -> None:
    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            assert (await peer.ask(b"\r\n\r\n" + GET)).status == 200
            await peer.send(b"\r")
            await peer.send(b"\n")
            assert (await peer.ask(b"\r\n" + post(b"x"))).body == b"x"

    run(case())


def reject_all(head: Head) -> None:
    raise Rejection(Failure(failures.UNKNOWN_KEY, "no such key"))


def test_client_that_expects_100_continue_gets_it_before_the_body() -> None:
    request = post(b"x" * 100_000, b"Expect: 100-Continue")
    end = request.index(b"\r\n\r\n") + 4

    async def case() -> None:
        async with serving() as served:
            peer = await served.connect()
            for _ in range(3):
                assert (await peer.ask(request[:end])).status == 100
                assert (await peer.ask(request[end:])).body == request[end:]
            assert (await peer.ask(request)).status == 200, "no 100 Continue is sent, since the body has arrived"
            old = await served.connect()
            await old.send(b"POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab")
            assert (await old.read_answer()).body == b"ab"
            served.handler.check_head = reject_all
            answer = await peer.ask(request[:end])
            assert (answer.status, answer.headers["connection"]) == (401, "close")
            assert await peer.is_ended()

    run(case())


def test_rejection_by_the_handler_is_sent_before_the_body_arrives() -> None:
    async def case() -> None:
        async with serving() as served:
            served.handler.check_head = reject_all
            peer = await served.connect()
            answer = await peer.ask(post(b"x" * 100_000)[:1000])
            assert (answer.status, answer.headers["connection"]) == (401, "close")
            assert await peer.is_ended()
            # If the whole request has arrived, the connection stays open.
            peer = await served.connect()
            for request in (GET, post(b"abc")) * 2:
                assert "connection" not in (await peer.ask(request)).headers
            await peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
            answer = await peer.read_answer(is_head=True)
            assert (answer.status, answer.headers["content-length"]) == (401, "11")
            assert (await peer.read_answer()).body == b"no such key"

    run(case())


def test_exceptions_of_accept_and_compose_rejection_are_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def accept(self, head: Head) -> BodyMode:
            raise ValueError("accept is broken")

        def compose_rejection(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
            raise ValueError("compose_rejection is broken")

    async def case() -> None:
        async with serving(Broken()) as served:
            peer = await served.connect()
            assert (await peer.ask(GET)).status == 500

    run(case())
    assert "accept is broken" in caplog.text
    assert "compose_rejection is broken" in caplog.text


class Wire(asyncio.Transport):
    """A transport in memory, for tests that cut a request at thousands of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_ended = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def close(self) -> None:
        self.is_ended = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Terse(Recorder):
    """A handler whose rejections have no message, since messages may depend on the bytes that have arrived."""

    def compose_rejection(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        return failure.kind.status, b"", b""


def feed(reads: list[bytes], mode: BodyMode = BodyMode.BUFFER) -> tuple[object, ...]:
    """Return the requests that a server finds in these reads, its output, and whether it ended the connection."""

    async def case() -> tuple[object, ...]:
        loop = asyncio.get_running_loop()
        handler = Terse(mode=mode)
        bodies: list[bytes] = []
        if mode is BodyMode.STREAM:
            handler.serve = lambda exchange: exchange.read_body(
                bodies.append, lambda: exchange.send(200, b"", b"".join(bodies))
            )
        deadlines = Deadlines(loop)
        wire = Wire()
        connection = ClientConnection(Shared(loop, handler, Limits(), deadlines))
        connection.connection_made(wire)
        for read in reads:
            connection.data_received(read)
            for _ in range(4):
                await asyncio.sleep(0)
        deadlines.close()
        seen = [
            (head.method, head.target, sorted(head.headers.items()), head.keep_alive, exchange.body)
            for exchange in handler.exchanges
            for head in (exchange.head,)
        ]
        return seen, wire.written, wire.is_ended

    return asyncio.run(case())


SPLIT = [
    post(b'{"model": "x"}', b"Authorization: Bearer k") + GET + post(b"abc"),
    CHUNKED + b"3;x=y\r\nabc\r\n1e\r\n" + b"z" * 30 + b"\r\n0\r\nTrailer: x\r\n\r\n" + GET,
    post(b"abcde", b"Upgrade: h2c", b"Connection: Upgrade") + post(b"f", b"Connection: close"),
    b"\r\n\r\n" + GET + b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    CHUNKED + b"3\r\nabcX",
]


@pytest.mark.parametrize("mode", list(BodyMode))
@pytest.mark.parametrize("request_", SPLIT)
def test_answers_do_not_depend_on_the_boundaries_of_reads(request_: bytes, mode: BodyMode) -> None:
    whole = feed([request_], mode)
    assert cast("bytes", whole[1]).startswith(b"HTTP/1.1 ")
    for at in range(1, len(request_)):
        assert feed([request_[:at], request_[at:]], mode) == whole, f"cut at {at}"
    assert feed([request_[at : at + 1] for at in range(len(request_))], mode) == whole


def corpus() -> list[tuple[str, bytes]]:
    found = []
    for page in sorted(CORPUS.glob("*.md")):
        for number, block in enumerate(re.findall(r"```http\n(.*?)\n?```", page.read_text(), re.DOTALL)):
            text = block.replace("\\\n", "").replace("\n", "\r\n")
            for escape, byte in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f"), ("\\0", "\0")):
                text = text.replace(escape, byte)
            text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)
            found.append((f"{page.stem} {number}", text.encode("latin-1", "replace") + b"\r\n"))
    return found


def test_hostile_requests_are_answered_or_disconnected() -> None:
    payloads = corpus()
    if not payloads:
        pytest.skip(f"no corpus of hostile requests at {CORPUS}")

    async def case() -> None:
        async with serving(head_timeout_s=0.1, body_timeout_s=0.1, idle_timeout_s=0.1) as served:

            async def attack(name: str, payload: bytes) -> None:
                peer = await served.connect()
                peer.writer.write(payload)
                try:
                    received = await peer.reader.read()
                except ConnectionResetError:
                    return
                for status in re.findall(rb"^HTTP/1.1 (\d+)", received, re.MULTILINE):
                    assert 100 <= int(status) < 500, (name, received)

            await asyncio.gather(*(attack(name, payload) for name, payload in payloads))
            assert len(payloads) > 80

    run(case())
