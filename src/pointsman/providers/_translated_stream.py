"""Read the events of a provider's stream as pieces, and write each for a client of another dialect."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.pieces import (
    CONTENT,
    Done,
    Failed,
    Finish,
    Piece,
    ReasoningPiece,
    RefusalPiece,
    SignaturePiece,
    TextPiece,
    ToolArguments,
    UsagePiece,
)
from pointsman.providers._broken import dense, unreadable, unsplit
from pointsman.providers._error_table import Rules
from pointsman.providers._event_stream import LARGE_EVENT_BYTES, EventStream, is_dense
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers._refusals import BY_REASON
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.sse import HEARTBEAT, DamagedStream, EventSplitter, EventTooLong, Splitter, event_data, split_events
from pointsman.wire.translation import PieceReader, PieceWriter, ProviderHalves

_TEXTS = (TextPiece, ReasoningPiece, RefusalPiece, ToolArguments)


class PieceStream(EventStream):
    """A `StreamDecoder` that reads the provider's events as pieces. It lacks the bytes for the client."""

    __slots__ = ("_ends_with_finish", "_holds_many", "_reader")

    def __init__(
        self,
        reader: PieceReader,
        *,
        errors: Rules,
        ends_with_finish: bool,
        holds_many: bool,
        max_event_bytes: int,
        splitter: Callable[[int], Splitter] = EventSplitter,
    ) -> None:
        super().__init__(1, errors, max_event_bytes, splitter)
        self._reader = reader
        self._ends_with_finish = ends_with_finish
        self._holds_many = holds_many

    def feed(self, data: bytes) -> bytes:
        try:
            whole = self._splitter.feed(data)
        except (EventTooLong, DamagedStream) as error:
            self._fail(unsplit(error))
            return b""
        return self._read(whole) if whole else whole

    def _note(self, pieces: Sequence[Piece]) -> None:
        """Take the facts that the gateway itself needs from the pieces of one event."""
        has_content = False
        for piece in pieces:
            kind = type(piece)
            if kind in CONTENT:
                has_content = True
                # Hidden reasoning is of no use to a client by itself.
                self.has_content = self.has_content or kind is not SignaturePiece
                if kind is RefusalPiece:
                    self.refused = failures.REFUSED
                if self._holds_many and isinstance(piece, _TEXTS):
                    self.content_bytes += len(piece.text.encode("utf-8", "surrogatepass"))
            elif isinstance(piece, UsagePiece):
                self.usage, self.is_usage_partial = piece.usage, piece.is_partial
            elif isinstance(piece, Finish):
                self.has_content = True
                self.refused = self.refused or BY_REASON.get(piece.reason)
                if self._ends_with_finish:
                    self.is_finished = self.is_ending = True
            elif isinstance(piece, Failed):
                self._fail(failure_of(piece, self._errors))
            elif kind is Done:
                self._on_done()
        if has_content:
            self.events += 1

    def _on_done(self) -> None:
        if not self.has_content:
            self._fail(Failure(failures.MALFORMED_ANSWER, "the provider's stream ended without content"))
        elif self.events_left_out and not self.is_finished:
            self._fail(unreadable(ValueError("the end of the answer")))
        else:
            self.is_done = self.is_ending = True


class UpstreamStream(PieceStream):
    """A `StreamDecoder` that passes on the provider's own events, in a dialect that only providers speak."""

    __slots__ = ()

    def __init__(
        self,
        halves: ProviderHalves,
        *,
        errors: Rules,
        max_event_bytes: int,
        splitter: Callable[[int], Splitter] = EventSplitter,
    ) -> None:
        super().__init__(
            halves.reader(),
            errors=errors,
            ends_with_finish=halves.ends_with_finish,
            holds_many=halves.holds_many,
            max_event_bytes=max_event_bytes,
            splitter=splitter,
        )

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        message = f"{failure.for_client} (request {request_id})"
        return b"data: %b\n\n" % encode_object({"error": {"code": failure.kind.status, "message": message}})

    def _read_data(self, data: bytes, event: bytes) -> bool:
        try:
            self._note(self._reader.read(data, event))
        except UNREADABLE as error:
            return self._skip(error)
        return True


class TranslatedStream(PieceStream):
    """A `StreamDecoder`: reads the provider's events as pieces and writes each as the client's events. `heartbeat` are
    the bytes between events that its clients skip."""

    __slots__ = ("_writer", "heartbeat")

    def __init__(
        self,
        reader: PieceReader,
        writer: PieceWriter,
        *,
        errors: Rules,
        ends_with_finish: bool,
        holds_many: bool,
        max_event_bytes: int,
        splitter: Callable[[int], Splitter] = EventSplitter,
    ) -> None:
        super().__init__(
            reader,
            errors=errors,
            ends_with_finish=ends_with_finish,
            holds_many=holds_many,
            max_event_bytes=max_event_bytes,
            splitter=splitter,
        )
        self._writer = writer
        self.heartbeat = HEARTBEAT

    def close(self) -> bytes:
        out = super().close()
        return out if self.failure is not None else out + self._writer.write((Done(),))

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        return self._writer.error(failure, request_id)

    def _read(self, whole: bytes) -> bytes:
        out: list[bytes] = []
        for event in split_events(whole):
            if len(event) > LARGE_EVENT_BYTES and is_dense(event):
                self._fail(dense())
                break
            data = event_data(event)
            if data is None or not data.strip():
                out.append(self.heartbeat)
                continue
            try:
                pieces = self._reader.read(data, event)
            except UNREADABLE as error:
                self._skip(error)
                pieces = ()
            if pieces:
                self._note(pieces)
            if self.failure is not None:
                break
            # A client must not wait in silence while its dialect has nothing for an event, such as a ping.
            written = self._writer.write(pieces) if pieces else b""
            out.append(written or (b"" if self.is_ending else self.heartbeat))
            if self.is_done:
                break
        return b"".join(out)


def failure_of(piece: Failed, errors: Rules) -> Failure:
    """Return the failure that a provider reported inside its answer. Its body is of no use to a client of another
    dialect."""
    return replace(classify_inside(piece.body, errors), body=None)
