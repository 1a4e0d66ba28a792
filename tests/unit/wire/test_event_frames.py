"""Frames of `application/vnd.amazon.eventstream`, with botocore's reader as the oracle."""

import struct
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer, ParserError
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.bedrock import frame
from pointsman.wire.event_frames import EventFrame, EventFrameReader
from pointsman.wire.sse import DamagedStream, EventTooLong

# The values of headers, each with the type and the bytes of the format.
VALUES = st.one_of(
    st.sampled_from([(True, b"\x00"), (False, b"\x01")]),
    st.integers(-(2**7), 2**7 - 1).map(lambda n: (n, b"\x02" + struct.pack(">b", n))),
    st.integers(-(2**15), 2**15 - 1).map(lambda n: (n, b"\x03" + struct.pack(">h", n))),
    st.integers(-(2**31), 2**31 - 1).map(lambda n: (n, b"\x04" + struct.pack(">i", n))),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: (n, b"\x05" + struct.pack(">q", n))),
    st.binary(max_size=20).map(lambda v: (v, b"\x06" + struct.pack(">H", len(v)) + v)),
    st.text(max_size=20).map(lambda v: (v, b"\x07" + struct.pack(">H", len(v.encode())) + v.encode())),
    st.integers(0, 2**41).map(lambda n: (n, b"\x08" + struct.pack(">q", n))),
    st.binary(min_size=16, max_size=16).map(lambda v: (v, b"\x09" + v)),
)
NAMES = st.text(min_size=1, max_size=10).filter(lambda name: len(name.encode()) < 256)


def framed(block: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return whole + struct.pack(">I", crc32(whole))


@st.composite
def frames(draw: st.DrawFn) -> tuple[EventFrame, bytes]:
    headers = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    payload = draw(st.binary(max_size=60))
    block = b"".join(bytes([len(n.encode())]) + n.encode() + raw for n, (_, raw) in headers.items())
    return EventFrame({name: value for name, (value, _) in headers.items()}, payload), framed(block, payload)


def by_botocore(data: bytes) -> list[EventFrame]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [EventFrame({n: _plain(v) for n, v in one.headers.items()}, one.payload) for one in buffer]


def _plain(value: Any) -> Any:
    return int(value.replace(tzinfo=UTC).timestamp() * 1000) if isinstance(value, datetime) else value


@settings(max_examples=150)
@given(st.lists(frames(), max_size=4), st.data())
def test_frames_are_those_that_botocore_reads(given: list[tuple[EventFrame, bytes]], data: st.DataObject) -> None:
    stream = b"".join(raw for _, raw in given)
    expected = [one for one, _ in given]
    assert by_botocore(stream) == expected
    reader, found, at = EventFrameReader(), list[EventFrame](), 0
    while at < len(stream):
        size = data.draw(st.integers(1, 40))
        found += reader.feed(stream[at : at + size])
        at += size
    assert found == expected
    assert reader.is_between


@settings(max_examples=300)
@given(st.lists(frames(), min_size=1, max_size=3), st.data())
def test_damage_is_noticed_by_both(given: list[tuple[EventFrame, bytes]], data: st.DataObject) -> None:
    stream = bytearray(b"".join(raw for _, raw in given))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((DamagedStream, EventTooLong)):
        list(EventFrameReader(1 << 30).feed(bytes(stream)))
    with pytest.raises(ParserError):
        by_botocore(bytes(stream))


@settings(max_examples=200)
@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_headers_are_read_or_rejected(block: bytes, payload: bytes) -> None:
    try:
        (found,) = EventFrameReader().feed(framed(block, payload))
    except DamagedStream:
        return
    assert found.payload == payload


def test_every_cut_gives_the_frames_before_it() -> None:
    first, second = frame(b"one", a="x"), frame(b"two")
    stream = first + second
    for at in range(len(stream) + 1):
        reader = EventFrameReader()
        found = [*reader.feed(stream[:at])]
        assert len(found) == (at >= len(first)) + (at == len(stream))
        assert reader.is_between is (at in (0, len(first), len(stream)))


def test_frame_longer_than_the_limit_is_rejected_at_its_beginning() -> None:
    stream = frame(b"x" * 100)
    assert len(list(EventFrameReader(len(stream)).feed(stream))) == 1
    with pytest.raises(EventTooLong):
        list(EventFrameReader(len(stream) - 1).feed(stream[:12]))


def test_lengths_that_contradict_each_other_are_damage() -> None:
    for total, headers in ((15, 0), (16, 1), (0, 0), (20, 0xFFFFFFFF)):
        prelude = struct.pack(">II", total, headers)
        with pytest.raises(DamagedStream):
            list(EventFrameReader().feed(prelude + struct.pack(">I", crc32(prelude)) + bytes(40)))


def test_header_twice_is_damage() -> None:
    block = b"\x01a\x00" * 2
    with pytest.raises(DamagedStream):
        list(EventFrameReader().feed(framed(block, b"")))


def test_text_of_another_header_is_empty() -> None:
    found = EventFrame({"a": 1, "b": "x"}, b"")
    assert (found.text("a"), found.text("b"), found.text("c")) == ("", "x", "")
