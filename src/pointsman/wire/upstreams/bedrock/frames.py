"""Bedrock's streams as server-sent events: their frames are taken apart, and errors get Anthropic's shape.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html,
…/API_runtime_InvokeModelWithResponseStream.html

A frame has an event, an exception that the API documents, or an error outside of it. Their types are in headers.
"""

from binascii import Error, a2b_base64
from collections.abc import Callable

import msgspec
from msgspec import Struct

from pointsman.wire.event_frames import EventFrame, EventFrameReader
from pointsman.wire.json_object import encode_object, read_or
from pointsman.wire.sse import DamagedStream

_TYPE, _EVENT, _EXCEPTION = ":message-type", ":event-type", ":exception-type"
_NO_LINES = bytes.maketrans(b"\r\n", b"  ")  # an event's data is one line; in JSON, a line end is white space


class _Chunk(Struct, gc=False):
    bytes: str = ""


class _Said(Struct, gc=False):
    message: str | None = None
    Message: str | None = None


class _Typed(Struct, gc=False):
    type: str = ""


_CHUNK = msgspec.json.Decoder(_Chunk)
_SAID = msgspec.json.Decoder(_Said)
_TYPED = msgspec.json.Decoder(_Typed)


class _FrameSplitter:
    """A `Splitter` of frames. `write` returns the event of a frame whose type is none of an error."""

    __slots__ = ("_reader", "_write")

    def __init__(self, max_bytes: int, write: Callable[[EventFrame], bytes]) -> None:
        self._reader = EventFrameReader(max_bytes)
        self._write = write

    @property
    def is_between(self) -> bool:
        return self._reader.is_between

    def feed(self, data: bytes) -> bytes:
        write = self._write
        return b"".join(
            [write(frame) if frame.text(_TYPE) == "event" else _error(frame) for frame in self._reader.feed(data)]
        )

    def rest(self) -> bytes:
        return b""  # a part of a frame holds no event


def converse_splitter(max_bytes: int) -> _FrameSplitter:
    """Return a splitter of ConverseStream. The data of an event is an object with one field, named after its type."""
    return _FrameSplitter(max_bytes, _converse)


def chunk_splitter(max_bytes: int) -> _FrameSplitter:
    """Return a splitter of InvokeModelWithResponseStream. Each chunk has an event of the model's own API, in
    base64."""
    return _FrameSplitter(max_bytes, _chunk)


def _converse(frame: EventFrame) -> bytes:
    data = frame.payload.translate(_NO_LINES)
    return b"data: {%b:%b}\n\n" % (encode_object(frame.text(_EVENT)), data or b"{}")


def _chunk(frame: EventFrame) -> bytes:
    if frame.text(_EVENT) != "chunk":
        return b""
    try:
        data = a2b_base64(read_or(_CHUNK, frame.payload, _Chunk()).bytes)
    except (Error, ValueError):
        raise DamagedStream("a chunk is not base64") from None
    kind = read_or(_TYPED, data, _Typed()).type
    name = kind.encode("ascii", "replace").translate(_NO_LINES)
    return b"event: %b\ndata: %b\n\n" % (name, data.translate(_NO_LINES))


def _error(frame: EventFrame) -> bytes:
    """Return the event of an error. A frame of any other type is left out, as Amazon's clients do."""
    if frame.text(_TYPE) == "exception":
        said = read_or(_SAID, frame.payload, _Said())
        kind, message = frame.text(_EXCEPTION), said.message or said.Message or ""
    elif frame.text(_TYPE) == "error":
        kind, message = frame.text(":error-code"), frame.text(":error-message")
    else:
        return b""
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return b"event: error\ndata: %b\n\n" % encode_object(error)
