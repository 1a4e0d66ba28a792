"""Compressed bodies are decompressed within bounds, or rejected with the supported encodings."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.wire import rejected
from pointsman.wire import encodings
from pointsman.wire.encodings import FREE_BYTES, MAX_MEMBERS, decoded, encoding_of, reject_encoded

TEXT = b'{"model":"m","messages":[]}' * 100


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@given(st.binary(max_size=5000))
def test_compressed_body_is_restored(data: bytes) -> None:
    assert decoded(gzip.compress(data, mtime=0), "gzip") == data
    assert decoded(gzip.compress(data, mtime=0) + gzip.compress(b"x"), "gzip") == data + b"x"
    assert decoded(zlib.compress(data), "deflate") == data
    assert decoded(raw_deflate(data), "deflate") == data


def test_large_body_is_restored_in_pieces() -> None:
    data = b"".join(b'{"n":%d,"text":"%x"}' % (number, number * 7919) for number in range(200_000))
    assert decoded(gzip.compress(data, 1, mtime=0), "gzip") == data


@given(st.integers(0, len(gzip.compress(TEXT, mtime=0)) - 1))
def test_truncated_body_is_rejected(length: int) -> None:
    found = rejected(lambda: decoded(gzip.compress(TEXT, mtime=0)[:length], "gzip"))
    assert (found.kind.status, found.param) == (400, "content-encoding")


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"", "gzip"),
        (TEXT, "gzip"),
        (TEXT, "deflate"),
        (gzip.compress(TEXT, mtime=0) + b"x", "gzip"),
        (zlib.compress(TEXT) + b"x", "deflate"),
        (gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1), "gzip"),
    ],
)
def test_body_in_another_encoding_is_rejected(body: bytes, encoding: str) -> None:
    assert rejected(lambda: decoded(body, encoding)).kind.status == 400


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compression_bomb_is_rejected_early(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    found = rejected(lambda: decoded(compress(b"a" * 20 * FREE_BYTES), encoding))
    assert (found.kind.status, "100 times" in found.message) == (400, True)
    assert decoded(compress(b"a" * FREE_BYTES), encoding) == b"a" * FREE_BYTES, "a small body has no limit on expansion"
    monkeypatch.setattr(encodings, "MAX_BYTES", 1000)
    assert rejected(lambda: decoded(compress(TEXT), encoding)).kind.status == 413


@pytest.mark.parametrize(
    ("header", "encoding"),
    [("", ""), ("identity", ""), ("gzip", "gzip"), (" GZIP ", "gzip"), ("x-gzip", "gzip"), ("deflate", "deflate")],
)
def test_supported_encodings_are_accepted(header: str, encoding: str) -> None:
    assert encoding_of(header) == encoding


@pytest.mark.parametrize("header", ["zstd", "br", "gzip, gzip", "gzip, identity", "x"])
def test_unsupported_encoding_error_lists_supported_ones(header: str) -> None:
    found = rejected(lambda: encoding_of(header))
    assert (found.kind.status, found.kind.code, found.param) == (415, "unsupported_encoding", "content-encoding")
    assert "gzip or deflate" in found.message


def test_passed_through_body_must_be_uncompressed() -> None:
    reject_encoded("")
    assert rejected(lambda: reject_encoded("gzip")).kind.status == 415
