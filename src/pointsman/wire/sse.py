"""Server-sent events, read incrementally.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html: events end with a blank line, lines end
with LF, CRLF or CR.
"""

from typing import Protocol

MAX_EVENT_BYTES = 32 * 1024 * 1024  # the default; an image in an event is some megabytes long
HEARTBEAT = b":\n\n"  # a comment: clients skip it
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # may open a stream


class EventTooLong(Exception):  # noqa: N818 -- the caller knows whose fault it is
    """An event is longer than the limit."""


class DamagedStream(Exception):  # noqa: N818 -- the caller knows whose fault it is
    """The framing of a stream is invalid, so nothing after it can be read."""


class Splitter(Protocol):
    """Splits a stream after whole events. They come out as server-sent events, whatever their framing was."""

    @property
    def is_between(self) -> bool:
        """True if no bytes are buffered."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Return the whole events that `data` completes, possibly none. Raises `EventTooLong` and `DamagedStream`."""
        ...

    def rest(self) -> bytes:
        """Return the bytes after the last whole event, if an event may end without its closing line."""
        ...


class EventSplitter:
    """Splits a byte stream after whole events, so that each piece can be inspected and passed on unchanged.

    Pieces come out with LF line ends for any input. `is_between` is true if no bytes are buffered. In this case, a
    piece that ends with a blank line is whole, and need not be fed.
    """

    __slots__ = ("_has_open_cr", "_max_bytes", "_tail", "is_between")

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tail = bytearray()
        self._has_open_cr = False
        self.is_between = True

    def feed(self, data: bytes) -> bytes:
        """Return the whole events that `data` completes, possibly none. Raises `EventTooLong`."""
        whole = self._cut(data)
        self.is_between = not (self._tail or self._has_open_cr)
        return whole

    def _cut(self, data: bytes) -> bytes:
        if self._has_open_cr or data.find(b"\r") >= 0:  # `in` takes five times as long
            data = self._with_lf(data)
        tail = self._tail
        if not tail:
            if data.endswith(b"\n\n"):
                return data
            cut = data.rfind(b"\n\n") + 2
            if cut == 1:
                cut = 0
            tail += data[cut:]
            self._check(tail)
            return data[:cut]
        searched = max(len(tail) - 1, 0)
        tail += data
        cut = tail.rfind(b"\n\n", searched) + 2
        if cut == 1:
            self._check(tail)
            return b""
        whole = bytes(tail[:cut])
        del tail[:cut]
        return whole

    def rest(self) -> bytes:
        """Return the bytes after the last whole event."""
        return bytes(self._tail)

    def _with_lf(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._has_open_cr:
            # The CR at the end of the last piece was already passed on as LF.
            if data.startswith(b"\n"):
                data = data[1:]
                if not data:
                    self._has_open_cr = False
                    return data
            self._has_open_cr = False
        self._has_open_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check(self, tail: bytearray) -> None:
        if len(tail) > self._max_bytes:
            raise EventTooLong


def split_events(whole: bytes) -> list[bytes]:
    """Return whole events, each with its closing blank line."""
    return [part + b"\n\n" for part in whole.split(b"\n\n") if part.strip(b"\n")]


def is_comment(event: bytes) -> bool:
    """Return whether an event holds nothing but comments. Official SDKs fail on other events without data: they take
    each for an event whose data is JSON."""
    return all(not line or line.startswith(b":") for line in event.removeprefix(BYTE_ORDER_MARK).split(b"\n"))


def are_events(beginning: bytes) -> bool:
    """Return whether a body with this beginning may be a stream of events: JSON and web pages begin otherwise."""
    return beginning.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] not in (b"{", b"[", b"<")


def event_data(event: bytes) -> bytes | None:
    """Return the `data` of one event, its lines joined; `None` for an event without data, such as a comment."""
    lines: list[bytes] = []
    for line in event.removeprefix(BYTE_ORDER_MARK).split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None
