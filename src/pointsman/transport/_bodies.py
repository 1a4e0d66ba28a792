"""Request bodies: how they are delimited (chunked or by length), and how a streamed one is read in time."""

import re
from collections.abc import Callable

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})(?:;[\t\x20-\x7e]*)?\r\n")
_TRAILERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
_LINE_BYTES = 256  # a size line with its extension
_TRAILER_BYTES = 8192
_OVERHEAD_BYTES = 16384
_CHUNKS_AT_ONCE = 4096

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class Chunked:
    """Takes a chunked body out of a buffer, strictly. Extensions and trailers are checked, and dropped.

    `is_behind` is true if `take` left chunks for another call: one read may bring so many small chunks that they would
    block the event loop. `_overhead` counts the bytes of extensions beyond an allowance of 16 bytes a chunk and twice
    its data. It is bounded. Otherwise a client could send extensions for ever, and never reach the limit on bodies.
    """

    __slots__ = ("_left", "_overhead", "_state", "is_behind", "is_done")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._overhead = 0
        self.is_behind = False
        self.is_done = False

    def take(self, buffer: bytearray) -> bytes:
        """Remove all decodable bytes from the front of `buffer` and return their data.

        Bytes after the end of the body stay in it. Raises `Rejection` if the chunked coding is malformed.
        """
        pieces: list[bytes] = []
        data = bytes(buffer)
        position = 0
        steps = 3 * _CHUNKS_AT_ONCE
        while position < len(data) and self._state != _DONE and steps:
            steps -= 1
            if self._state == _DATA:
                piece = data[position : position + self._left]
                pieces.append(piece)
                after = position + len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
            elif self._state == _SIZE:
                after = self._read_size(data, position)
            elif self._state == _DATA_END:
                after = self._read_data_end(data, position)
            else:
                after = self._read_trailers(data, position)
            if after == position:
                break
            position = after
        del buffer[:position]
        self.is_done = self._state == _DONE
        self.is_behind = not steps and not self.is_done
        return b"".join(pieces)

    def _read_size(self, data: bytes, position: int) -> int:
        """Read one size line. Return the index after it, or `position` if it is not complete yet."""
        match = _SIZE_LINE.match(data, position)
        if match is None:
            if data.find(b"\n", position) >= 0 or len(data) - position >= _LINE_BYTES:
                raise _malformed("a chunk size is not a hexadecimal number on its own line")
            return position
        after = match.end()
        if after - position > _LINE_BYTES:
            raise _malformed("a chunk size is not a hexadecimal number on its own line")
        self._left = left = int(match[1], 16)
        spent = after - position - 16 - 2 * left
        if spent > 0 or self._overhead:
            self._overhead = max(0, self._overhead + spent)
            if self._overhead > _OVERHEAD_BYTES:
                raise _malformed("the chunk extensions are too long; send none")
        self._state = _DATA if left else _TRAILER
        return after

    def _read_data_end(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self._state = _SIZE
            return position + 2
        if data[position:] != b"\r":
            raise _malformed("a chunk is longer than its announced size")
        return position

    def _read_trailers(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            self._state = _DONE
            return position + 2
        end = data.find(b"\r\n\r\n", position) + 4
        if (end if end >= 4 else len(data)) - position > _TRAILER_BYTES:
            message = f"the trailers of the request body have more than {_TRAILER_BYTES} bytes; send fewer"
            raise Rejection(Failure(failures.HEADERS_TOO_LARGE, message))
        if end < 4:
            return position
        if not _TRAILERS.fullmatch(data, position, end):
            raise _malformed("a trailer is not a valid header")
        self._state = _DONE
        return end


class Fixed:
    """Takes a body of known length out of a buffer. Has the same interface as `Chunked`."""

    __slots__ = ("_left", "is_done")
    is_behind = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.is_done = length == 0

    def take(self, buffer: bytearray) -> bytes:
        """Remove the bytes of the body from the front of `buffer` and return them."""
        piece = bytes(buffer[: self._left])
        del buffer[: len(piece)]
        self._left -= len(piece)
        self.is_done = self._left == 0
        return piece


MIN_BYTES_PER_S = 1000


def next_due(since: float, now: float, size: int, patience_s: float) -> float:
    """Return the time by which a client must send more of a body, of which `size` bytes have arrived since it began.
    This is the earlier of two times: `patience_s` from now, and `patience_s` after the time at which `size` bytes would
    have arrived at the lowest allowed rate. A telephone with poor reception sends about 1000 bytes a second. A client
    that sends one byte a second only occupies a connection."""
    return min(now + patience_s, since + patience_s + size / MIN_BYTES_PER_S)


class StreamedBody:
    """A body that is passed on as it arrives: the callbacks of its reader, and its time limit. More bytes must arrive
    by `due`. `_since` is the time at which the body began, moved later by the time that its reader paused it."""

    __slots__ = ("_patience_s", "_since", "_size", "due", "is_delivering", "is_paused", "on_data", "on_end")

    def __init__(self, now: float, patience_s: float) -> None:
        self.on_data: Callable[[bytes], None] | None = None  # None until the handler reads
        self.on_end: Callable[[], None] | None = None
        self.is_paused = False
        self.is_delivering = False
        self.due = now + patience_s
        self._patience_s = patience_s
        self._since = now
        self._size = 0

    def arrive(self, now: float, size: int) -> None:
        """Record that `size` bytes have arrived so far."""
        self._size = size
        self.due = next_due(self._since, now, size, self._patience_s)

    def wait(self, now: float) -> None:
        """Move the time limit later, while the reader has paused the body."""
        self._since = max(self._since, now - self._size / MIN_BYTES_PER_S)
        self.due = now + self._patience_s


def too_large(limit: int) -> Rejection:
    """Return the rejection of a body that has more than `limit` bytes."""
    return Rejection(Failure(failures.REQUEST_TOO_LARGE, f"the request body is larger than the limit of {limit} bytes"))


def _malformed(message: str) -> Rejection:
    return Rejection(Failure(failures.INVALID_REQUEST, f"the chunked request body is malformed: {message}"))
