"""The framing of HTTP/1.1 requests, without a socket, a clock or a callback: bytes in, events out.

`feed` takes a read and returns an event, `next` returns the next event in earlier reads, and `read` takes a streamed
body. The data of an event stand in attributes, so that an event costs no object. The owner answers by `accept`,
`skip`, `finish`, `hold` and `end`. Every change of `state` is a look-up in `TRANSITIONS`; an event that the table does
not list raises `KeyError`.

Requests are served one after the other; bytes that arrive meanwhile wait in a buffer. The hot path is short: a read
that holds one whole request with a known head costs a comparison with that head (see `http_head`). All other bytes go
through the buffer.
"""

from typing import ClassVar, Final

from pointsman.domain.failures import Failure, Rejection
from pointsman.transport._bodies import Chunked, Fixed, too_large
from pointsman.transport._server_parts import Limits
from pointsman.transport.http_head import CHUNKED, BodyMode, Head, HeadMemo, KnownHead, check_part

# The states.
IDLE: Final = "idle"  # between requests, and nothing of the next one is here
WAITING: Final = "waiting"  # between requests; a part of the next one is here, or the owner holds it back
ACCEPTING: Final = "accepting"  # a head is here; the owner is asked how it wants the body
COLLECTING: Final = "collecting"  # the body is collected
STREAMING: Final = "streaming"  # the request is served while its body arrives
SERVING: Final = "serving"  # the request is served, and all of it is here
ENDING: Final = "ending"  # the last answer is written; further bytes are dropped
CLOSED: Final = "closed"

# The events that are returned.
NOTHING: Final = "nothing"  # until more arrives
REQUEST: Final = "request"  # to be served: `head`, and `body` of `length` bytes unless that is streamed
HEAD: Final = "head"  # `head`, and the `length` of its body or `CHUNKED`: answer by `accept`, `skip` or `end`
DATA: Final = "data"  # more of a streamed body can be taken by `read`
PIECE: Final = "piece"  # of a streamed body: `body`
END: Final = "end"  # of a streamed body
LATER: Final = "later"  # more can be taken, in another turn of the loop
REFUSED: Final = "refused"  # `failure` is to be reported to the client, and nothing more is read
OVERFLOW: Final = "overflow"  # the client has sent too much where nothing is read

# The events that are not returned: an arrival or the owner causes them.
PART: Final = "part"
EMPTY: Final = "empty"
HOLD: Final = "hold"
COLLECT: Final = "collect"
STREAM: Final = "stream"
DONE: Final = "done"
CLOSE: Final = "close"
LOST: Final = "lost"

TRANSITIONS: Final[dict[str, dict[str, str]]] = {
    IDLE: {REQUEST: SERVING, PART: WAITING, HOLD: WAITING, CLOSE: ENDING, LOST: CLOSED},
    WAITING: {EMPTY: IDLE, HEAD: ACCEPTING, REFUSED: ENDING, OVERFLOW: CLOSED, CLOSE: ENDING, LOST: CLOSED},
    ACCEPTING: {COLLECT: COLLECTING, STREAM: STREAMING, DONE: IDLE, REFUSED: ENDING, CLOSE: ENDING, LOST: CLOSED},
    COLLECTING: {REQUEST: SERVING, REFUSED: ENDING, CLOSE: ENDING, LOST: CLOSED},
    STREAMING: {END: SERVING, REFUSED: ENDING, CLOSE: ENDING, LOST: CLOSED},
    SERVING: {DONE: IDLE, OVERFLOW: CLOSED, CLOSE: ENDING, LOST: CLOSED},
    ENDING: {OVERFLOW: CLOSED, CLOSE: ENDING, LOST: CLOSED},
    CLOSED: {CLOSE: CLOSED, LOST: CLOSED},
}

LINGER_BYTES = 1 << 20  # how much is dropped before it is too much
_BUFFER = BodyMode.BUFFER  # looking up a member of an Enum costs the hot path more than a global
_WHOLE: Final = TRANSITIONS[IDLE][REQUEST]
_BEGUN: Final = TRANSITIONS[IDLE][PART]
_ASKING: Final = TRANSITIONS[_BEGUN][HEAD]
_COLLECTED: Final = TRANSITIONS[COLLECTING][REQUEST]


