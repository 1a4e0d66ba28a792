"""The framing of HTTP/1.1 requests. It uses no socket, no clock and no callback: it takes bytes and returns events.

`feed` takes a read and returns an event, `next` returns the next event in earlier reads, and `read` takes a streamed
body. The data of an event are in attributes, so an event costs no object. The owner (the connection that uses the
framer) answers by `accept`, `skip`, `finish`, `set_paused` and `end`. Every change of `state` is a look-up in
`TRANSITIONS`; an event that the table does not list raises `KeyError`.

Requests are served one after the other; bytes that arrive meanwhile wait in a buffer. The hot path is short: a read
that is exactly one request with a known head costs a comparison with that head (see `http_head`). All other bytes go
through the buffer.
"""

from typing import ClassVar, Final

from pointsman.domain.failures import Failure, Rejection
from pointsman.transport._bodies import Chunked, Fixed, too_large
from pointsman.transport._server_parts import Limits
from pointsman.transport.http_head import CHUNKED, BodyMode, Head, HeadMemo, KnownHead, check_part

# The states.
IDLE: Final = "idle"  # between requests; no byte of the next one has arrived
WAITING: Final = "waiting"  # between requests; a part of the next one has arrived, or the owner has paused the framer
ACCEPTING: Final = "accepting"  # a head has arrived; the owner decides how to take the body
COLLECTING: Final = "collecting"  # the body is collected
STREAMING: Final = "streaming"  # the request is served while its body arrives
SERVING: Final = "serving"  # the request is served, and all of it has arrived
ENDING: Final = "ending"  # the last response is written; further bytes are dropped
CLOSED: Final = "closed"

# The events that are returned.
NOTHING: Final = "nothing"  # no event until more bytes arrive
REQUEST: Final = "request"  # serve `head`, with a `body` of `length` bytes unless the body is streamed
HEAD: Final = "head"  # `head`, and the `length` of its body or `CHUNKED`: answer by `accept`, `skip` or `end`
DATA: Final = "data"  # `read` can take more of a streamed body
PIECE: Final = "piece"  # a piece of a streamed body is in `body`
END: Final = "end"  # a streamed body has ended
LATER: Final = "later"  # more can be taken, in another turn of the event loop
REJECTED: Final = "rejected"  # `failure` must be sent to the client, and nothing more is read
OVERFLOW: Final = "overflow"  # the client has sent more than may be buffered or dropped

# The events that are not returned: arriving bytes or the owner cause them.
PART: Final = "part"
EMPTY: Final = "empty"
PAUSE: Final = "pause"
COLLECT: Final = "collect"
STREAM: Final = "stream"
DONE: Final = "done"
CLOSE: Final = "close"
LOST: Final = "lost"

TRANSITIONS: Final[dict[str, dict[str, str]]] = {
    IDLE: {REQUEST: SERVING, PART: WAITING, PAUSE: WAITING, CLOSE: ENDING, LOST: CLOSED},
    WAITING: {EMPTY: IDLE, HEAD: ACCEPTING, REJECTED: ENDING, OVERFLOW: CLOSED, CLOSE: ENDING, LOST: CLOSED},
    ACCEPTING: {COLLECT: COLLECTING, STREAM: STREAMING, DONE: IDLE, REJECTED: ENDING, CLOSE: ENDING, LOST: CLOSED},
    COLLECTING: {REQUEST: SERVING, REJECTED: ENDING, CLOSE: ENDING, LOST: CLOSED},
    STREAMING: {END: SERVING, REJECTED: ENDING, CLOSE: ENDING, LOST: CLOSED},
    SERVING: {DONE: IDLE, OVERFLOW: CLOSED, CLOSE: ENDING, LOST: CLOSED},
    ENDING: {OVERFLOW: CLOSED, CLOSE: ENDING, LOST: CLOSED},
    CLOSED: {CLOSE: CLOSED, LOST: CLOSED},
}

