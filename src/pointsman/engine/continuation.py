"""The state of a stream that broke off after its first content, while other attempts go on with it."""

from typing import Generic, TypeVar

from msgspec import Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Plan
from pointsman.domain.targets import Candidate
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.renaming import renaming_for
from pointsman.engine.sink import Sink
from pointsman.providers import continued_codec
from pointsman.providers.api import Codec
from pointsman.routing.continuing import may_follow
from pointsman.wire.delivered import ContinuingWriter, Delivered
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.translation import PieceWriter

READ_BYTES = 32 * 1024  # of a stream, at once

A = TypeVar("A")


class Recording:
    """A sink that keeps the text of a stream, and writes to another sink. It reads the events only now and then, and
    before the text is needed."""

    def __init__(self, sink: Sink, delivered: Delivered) -> None:
        self._sink = sink
        self._delivered = delivered
        self._unread: list[bytes] = []
        self._size = 0

    def send(self, status: int, headers: bytes, body: bytes) -> None:
        self._sink.send(status, headers, body)

    def start(self, status: int, headers: bytes, length: int | None = None) -> None:
        self._sink.start(status, headers, length)

    def write(self, data: bytes) -> bool:
        if self._delivered.is_text:
            self._unread.append(data)
            self._size += len(data)
            if self._size > READ_BYTES:
                self.delivered()
        return self._sink.write(data)

    def end(self) -> None:
        self._sink.end()

    def abort(self) -> None:
        self._sink.abort()

    def delivered(self) -> Delivered:
        """Return all that the client has received."""
        unread, self._unread, self._size = self._unread, [], 0
        self._delivered.read(b"".join(unread))
        return self._delivered


def client_sink(sink: Sink, call: Call, plan: Plan, receiver: AnswerReceiver) -> Sink:
    """Return the sink of an answer that leads to `sink`: it renames the model, and keeps the text, if the plan says
    so."""
    if plan.routing.response_model != "served":
        sink = renaming_for(call, sink, receiver.headers)
    halves = DIALECTS[call.head.dialect].halves
    if receiver.is_stream and may_follow(plan, call) and halves is not None and halves.resuming is not None:
        return Recording(sink, Delivered(halves, halves.resuming, call))
    return sink


class Continuation(Struct, Generic[A], eq=False):
    """A stream that broke off with `failure`, in the attempt `broken`. `text` is the text so far without the white
    space at its end, which is `blank`. `before` is the usage so far, as its client gets it. `dialect` is the client's.
    `number` counts the continuations of the answer, and `committed_at` is the time of its first content.
    `bytes_in` and `events` are the sums of the parts so far."""

    broken: A
    failure: Failure
    delivered: Delivered
    text: str
    blank: str
    before: Usage
    dialect: str
    committed_at: float
    bytes_in: int
    events: int
    number: int = 1

    def codec(self, item: Candidate) -> Codec:
        """Return the codec of an attempt at a candidate that goes on with the stream."""
        return continued_codec(item, self.dialect, self._writer)

    def _writer(self, echoes: bool) -> PieceWriter:
        return ContinuingWriter(self.delivered.writer(), self.text, self.blank, self.before, echoes=echoes)
