"""Chunked bodies, compared with llhttp."""

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.domain.failures import Rejection
from pointsman.transport._bodies import Chunked, Fixed

START = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECES = st.sampled_from(
    [
        *(b"3\r\nabc\r\n", b"a\r\n0123456789\r\n", b"1;x=y\r\nz\r\n", b"03\r\nabc\r\n"),
        *(b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"3\r\n", b"0", b"\r\n", b"\n", b"\r"),
        *(b"3 \r\nabc\r\n", b"g\r\n", b"3\r\nabcd\r\n", b"GET / HTTP/1.1\r\n"),
    ]
)


def decoded(reads: list[bytes]) -> tuple[bytes, bool, bytes] | None:
    """Return the data, whether the body is complete, and the rest; or `None` if it is rejected."""
    chunked = Chunked()
    buffer = bytearray()
    data = b""
    for read in reads:
        buffer += read
        if not chunked.is_done:
            try:
                data += chunked.take(buffer)
            except Rejection:
                return None
    return data, chunked.is_done, bytes(buffer)


class _Oracle:
    def __init__(self) -> None:
        self.data = b""
        self.is_done = False

    def on_body(self, data: bytes) -> None:
        if not self.is_done:
            self.data += data

    def on_message_complete(self) -> None:
        self.is_done = True


@given(st.lists(PIECES, max_size=8), st.data())
@settings(max_examples=500, deadline=None)
def test_accepted_bodies_are_decoded_as_by_llhttp(pieces: list[bytes], data: st.DataObject) -> None:
    coded = b"".join(pieces)
    found = decoded([coded])
    if found is not None:
        oracle = _Oracle()
        parser = httptools.HttpRequestParser(oracle)
        used = coded[: len(coded) - len(found[2])]
        parser.feed_data(START + used)
        assert (oracle.data, oracle.is_done) == found[:2]
    at = data.draw(st.integers(0, len(coded)))
    assert decoded([coded[:at], coded[at:]]) == found
    assert decoded([coded[place : place + 1] for place in range(len(coded))]) == found


def test_bytes_after_the_body_stay_in_the_buffer() -> None:
    assert decoded([b"3\r\nabc\r\n0\r\n\r\nGET /"]) == (b"abc", True, b"GET /")
    fixed = Fixed(3)
    buffer = bytearray(b"ab")
    assert (fixed.take(buffer), fixed.is_done) == (b"ab", False)
    buffer += b"cGET /"
    assert (fixed.take(buffer), fixed.is_done, buffer) == (b"c", True, bytearray(b"GET /"))


def test_many_small_chunks_take_several_turns_of_the_loop() -> None:
    chunked = Chunked()
    buffer = bytearray(b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")
    turns = [chunked.take(buffer)]
    while chunked.is_behind:
        turns.append(chunked.take(buffer))
    assert [len(turn) for turn in turns] == [4096, 4096, 1808]
    assert chunked.is_done
    assert not buffer


@pytest.mark.parametrize("extension", [b";" + b"x" * 251, b";a=b"])
def test_small_chunk_extensions_are_accepted(extension: bytes) -> None:
    assert decoded([b"3" + extension + b"\r\nabc\r\n0" + extension + b"\r\n\r\n"]) == (b"abc", True, b"")
