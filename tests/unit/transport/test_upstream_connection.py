"""The framing and limits of answers, and the reuse of connections."""

import asyncio
import re
from pathlib import Path

import pytest

from fakes.origin import GET, OK, POST, Answer, Peer, ask, connecting, exchange, run, send, serving
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.transport.answer_reader import MAX_HEADERS

HEAD = UpstreamRequest(b"HEAD", b"/", b"", b"")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CORPUS = Path(__file__).parents[4] / "shared/data/corpora/llhttp/test/response"


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
        (CHUNKED + b"0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    ],
)
def test_complete_answers_leave_the_connection_open(reply: bytes, status: int, body: bytes) -> None:
    answer = run(exchange(reply))
    assert (answer.status, answer.body, answer.failure) == (status, body, None)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 13\r\n\r\nuntil the end",
    ],
)
def test_complete_answers_may_end_with_the_connection(reply: bytes) -> None:
    answer = run(exchange(reply, then_close=True))
    assert (answer.status, answer.body, answer.failure) == (200, b"until the end", None)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfour",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        CHUNKED,
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        CHUNKED + b"2\r\nab\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    ],
)
@pytest.mark.parametrize("ending", ["close", "reset"])
def test_truncation_is_a_lost_connection(reply: bytes, ending: str) -> None:
    async def main() -> Answer:
        async def script(peer: Peer) -> None:
            await peer.answer(reply)
            await sent.wait()
            peer.close() if ending == "close" else peer.reset()

        async with serving(script) as fake, connecting() as client:
            sent = asyncio.Event()
            answer = send(client, fake.origin)
            if b"ab" in reply or b"four" in reply:
                await answer.until(lambda: answer.pieces)
            sent.set()
            return await answer.finished()

    answer = run(main())
    assert answer.failure is not None
    assert (answer.failure_code, answer.failure.was_sent) == ("connection_lost", True)
    assert ("closed" if ending == "close" else "reset") in answer.failure.message or not reply
    assert answer.body in {b"", b"ab", b"four"}


