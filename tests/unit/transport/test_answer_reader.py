"""The framing of answers without a socket: any bytes, in reads of any size."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.transport.answer_reader import MAX_FRAMING_BYTES, MAX_HEAD_BYTES, PART, WHOLE, AnswerReader, read_again

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAGMENTS = (
    *(OK, CHUNKED, b"2\r\nok\r\n", b"1;x=y\r\na\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n"),
    *(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"),
    *(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"Via: a\r\n", b"via: b\r\n"),
    *(b"Content-Encoding: br\r\n", b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Content-Length: 3\r\n"),
    *(b"\r\n", b"\r", b"\n", b"\x00", b"abc", b"HTTP/1.1 999 No\r\n\r\n"),
)
INPUT = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=4)), max_size=7).map(b"".join)


def read(reads: list[bytes]) -> tuple[object, ...]:
    """Return the answers that a reader finds in these reads, and whether the last one is faulty or incomplete."""
    reader = AnswerReader()
    answers: list[tuple[int, object, bytes]] = []
    body = b""
    for data in reads:
        if not data:
            continue
        event = reader.feed(data)
        assert len(reader._head) <= MAX_HEAD_BYTES
        assert reader._framing_bytes <= MAX_FRAMING_BYTES
        body += reader.body
        if reader.fault is not None:
            break
        if reader.is_done:
            assert event in (WHOLE, PART)
            answers.append((reader.status, sorted(reader.headers.items()), body))
            body = b""
            if not reader.is_keep_alive:
                break
            reader.reset()
    return answers[:1], reader.fault is not None and not answers, reader.has_head and not answers and body


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@given(INPUT, st.lists(st.integers(0, 600)))
@settings(max_examples=500, deadline=None)
def test_result_does_not_depend_on_the_boundaries_of_reads(data: bytes, cuts: list[int]) -> None:
    whole = read([data])
    places = sorted({0, len(data), *(at for at in cuts if at < len(data))})
    for reads in ([data[a:b] for a, b in pairwise(places)], bytewise(data)):
        found = read(reads)
        if whole[1] or found[1]:  # some of a body may have come before its fault
            assert found[:2] == whole[:2]
        else:
            assert found == whole


@pytest.mark.parametrize("again", [OK, CHUNKED + b"2\r\nok\r\n0\r\n\r\n"])
@pytest.mark.parametrize("after", [b"", b"x", b"\r\n", OK])
def test_connection_is_reusable_only_if_no_byte_follows_the_answer(again: bytes, after: bytes) -> None:
    reader = AnswerReader()
    for _ in range(3):
        reader.feed(again)
        assert (reader.is_done, reader.is_keep_alive, reader.fault) == (True, True, None)
        reader.reset()
    reader.feed(again + after)
    assert (reader.is_done, reader.is_keep_alive) == (True, not after)


@pytest.mark.parametrize("cut", range(1, OK.index(b"ok")))
def test_connection_is_reusable_after_a_head_in_two_reads(cut: int) -> None:
    reader = AnswerReader()
    reader.feed(OK[:cut])
    reader.feed(OK[cut:])
    assert (reader.is_done, reader.body, reader.is_keep_alive) == (True, b"ok", True)


def test_answer_to_head_has_no_body() -> None:
    reader = AnswerReader()
    reader.is_bodiless = True
    assert reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n") == WHOLE
    assert (reader.is_done, reader.is_keep_alive, reader.body) == (True, False, b"")


def test_only_a_body_without_a_length_ends_with_the_connection() -> None:
    for head, ends in ((b"HTTP/1.1 200 OK\r\n\r\n", True), (OK[:-1], False), (CHUNKED, False), (OK[:20], False)):
        reader = AnswerReader()
        reader.feed(head)
        assert reader.end() is ends


def headers(raw: bytes) -> dict[bytes, bytes]:
    reader = AnswerReader()
    reader.feed(raw)
    return reader.headers


def test_header_names_are_in_lower_case_and_in_order() -> None:
    found = headers(b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a: 2\r\n\r\n")
    assert list(found.items()) == [(b"x-b", b"1"), (b"x-a", b"2")]


@pytest.mark.parametrize("again", [b"Via", b"via"])
def test_values_of_a_repeated_header_are_joined(again: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\nVia: a\r\n" + again + b": b\r\nx: 1\r\n\r\nrest"
    assert headers(raw) == {b"via": b"a, b", b"x": b"1"}


def test_second_parsing_of_a_head_ignores_the_bytes_after_it() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx: 1\r\nX: 2\r\n\r\n"
    assert read_again(head + b"1\r\na\r\n0\r\nx: trailer\r\n\r\n") == {b"transfer-encoding": b"chunked", b"x": b"1, 2"}
    assert read_again(head + b"no chunk") == {b"transfer-encoding": b"chunked", b"x": b"1, 2"}
