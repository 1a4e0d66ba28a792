"""Read the streams of paths whose events have types, as those of `/v1/responses`, and pass on the provider's bytes.

https://platform.openai.com/docs/api-reference/responses-streaming, …/images-streaming,
…/audio/transcript-text-done-event, …/audio/speech-audio-done-event, …/assistants-streaming

A special event ends such a stream; it differs by path. Some servers send `[DONE]` after it. On paths other than
`/v1/responses`, some send `[DONE]` in its place.
"""

import re

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.operations import Operation
from pointsman.providers._broken import too_long, truncated
from pointsman.providers._error_table import Rules
from pointsman.providers._event_stream import EventStream
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers._refusals import in_response
from pointsman.providers._usage_scan import EventsScan
from pointsman.wire.dialects.openai_responses.failed import NOT_BEGUN, begun, failed_event
from pointsman.wire.errors import typed_error_event
from pointsman.wire.json_object import UNREADABLE, encode_object, is_empty, read_leniently
from pointsman.wire.sse import MAX_EVENT_BYTES, EventTooLong

_LAST: dict[Operation, frozenset[str]] = {
    "responses": frozenset({"response.completed", "response.incomplete", "response.cancelled"}),
    "image": frozenset({"image_generation.completed", "image_edit.completed"}),
    "audio": frozenset({"transcript.text.done", "speech.audio.done"}),
}
_ERRORS = frozenset({"error", "response.error", "response.failed"})

# The events before any part of an answer.
_PREAMBLE = frozenset(
    {"response.created", "response.queued", "response.in_progress", "response.output_item.added"}
    | {"response.content_part.added", "response.reasoning_summary_part.added", "ping", "keepalive", "heartbeat"}
    | {"thread.created", "thread.run.created", "thread.run.queued", "thread.run.in_progress"}
)
_NUMBER = re.compile(rb'"sequence_number": ?(\d{1,15})')
_NUMBER_BYTES = 512  # at either end of an event, where the number is searched for
_NO_VALUE = Raw(b"")


class _Response(Struct, gc=False):
    error: Raw = _NO_VALUE
    output: Raw = _NO_VALUE
    incomplete_details: Raw = _NO_VALUE


class _DoneItem(Struct, gc=False):
    type: str = ""
    summary: Raw = _NO_VALUE
    content: Raw = _NO_VALUE


class _ItemDone(Struct, gc=False):
    item: _DoneItem


class _Event(Struct, gc=False):
    type: str = ""
    error: Raw = _NO_VALUE
    response: _Response | None = None


class _PlainEvent(Struct, gc=False):
    type: str
    error: None = None
    response: None = None


_DECODER = msgspec.json.Decoder(_Event)
_ITEM_DONE = msgspec.json.Decoder(_ItemDone)
_PLAIN_DECODER = msgspec.json.Decoder(_PlainEvent)
_LINES_BEHIND_OPENING = 2


class TypedStream(EventStream):
    """A `StreamDecoder`. A stream is whole when its last event has come, once for each of its `choices`."""

    __slots__ = ("_begun", "_ends", "_last", "_number", "_opening", "_operation", "_plain_type", "_scan")

    def __init__(
        self,
        operation: Operation,
        *,
        choices: int = 1,
        errors: Rules = (),
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(choices, errors, max_event_bytes)
        self._operation = operation
        self._last = _LAST.get(operation, frozenset())
        self._ends = 0
        self._scan = EventsScan()
        self._number = b""  # the event whose number is the latest
        self._opening = b""  # of an event with a piece of text, up to its data
        self._plain_type = ""
        self._begun = NOT_BEGUN

    def feed(self, data: bytes) -> bytes:
        opening = self._opening
        # Nearly every piece is one event that is named like the last one.
        if (
            opening
            and data.startswith(opening)
            and data.endswith(b"\n\n")
            and self._splitter.is_between
            and data.count(b"\n", len(opening)) == _LINES_BEHIND_OPENING
            and self._is_like_the_last(data[len(opening) :])
        ):
            self.events += 1
            self._number = data
            return data
        try:
            whole = self._splitter.feed(data)
        except EventTooLong:
            self._fail(too_long())
            return b""
        return self._read(whole) if whole else whole

    def _is_like_the_last(self, data: bytes) -> bool:
        try:
            return _PLAIN_DECODER.decode(data).type == self._plain_type
        except UNREADABLE:
            return False

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        event = self._number
        found = _NUMBER.search(event[:_NUMBER_BYTES]) or _NUMBER.search(event[-_NUMBER_BYTES:])
        number = int(found[1]) + 1 if found is not None else 0
        if self._operation == "responses":
            return failed_event(self._begun, failure, request_id, number)
        return typed_error_event(failure, request_id, number)

    def _read(self, whole: bytes) -> bytes:
        self._scan.take(whole)
        out = super()._read(whole)
        if self.is_ending:
            self.usage = self._scan.usage or self.usage
        return out

    def _read_data(self, data: bytes, event: bytes) -> bool:
        if data.strip() == b"[DONE]":
            if self.is_finished or (self.has_content and not self.events_left_out and self._operation not in _STRICT):
                self.is_done = self.is_ending = self.has_content = True
            else:
                self._fail(truncated())
            return True
        try:
            typed = read_leniently(_DECODER, data)
        except UNREADABLE as error:
            return self._skip(error)
        kind = typed.type or _name(event)
        if kind in _ERRORS or not is_empty(typed.error):
            self._fail(self._failure(kind, typed, data))
            return False
        if kind.endswith(".delta"):
            self.events += 1
            self.has_content = True
            if kind == "response.refusal.delta":
                self.refused = failures.REFUSED
            if kind != self._plain_type:
                self._opening, self._plain_type = event[: event.find(data)], kind
        elif kind == "response.created":
            self._begun = begun(data)
        elif kind not in _PREAMBLE and (self.has_content or not _is_hidden_reasoning(kind, data)):
            self.has_content = True
            if typed.response is not None and self.refused is None and kind in self._last:
                self.refused = in_response(data, typed.response.output, typed.response.incomplete_details)
            if kind in self._last:
                self._ends += 1
                if self._ends >= self._choices:
                    self.is_finished = self.is_ending = True
        self._number = event
        return True

    def _failure(self, kind: str, typed: _Event, data: bytes) -> Failure:
        """Return the failure in an error event: flat, in `error`, or in the response that has failed."""
        inner = typed.error
        if typed.response is not None and kind == "response.failed":
            inner = typed.response.error
        body = encode_object({"error": inner}) if not is_empty(inner) else data
        return classify_inside(body, self._errors)


_STRICT = frozenset({"responses", "image"})  # their official servers never send [DONE] in its place


def _is_hidden_reasoning(kind: str, data: bytes) -> bool:
    """Return whether an event ends an item of reasoning without any text."""
    if kind != "response.output_item.done":
        return False
    try:
        item = read_leniently(_ITEM_DONE, data).item
    except UNREADABLE:
        return False
    return item.type == "reasoning" and is_empty(item.summary) and is_empty(item.content)


def _name(event: bytes) -> str:
    """Return the name of an event whose data has no type."""
    for line in event.split(b"\n"):
        if line.startswith(b"event:"):
            return line[6:].strip().decode("ascii", "replace")
    return ""