class Framer:
    """Finds the requests of one connection; see the module's docstring.

    While a body is collected or streamed, `received` counts its bytes so far. `held` counts the bytes that the framer
    holds of a collected one.
    """

    __slots__ = (
        "_buffer", "_collected", "_dropped", "_framing", "_is_held", "_known", "_limits", "_memo", "_scanned", "body",
        "failure", "head", "held", "length", "received", "state",
    )  # fmt: skip

    def __init__(self, limits: Limits, memo: HeadMemo) -> None:
        self._limits = limits
        self._memo = memo
        self._known: KnownHead | None = None  # of the request before: most likely the next one's, too
        self._buffer = bytearray()
        self._scanned = 0  # bytes of the buffer known to hold no end of a head
        self._framing: Chunked | Fixed
        self._collected = bytearray()  # the decoded data of a chunked body so far
        self._dropped = 0
        self._is_held = False
        self.state = IDLE
        self.head: Head
        self.body = b""
        self.length = 0
        self.received = self.held = 0
        self.failure: Failure

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
        except Rejection as refusal:
            return self._refuse(refusal.failure)

    def read(self) -> str:
        """Take more of a streamed body. Return `PIECE`, `END`, `NOTHING`, `LATER` or `REFUSED`."""
        framing = self._framing
        if framing.is_behind:  # a turn of the loop has taken as many very small chunks as it may
            framing.is_behind = False
            return LATER
        try:
            self.body = framing.take(self._buffer)
            self.received += len(self.body)
            if self.received > self._limits.streamed_body_bytes:
                raise too_large(self._limits.streamed_body_bytes)
        except Rejection as refusal:
            return self._refuse(refusal.failure)
        if self.body:
            return PIECE
        if not framing.is_done:
            return NOTHING
        self._move(END)
        return END

    # The owner's calls.

    def accept(self, mode: BodyMode) -> str:
        """Accept the head that was found. Return the next event: a request whose body is streamed is one at once."""
        self.head.mode = mode
        is_collected = mode is _BUFFER
        most = self._limits.body_bytes if is_collected else self._limits.streamed_body_bytes
        if self.length > most:
            return self._refuse(too_large(most).failure)
        self.received = self.held = 0
        self.state = TRANSITIONS[self.state][COLLECT if is_collected else STREAM]
        if self.length == CHUNKED:
            self._framing = Chunked()
        elif is_collected:
            return self._read_body()
        else:
            self._framing = Fixed(self.length)
        return self.next() if is_collected else REQUEST

    def skip(self) -> None:
        """Skip a rejected request; all of it `is_here`."""
        del self._buffer[: self.length]
        self.finish()

    def finish(self) -> None:
        """End the request, which is answered. If the next one has begun to arrive, `next` finds it."""
        self.state = TRANSITIONS[self.state][DONE]
        if self._buffer or self._is_held:
            self._move(PART)

    def hold(self, *, is_held: bool) -> None:
        """Begin no request while it is held."""
        self._is_held = is_held
        if is_held and self.state == IDLE:
            self._move(HOLD)

    def end(self, event: str) -> None:
        """Serve no more requests: after `CLOSE` all bytes are dropped, after `LOST` the connection is gone."""
        self._move(event)
        self._forget()

    # The owner's questions.

    @property
    def is_here(self) -> bool:
        """True if all of the request whose head was found is here, and another one may follow."""
        return self.head.keep_alive and 0 <= self.length <= len(self._buffer)

    @property
    def lacks_body(self) -> bool:
        """True if the request has a body, and nothing of it is here."""
        return self.length != 0 and not self._buffer

    @property
    def has_part(self) -> bool:
        """True if a part of a request is here that is not served yet."""
        return self.state == COLLECTING or (self.state == WAITING and bool(self._buffer))

    @property
    def is_full(self) -> bool:
        """True if the buffer holds more than may be read ahead."""
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
        if self._is_held:
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
            self.received = self.held = min(len(buffer), length)
            if self.received < length:
                return NOTHING
            self.body = bytes(memoryview(buffer)[:length])
            del buffer[:length]
        else:
            framing, collected = self._framing, self._collected
            collected += framing.take(buffer)
            self.received = len(collected)
            self.held = self.received + len(buffer)
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

    def _refuse(self, failure: Failure) -> str:
        self.failure = failure
        self._move(REFUSED)
        self._forget()
        return REFUSED

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