def test_reset_truncates_a_body_without_a_length() -> None:
    async def main() -> Answer:
        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
            await seen.wait()
            peer.reset()

        async with serving(script) as fake, connecting() as client:
            seen = asyncio.Event()
            answer = send(client, fake.origin)
            await answer.until(lambda: answer.pieces)
            seen.set()
            return await answer.finished()

    assert run(main()).failure_code == "connection_lost"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "Expected HTTP/"),
        (b"HTTP/2 200 OK\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.7 200 OK\r\n\r\n", "Invalid HTTP version"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxyz", "switches protocols"),
        (b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "invalid status 000"),
        (b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", "invalid status 999"),
        (b"HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 0\r\n\r\n", "Invalid header value"),
        (b"HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n", "Missing expected LF"),
        (b"HTTP/1.1 200 OK\r\nA: b\nX-Split: c\r\nContent-Length: 0\r\n\r\n", "Missing expected CR"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n", "whitespace"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", "unsupported Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "gzip, chunked"),
        (CHUNKED + b"xyz\r\n", "chunk size"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nab", "(br)"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, zstd\r\nContent-Length: 2\r\n\r\nab", "(gzip, zstd)"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n\r\nab", "gzip, br"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 201 + b"Content-Length: 0\r\n\r\n", "more than 200"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 65536 + b"\r\nContent-Length: 0\r\n\r\n", "head is larger"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000, "head is larger"),
        (b"HTTP/1.1 " + b"2" * 200_000, ""),
        (b"HTTP/1.1 200 " + b"K" * 200_000, "head is larger"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 20 + OK, "interim answers"),
        (CHUNKED + b"1;" + b"x" * 400_000, "without a byte of body"),
        (CHUNKED + b"1\r\na\r\n0\r\nX: " + b"x" * 400_000, "without a byte of body"),
    ],
)  # fmt: skip
def test_message_names_the_fault_of_a_malformed_answer(reply: bytes, says: str) -> None:
    answer = run(exchange(reply))
    assert answer.failure is not None
    assert answer.failure_code == "malformed_answer"
    assert says in answer.failure.message


def test_head_of_many_reads_is_joined() -> None:
    async def main() -> Answer:
        async def script(peer: Peer) -> None:
            await peer.request()
            interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
            for byte in interim + b"HTTP/1.1 200 OK\r\nX-Name: a\r\nContent-Length: 2\r\nX-name: b\r\n\r\nok":
                peer.send(bytes([byte]))
                await peer.drain()
                await asyncio.sleep(0)
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            return await ask(client, fake.origin)

    answer = run(main())
    assert (answer.headers, answer.body) == ({b"x-name": b"a, b", b"content-length": b"2"}, b"ok")


def test_headers_are_lower_case_ordered_joined_and_without_trailers() -> None:
    reply = b"HTTP/1.1 200 OK\r\nB: 1\r\nA:\r\nb: 2\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nTrailer-X: t\r\n\r\n"
    answer = run(exchange(reply))
    assert list(answer.headers.items()) == [(b"b", b"1, 2"), (b"a", b""), (b"transfer-encoding", b"Chunked")]
    assert answer.calls == ["head", "end"]


def test_empty_lines_before_a_head_are_ignored() -> None:
    interim = b"\r\n\r\nHTTP/1.1 102 Processing\r\nLink: a\r\nlink: b\r\n\r\n"
    answer = run(exchange(interim + b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nok"))
    assert (answer.headers, answer.body) == ({b"x": b"1", b"content-length": b"2"}, b"ok")
    many = b"".join(b"x-%d: 1\r\n" % number for number in range(MAX_HEADERS + 1))
    answer = run(exchange(b"\r\n\r\nHTTP/1.1 200 OK\r\n" + many + b"Content-Length: 0\r\n\r\n"))
    assert answer.failure is not None


async def _twice(first: bytes, *, request: UpstreamRequest = GET, then: bytes = b"") -> tuple[list[Answer], int]:
    """Send two requests in turn. The first is answered with `first`, and a moment later `then`; the second always with
    `second`. Return the answers and the number of connections."""
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"

    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.answer(first)
            if then:
                await handed_over.wait()
                peer.send(then)
        while True:
            await peer.answer(second)

    async with serving(script) as fake, connecting() as client:
        handed_over = asyncio.Event()
        one = await ask(client, fake.origin, request)
        handed_over.set()
        if then:
            while client.gauges()[str(fake.origin)].open:
                await asyncio.sleep(0.001)
        two = await ask(client, fake.origin)
        return [one, two], len(fake.peers)


@pytest.mark.parametrize(
    "first",
    [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_connection_is_reused_after_a_complete_answer(first: bytes) -> None:
    answers, connections = run(_twice(first))
    assert connections == 1
    assert [answer.failure for answer in answers] == [None, None]
    assert answers[1].body == b"second"


@pytest.mark.parametrize(
    "first",
    [
        OK + b"\r\n",
        OK + b"X",
        OK + b"H",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nforged",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\nH",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + CHUNKED + b"6\r\nforged\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_connection_is_not_reused_if_bytes_follow_its_answer(first: bytes) -> None:
    answers, connections = run(_twice(first))
    assert connections == 2
    assert answers[0].failure is None
    assert answers[0].body in {b"ok", b""}
    assert answers[1].body == b"second"


def test_bytes_on_an_idle_connection_close_it() -> None:
    answers, connections = run(_twice(OK, then=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"))
    assert connections == 2
    assert answers[1].body == b"second"


def test_head_requests_have_no_body_whatever_their_head_says() -> None:
    for reply in (OK[:-2], CHUNKED, b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 9\r\n\r\n"):
        answers, _ = run(_twice(reply, request=HEAD))
        assert (answers[0].status, answers[0].body, answers[0].failure) == (200, b"", None)
        assert answers[1].body == b"second"


@pytest.mark.parametrize(
    "parts", [(b"2\r\nok\r\n", b"0\r\n\r\n"), (b"2\r\nok\r\n0\r\n", b"\r\n"), (b"2\r\nok\r", b"\n0\r\n\r", b"\n")]
)
def test_connection_is_reused_after_a_last_chunk_in_several_reads(parts: tuple[bytes, ...]) -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(CHUNKED)
            for part in parts:
                await asyncio.sleep(0.005)
                peer.send(part)
            await peer.answer(OK)

        async with serving(script) as fake, connecting() as client:
            for _ in range(2):
                assert (await ask(client, fake.origin)).body == b"ok"
            assert len(fake.peers) == 1

    run(main())


def test_trailers_do_not_reach_the_next_answer() -> None:
    answers, connections = run(_twice(CHUNKED + b"2\r\nok\r\n0\r\nX-Count: 0\r\n\r\n"))
    assert connections == 1
    assert answers[1].headers == {b"content-length": b"6"}


def test_head_request_on_a_reused_connection_does_not_get_the_last_body() -> None:
    async def main() -> None:
        async def script(peer: Peer) -> None:
            await peer.answer(OK)
            await peer.answer(OK[:-2])

        async with serving(script) as fake, connecting() as client:
            assert (await ask(client, fake.origin)).body == b"ok"
            assert (await ask(client, fake.origin, HEAD)).body == b""
            assert len(fake.peers) == 1

    run(main())


def test_exception_of_a_handler_is_logged_and_reported_and_leaves_the_pool_usable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Answer):
        def __init__(self, where: str) -> None:
            super().__init__()
            self.where = where

        def on_head(self, status: int, headers: Headers) -> None:
            super().on_head(status, headers)
            if self.where == "head":
                raise ZeroDivisionError

        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            if self.where == "data":
                raise ZeroDivisionError

        def on_end(self) -> None:
            super().on_end()
            if self.where == "end":
                raise ZeroDivisionError

    async def main(where: str, reply: bytes) -> None:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(reply)

        async with serving(script) as fake, connecting() as client:
            loop = asyncio.get_running_loop()
            for _ in range(3):
                broken = Broken(where)
                client.send(fake.origin, GET, broken, loop.time() + 5)
                await broken.finished()
                assert broken.failure_code == (None if where == "end" else "internal_error")
                gauges = client.gauges()[str(fake.origin)]
                assert gauges.in_flight == 0
            fine = await ask(client, fake.origin)
            assert fine.failure is None

    for where in ("head", "data", "end"):
        for reply in (OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n"):
            caplog.clear()
            run(main(where, reply))
            assert caplog.text.count("raised an exception") == 3


def test_handler_may_send_its_next_request_from_on_end_over_the_same_connection() -> None:
    async def main() -> int:
        async def script(peer: Peer) -> None:
            while True:
                await peer.answer(OK)

        async with serving(script) as fake, connecting() as client:
            answers: list[Answer] = []
            finished = asyncio.Event()

            class Chain(Answer):
                def on_end(self) -> None:
                    super().on_end()
                    if len(answers) == 50:
                        finished.set()
                        return
                    answers.append(Chain())
                    client.send(fake.origin, POST, answers[-1], asyncio.get_running_loop().time() + 5)

            answers.append(Chain())
            client.send(fake.origin, POST, answers[0], asyncio.get_running_loop().time() + 5)
            await finished.wait()
            assert all(answer.body == b"ok" for answer in answers)
            return len(fake.peers)

    assert run(main()) == 1


def _corpus() -> list[tuple[str, bytes]]:
    """Return the payloads of llhttp's own tests of responses, as its test runner reads them."""
    found: list[tuple[str, bytes]] = []
    for file in sorted(CORPUS.glob("*.md")):
        for index, block in enumerate(re.findall(r"```http\n(.*?)\n```", file.read_text(), re.DOTALL)):
            text = re.sub(r"\\\n", "", block)  # a line continued
            text = text.replace("\n", "\r\n").replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")
            text = re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)
            found.append((f"{file.stem}-{index}", text.replace("\\f", "\f").encode("latin-1", "replace")))
    return found


def test_hostile_answers_do_not_crash_hang_or_mix() -> None:
    payloads = _corpus()
    if not payloads:
        pytest.skip("llhttp's test vectors are not beside this repository (shared/data/corpora/llhttp)")
    marker = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmarked"

    async def main() -> None:
        async def script(peer: Peer) -> None:
            while True:
                request = await peer.request()
                if not request.startswith(b"GET /hostile/"):
                    peer.send(marker)
                    continue
                peer.send(payloads[int(request.split(b"/")[2].split()[0])][1])
                try:  # a request that follows on the same connection is answered, else it is closed
                    async with asyncio.timeout(0.005):
                        await peer.answer(marker)
                except TimeoutError:
                    return

        async with serving(script) as fake, connecting() as client:
            for index in range(len(payloads)):
                request = UpstreamRequest(b"GET", b"/hostile/%d" % index, b"", b"")
                hostile = await ask(client, fake.origin, request)
                assert hostile.calls[-1] in {"end", "failure"}
                assert b"marked" not in hostile.body
                honest = await ask(client, fake.origin)
                if honest.failure is not None and honest.failure_code == "connection_stale":
                    honest = await ask(client, fake.origin)  # it was being closed
                assert honest.body == b"marked", payloads[index]

    run(main())
