"""Decoding of gzip and deflate: reads of any size, damage, and limits."""

import gzip
import random
import zlib
from time import monotonic

import pytest

from fakes.origin import GET, OK, Answer, Peer, connecting, exchange, run, serving
from pointsman.transport.decoding import PIECE_BYTES, BodyDecoder, BodyPieces, UndecodableError
from pointsman.transport.upstream_connection import UpstreamConnection

TEXT = b"".join(b"event %d: some text that repeats itself\n" % index for index in range(3000))


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


ENCODED = {
    "gzip": (b"gzip", gzip.compress(TEXT)),
    "members": (b"gzip", gzip.compress(TEXT[:5000]) + gzip.compress(b"") + gzip.compress(TEXT[5000:])),
    "zlib": (b"deflate", zlib.compress(TEXT)),
    "raw": (b"deflate", raw_deflate(TEXT)),
}


def pieces_of(decoder: BodyDecoder) -> list[bytes]:
    """Take all pieces."""
    found: list[bytes] = []
    while decoder.is_behind:
        found.append(decoder.take())
    return [piece for piece in found if piece]


def decode(decoder: BodyDecoder, chunks: list[bytes]) -> bytes:
    found: list[bytes] = []
    for chunk in chunks:
        decoder.feed(chunk)
        found.extend(pieces_of(decoder))
    return b"".join(found)


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("size", [1, 2, 7, 1000, 10**6])
def test_body_does_not_depend_on_the_boundaries_of_reads(name: str, size: int) -> None:
    encoding, data = ENCODED[name]
    decoder = BodyDecoder(encoding)
    assert decode(decoder, [data[start : start + size] for start in range(0, len(data), size)]) == TEXT
    assert decoder.is_whole


@pytest.mark.parametrize("name", ENCODED)
def test_truncated_body_is_not_whole(name: str) -> None:
    encoding, data = ENCODED[name]
    decoder = BodyDecoder(encoding)
    assert TEXT.startswith(decode(decoder, [data[:-3]]))
    assert not decoder.is_whole


def test_empty_body_is_whole() -> None:
    assert BodyDecoder(b"gzip").is_whole
    assert BodyDecoder(b"deflate").is_whole


