"""Frames of `application/vnd.amazon.eventstream`, in which AWS streams answers.

https://smithy.io/2.0/aws/amazon-eventstream.html

A frame has the lengths of itself and of its headers, a checksum of both, the headers, a payload, and a checksum of all
of it. A header has a name and a typed value.
"""

import struct
from collections.abc import Iterator
from zlib import crc32

from msgspec import Struct

from pointsman.wire.sse import MAX_EVENT_BYTES, DamagedStream, EventTooLong

Value = bool | int | bytes | str

_PRELUDE = struct.Struct(">III")  # the length of the frame, that of its headers, and a checksum
_CHECKSUM = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CHECKSUM.size
_TRUE, _FALSE, _BYTES, _STRING, _UUID = 0, 1, 6, 7, 9
_NUMBERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_TIMESTAMP = 8
_LENGTH = struct.Struct(">H")


class EventFrame(Struct, frozen=True, gc=False):
    """A frame. A timestamp among the headers is a number of milliseconds, and a UUID is its 16 bytes."""

    headers: dict[str, Value]
    payload: bytes

    def text(self, name: str) -> str:
        """Return a header that is a text; an empty text if there is none."""
        value = self.headers.get(name, "")
        return value if isinstance(value, str) else ""


class EventFrameReader:
    """Reads frames from bytes that arrive in pieces. `is_between` is true if no bytes are buffered."""

    __slots__ = ("_held", "_max_bytes")

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._held = bytearray()
        self._max_bytes = max_bytes

    @property
    def is_between(self) -> bool:
        return not self._held

    def feed(self, data: bytes) -> Iterator[EventFrame]:
        """Yield the frames that `data` completes. Raises `EventTooLong` and `DamagedStream`, after which nothing more
        may be fed."""
        held, at = self._held, 0
        held += data
        while len(held) - at >= _PRELUDE.size:
            length, of_headers, checksum = _PRELUDE.unpack_from(held, at)
            if crc32(held[at : at + 8]) != checksum:
                raise DamagedStream("a frame has a wrong checksum of its beginning")
            if length < _LEAST or of_headers > length - _LEAST:
                raise DamagedStream("a frame has impossible lengths")
            if length > self._max_bytes:
                raise EventTooLong
            end = at + length
            if len(held) < end:
                break
            frame = bytes(held[at:end])
            at = end
            yield _read(frame, _PRELUDE.size + of_headers)
        del held[:at]


def _read(frame: bytes, payload_at: int) -> EventFrame:
    end = len(frame) - _CHECKSUM.size
    if crc32(frame[:end]) != _CHECKSUM.unpack_from(frame, end)[0]:
        raise DamagedStream("a frame has a wrong checksum")
    try:
        found = list(_headers(frame[_PRELUDE.size : payload_at]))
    except (struct.error, IndexError, UnicodeDecodeError):
        raise DamagedStream("the headers of a frame are malformed") from None
    headers = dict(found)
    if len(headers) < len(found):
        raise DamagedStream("a frame has a header twice")
    return EventFrame(headers, frame[payload_at:end])


def _headers(raw: bytes) -> Iterator[tuple[str, Value]]:
    at = 0
    while at < len(raw):
        name_end = at + 1 + raw[at]
        name, kind, at = _cut(raw, at + 1, name_end).decode(), raw[name_end], name_end + 1
        if kind in (_TRUE, _FALSE):
            yield name, kind == _TRUE
            continue
        if kind in (_BYTES, _STRING):
            end = at + 2 + _LENGTH.unpack_from(raw, at)[0]
            value = _cut(raw, at + 2, end)
            yield name, value.decode() if kind == _STRING else value
        elif kind == _UUID:
            end = at + 16
            yield name, _cut(raw, at, end)
        elif number := _NUMBERS[5] if kind == _TIMESTAMP else _NUMBERS.get(kind):
            end = at + number.size
            yield name, number.unpack_from(raw, at)[0]
        else:
            raise IndexError(kind)
        at = end


def _cut(raw: bytes, start: int, end: int) -> bytes:
    if end > len(raw):
        raise IndexError(end)
    return raw[start:end]