LINGER_BYTES = 1 << 20  # the most bytes that are dropped before the connection is closed
_BUFFER = BodyMode.BUFFER  # looking up a member of an Enum costs the hot path more than a global
_WHOLE: Final = TRANSITIONS[IDLE][REQUEST]
_BEGUN: Final = TRANSITIONS[IDLE][PART]
_ASKING: Final = TRANSITIONS[_BEGUN][HEAD]
_COLLECTED: Final = TRANSITIONS[COLLECTING][REQUEST]
_HAVING_A_HEAD: Final = frozenset({ACCEPTING, COLLECTING, STREAMING})


class Framer:
    """Finds the requests of one connection; see the module's docstring.

    While a body is collected or streamed, `received` counts its bytes so far. For a collected body, `buffered` counts
    the bytes of it in memory. After `REJECTED`, `rejected` is the head of the request, if its body is at fault.
    """

    __slots__ = (
        "_buffer", "_collected", "_dropped", "_framing", "_is_paused", "_known", "_limits", "_memo", "_scanned", "body",
        "buffered", "failure", "head", "length", "received", "rejected", "state",
    )  # fmt: skip

    def __init__(self, limits: Limits, memo: HeadMemo) -> None:
        self._limits = limits
        self._memo = memo
        self._known: KnownHead | None = None  # the previous request's head, and most likely the next one's
        self._buffer = bytearray()
        self._scanned = 0  # bytes of the buffer that were searched for the end of a head
        self._framing: Chunked | Fixed
        self._collected = bytearray()  # the decoded data of a chunked body so far
        self._dropped = 0
        self._is_paused = False
        self.state = IDLE
        self.head: Head
        self.body = b""
        self.length = 0
        self.received = self.buffered = 0
        self.failure: Failure
        self.rejected: Head | None = None

    def feed(self, data: bytes) -> str:
        """Take a read. Return its first event."""
        if self.state == IDLE:
            known = self._known
            found = known.measure(data) if known is not None else None
            if found is None:
                self._known = known = self._memo.find_after(known, data)
                found = known.measure(data) if known is not None else None
            if known is not None and found is not None and known.head.mode is _BUFFER:
                end, length = found
                if end + length == len(data) and length <= self._limits.body_bytes:
                    self.head = known.head
                    self.length = length
                    self.body = data[end:]
                    self.state = _WHOLE
                    return REQUEST
            self.state = _BEGUN
            if known is None and self._learn(data):
                return HEAD
        self._buffer += data
        return self.next()

    def next(self) -> str:
        """Return the next event in earlier reads."""
        try:
            return self._READERS[self.state](self)
        except Rejection as rejection:
            return self._reject(rejection.failure)

    def read(self) -> str:
        """Take more of a streamed body. Return `PIECE`, `END`, `NOTHING`, `LATER` or `REJECTED`."""
        framing = self._framing
        if framing.is_behind:  # a turn of the loop has taken as many very small chunks as it may
            framing.is_behind = False
            return LATER
        try:
            self.body = framing.take(self._buffer)
            self.received += len(self.body)
            if self.received > self._limits.streamed_body_bytes:
                raise too_large(self._limits.streamed_body_bytes)
        except Rejection as rejection:
            return self._reject(rejection.failure)
        if self.body:
            return PIECE
        if not framing.is_done:
            return NOTHING
        self._move(END)
        return END

    # The owner's calls.

    def accept(self, mode: BodyMode) -> str:
        """Accept the head that was found. Return the next event: for a streamed body it is `REQUEST`."""
        self.head.mode = mode
        is_collected = mode is _BUFFER
        most = self._limits.body_bytes if is_collected else self._limits.streamed_body_bytes
        if self.length > most:
            return self._reject(too_large(most).failure)
        self.received = self.buffered = 0
        self.state = TRANSITIONS[self.state][COLLECT if is_collected else STREAM]
        if self.length == CHUNKED:
            self._framing = Chunked()
        elif is_collected:
            return self._read_body()
        else:
            self._framing = Fixed(self.length)
        return self.next() if is_collected else REQUEST

    def skip(self) -> None:
        """Drop a rejected request, to go on with the next one. Requires `can_skip`."""
        del self._buffer[: self.length]
        self.finish()

    def finish(self) -> None:
        """End the request, whose response is complete. If the next one has begun to arrive, `next` finds it."""
        self.state = TRANSITIONS[self.state][DONE]
        if self._buffer or self._is_paused:
            self._move(PART)

    def set_paused(self, *, is_paused: bool) -> None:
        """Pause or go on. While the framer is paused, no request begins."""
        self._is_paused = is_paused
        if is_paused and self.state == IDLE:
            self._move(PAUSE)

    def end(self, event: str) -> None:
        """Serve no more requests: after `CLOSE` all bytes are dropped, after `LOST` there is no connection."""
        self._move(event)
        self._forget()

    # Properties for the owner.

    @property
    def can_skip(self) -> bool:
        """True if the whole request of the head has arrived, and another request may follow on the connection."""
        return self.head.keep_alive and 0 <= self.length <= len(self._buffer)

    @property
    def awaits_body(self) -> bool:
        """True if the request has a body, and no byte of it has arrived."""
        return self.length != 0 and not self._buffer

    @property
    def has_part(self) -> bool:
        """True if a part of a request has arrived that is not served yet."""
        return self.state == COLLECTING or (self.state == WAITING and bool(self._buffer))

    @property
    def is_full(self) -> bool:
        """True if the buffer has more bytes than may be read ahead."""
        return len(self._buffer) > self._limits.pipeline_bytes

    # The reading of arrived bytes, by state.

    def _learn(self, data: bytes) -> bool:
        """Begin a request with a new head. Return false if the head is incomplete or malformed."""
        end = data.find(b"\r\n\r\n") + 4
        if not 4 < end <= self._limits.head_bytes:
            return False
        try:
            self.head, self.length = self._memo.learn(data[:end])
        except Rejection:
            return False
        self._buffer += data[end:]
        self.state = _ASKING
        return True

    def _read_head(self) -> str:
        if self._is_paused:
            return self._read_ahead()
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # empty lines before a request are to be ignored
            del buffer[:2]
        if not buffer:
            self._move(EMPTY)
            return NOTHING
        head_bytes = self._limits.head_bytes
        end = buffer.find(b"\r\n\r\n", self._scanned) + 4
        if not 4 <= end <= head_bytes:
            self._scanned = check_part(buffer, self._scanned, end, head_bytes)
            return NOTHING
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._scanned = 0
        self.head, self.length = self._memo.read(raw)
        self._move(HEAD)
        return HEAD

    def _read_body(self) -> str:
        buffer = self._buffer
        if self.length != CHUNKED:
            length = self.length
            self.received = self.buffered = min(len(buffer), length)
            if self.received < length:
                return NOTHING
            self.body = bytes(memoryview(buffer)[:length])
            del buffer[:length]
        else:
            framing, collected = self._framing, self._collected
            collected += framing.take(buffer)
            self.received = len(collected)
            self.buffered = self.received + len(buffer)
            if self.received > self._limits.body_bytes:
                raise too_large(self._limits.body_bytes)
            if not framing.is_done:
                return LATER if framing.is_behind else NOTHING
            self.body = bytes(collected)
            self.length = self.received
            self._collected = bytearray()
        self.state = _COLLECTED
        return REQUEST

    def _read_ahead(self) -> str:
        return self._overflow() if self.is_full else NOTHING

    def _drop(self) -> str:
        self._dropped += len(self._buffer)
        self._buffer.clear()
        return self._overflow() if self._dropped > LINGER_BYTES else NOTHING

    def _ignore(self) -> str:
        self._buffer.clear()
        return NOTHING

    def _keep(self) -> str:
        return NOTHING

    def _announce(self) -> str:
        return DATA

    def _overflow(self) -> str:
        self._move(OVERFLOW)
        self._forget()
        return OVERFLOW

    def _reject(self, failure: Failure) -> str:
        self.failure = failure
        self.rejected = self.head if self.state in _HAVING_A_HEAD else None
        self._move(REJECTED)
        self._forget()
        return REJECTED

    def _move(self, event: str) -> None:
        self.state = TRANSITIONS[self.state][event]

    def _forget(self) -> None:
        self._buffer, self._collected, self.body = bytearray(), bytearray(), b""

    _READERS: ClassVar = {
        IDLE: _keep,
        WAITING: _read_head,
        ACCEPTING: _keep,
        COLLECTING: _read_body,
        STREAMING: _announce,
        SERVING: _read_ahead,
        ENDING: _drop,
        CLOSED: _ignore,
    }