def test_flushed_output_is_decoded_at_once() -> None:
    deflate = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    decoder = BodyDecoder(b"gzip")
    for event in (b"data: one\n\n", b"data: two\n\n"):
        assert decode(decoder, [deflate.compress(event) + deflate.flush(zlib.Z_SYNC_FLUSH)]) == event


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, PIECE_BYTES + 100, 10 * PIECE_BYTES])
def test_pieces_are_bounded_and_complete(size: int) -> None:
    data = random.Random(size).randbytes(64) * (size // 64) + b"x" * (size % 64)
    decoder = BodyDecoder(b"gzip")
    decoder.feed(gzip.compress(data))
    pieces = pieces_of(decoder)
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert b"".join(pieces) == data
    assert decoder.is_whole


def test_output_that_did_not_fit_into_a_piece_follows() -> None:
    """Near the end of a piece zlib may consume the whole input before it returns the rest of a match."""
    for size in range(PIECE_BYTES, PIECE_BYTES + 600, 7):
        decoder = BodyDecoder(b"deflate")
        assert decode(decoder, [raw_deflate(b"x" * size)]) == b"x" * size
        assert decoder.is_whole


def test_decompression_bomb_is_stopped_early() -> None:
    decoder = BodyDecoder(b"gzip")
    decoder.feed(gzip.compress(bytes(100 * 1024 * 1024)))
    found: list[bytes] = []
    with pytest.raises(UndecodableError, match="expands more than 100 times"):
        found.extend(pieces_of(decoder))
    assert sum(map(len, found)) <= 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("encoding", "data"),
    [(b"gzip", b"plain text"), (b"gzip", gzip.compress(b"a") + b"tail"), (b"deflate", zlib.compress(b"a") + b"tail"),
     (b"deflate", b"plain text"), (b"gzip", gzip.compress(TEXT)[:-8] + b"\0" * 8)],
    ids=["no gzip", "bytes after gzip", "bytes after zlib", "no zlib", "wrong checksum"],
)  # fmt: skip
def test_damaged_body_is_an_error(encoding: bytes, data: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode(BodyDecoder(encoding), [data])


def answer_with(data: bytes, encoding: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nX: y\r\nContent-Length: %d\r\n\r\n%b" % (
        encoding,
        len(data),
        data,
    )


@pytest.mark.parametrize("encoding", [b"gzip", b"X-GZip", b" gzip"])
def test_decoded_answer_is_delivered_without_its_encoding_header(encoding: bytes) -> None:
    answer = run(exchange(answer_with(gzip.compress(TEXT), encoding)))
    assert answer.body == TEXT
    assert answer.headers == {b"x": b"y"}
    assert answer.calls[-1] == "end"


def test_identity_is_no_encoding() -> None:
    assert run(exchange(answer_with(b"abc", b"identity"))).body == b"abc"


def test_damaged_truncated_and_empty_encoded_answers() -> None:
    whole = gzip.compress(TEXT)
    assert run(exchange(answer_with(whole[:-5], b"gzip"))).failure_code == "connection_lost"
    assert run(exchange(answer_with(b"not gzip at all", b"gzip"))).failure_code == "malformed_answer"
    bomb = run(exchange(answer_with(gzip.compress(bytes(20_000_000)), b"gzip")))
    assert bomb.failure_code == "malformed_answer"
    assert len(bomb.body) <= 2 * 1024 * 1024
    until_eof = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"
    assert run(exchange(until_eof + whole, then_close=True)).body == TEXT
    assert run(exchange(until_eof + whole[:-5], then_close=True)).failure_code == "connection_lost"
    empty = run(exchange(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"))
    assert empty.calls == ["head", "end"]


@pytest.mark.parametrize("ending", ["length", "chunked", "eof"])
def test_no_decoded_piece_is_delivered_while_paused(ending: str) -> None:
    data = random.Random(1).randbytes(1000) * 600  # about 10 pieces, encoded in a few KB that arrive in one read

    class Pausing(Answer):
        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            assert self.leg is not None
            self.leg.pause()

    async def main() -> Pausing:
        async def script(peer: Peer) -> None:
            await peer.request()
            body = gzip.compress(data)
            head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
            if ending == "length":
                peer.send(head, b"Content-Length: %d\r\n\r\n" % len(body), body)
            elif ending == "chunked":
                peer.send(head, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            else:
                peer.send(head, b"\r\n", body)
                return
            await peer.wait_closed()

        async with serving(script) as fake, connecting() as client:
            answer = Pausing()
            answer.leg = client.send(fake.origin, GET, answer, monotonic() + 5)
            await answer.until(lambda: answer.pieces)
            carrier = answer.leg.carrier
            assert isinstance(carrier, UpstreamConnection)
            if ending == "length":  # the answer has arrived but is not delivered: more bytes do not belong to it
                carrier.data_received(OK)
            rounds = 0
            while not answer.is_over:
                await answer.until(lambda: answer.is_over or (answer.leg is not None and answer.leg.is_paused))
                rounds += 1
                assert len(answer.pieces) <= rounds
                answer.leg.resume()
            assert rounds >= 10
            return answer

    answer = run(main())
    assert (answer.body, answer.failure) == (data, None)


# The limit of one turn of the event loop.


@pytest.mark.parametrize("data", [gzip.compress(b"") * 20_000, gzip.compress(b"") * 1_002])
def test_empty_gzip_members_are_limited(data: bytes) -> None:
    decoder = BodyDecoder(b"gzip")
    decoder.feed(data)
    with pytest.raises(UndecodableError, match="empty members"):
        pieces_of(decoder)


def test_piece_is_bounded_in_bytes_and_in_members() -> None:
    decoder = BodyDecoder(b"gzip")
    decoder.feed(gzip.compress(b"a" * 10**6) + gzip.compress(b"b") * 2_000)
    pieces = []
    while decoder.is_behind:
        pieces.append(decoder.take())
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert len(pieces) > 10**6 / PIECE_BYTES + 3
    assert b"".join(pieces) == b"a" * 10**6 + b"b" * 2_000


def test_large_read_without_an_encoding_is_split_too() -> None:
    whole = BodyPieces()
    whole.feed(TEXT[:50_000])
    whole.feed(TEXT[50_000:])
    pieces = []
    while whole.is_behind:
        pieces.append(whole.take())
    assert max(map(len, pieces)) == PIECE_BYTES
    assert b"".join(pieces) == TEXT
