"""Read answers of Anthropic's Messages API and pass on the provider's own bytes.

https://platform.claude.com/docs/en/build-with-claude/streaming, …/api/messages, …/api/errors
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._broken import incomplete, malformed, unsplit
from pointsman.providers._error_table import Rules
from pointsman.providers._event_stream import EventStream
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers._refusals import by_end
from pointsman.providers.api import WholeAnswer
from pointsman.wire.dialects.anthropic.errors import error_event
from pointsman.wire.dialects.anthropic.usage import AnthropicUsage, read_counts
from pointsman.wire.json_object import UNREADABLE, is_empty, read_leniently
from pointsman.wire.sse import DamagedStream, EventSplitter, EventTooLong, Splitter

_NO_VALUE = Raw(b"")
_DELTA = "content_block_delta"
_LINES_BEHIND_OPENING = 2
_NO_USAGE = AnthropicUsage()
# Blocks that begin empty; their content follows in deltas. All others are content when they begin.
_EMPTY_AT_FIRST = frozenset({"text", "thinking"})


class _Message(Struct, gc=False):
    usage: Raw = _NO_VALUE


class _Block(Struct, gc=False):
    type: str = ""


class _Change(Struct, gc=False):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _AnyChange(_Change, gc=False):
    stop_reason: Raw = _NO_VALUE


class _Event(Struct, gc=False):
    type: str = ""
    delta: _AnyChange | None = None
    message: _Message | None = None
    content_block: _Block | None = None
    usage: Raw = _NO_VALUE
    error: Raw = _NO_VALUE


class _PlainEvent(Struct, gc=False):
    type: str
    delta: _Change


class _Count(Struct, gc=False):
    input_tokens: int | None = None
    error: Raw = _NO_VALUE


class _Answer(Struct, gc=False):
    type: str = ""
    content: Raw = _NO_VALUE
    stop_reason: Raw = _NO_VALUE
    usage: Raw = _NO_VALUE
    error: Raw = _NO_VALUE


_DECODER = msgspec.json.Decoder(_Event)
_PLAIN_DECODER = msgspec.json.Decoder(_PlainEvent)
_COUNT = msgspec.json.Decoder(_Count)
_ANSWER = msgspec.json.Decoder(_Answer)


class AnthropicStream(EventStream):
    """A `StreamDecoder`. A stream is whole when `message_stop` has come, and not before."""

    __slots__ = ("_counts", "_opening")

    def __init__(
        self, *, errors: Rules, max_event_bytes: int, splitter: Callable[[int], Splitter] = EventSplitter
    ) -> None:
        super().__init__(1, errors, max_event_bytes, splitter)
        self._opening = b""  # of an event with a piece of content, up to its data
        self._counts = _NO_USAGE

    def feed(self, data: bytes) -> bytes:
        opening = self._opening
        # Nearly every piece is one event that is named like the last one.
        if (
            opening
            and data.startswith(opening)
            and data.endswith(b"\n\n")
            and self._splitter.is_between
            and data.count(b"\n", len(opening)) == _LINES_BEHIND_OPENING
            and (change := _plain_delta(data[len(opening) :])) is not None
        ):
            self.events += 1
            self.content_bytes += _size(change)
            return data
        try:
            whole = self._splitter.feed(data)
        except (EventTooLong, DamagedStream) as error:
            self._fail(unsplit(error))
            return b""
        return self._read(whole) if whole else whole

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        return error_event(failure, request_id)

    def _read_data(self, data: bytes, event: bytes) -> bool:
        try:
            found = read_leniently(_DECODER, data)
        except UNREADABLE as error:
            return self._skip(error)
        kind = found.type
        if kind == "error" or not is_empty(found.error):
            self._fail(classify_inside(data, self._errors))
            return False
        if kind == _DELTA:
            self.events += 1
            self.has_content = True
            if found.delta is not None:
                self.content_bytes += _size(found.delta)
            self._opening = event[: event.find(data)]
        elif kind == "message_start" and found.message is not None:
            self._count(found.message.usage)
            self.is_usage_partial = True
        elif kind == "content_block_start":
            if found.content_block is not None and found.content_block.type not in _EMPTY_AT_FIRST:
                self.has_content = True
        elif kind == "message_delta":
            self.has_content = True
            if found.delta is not None:
                self.refused = by_end(found.delta.stop_reason) or self.refused
            self._count(found.usage)
            self.is_usage_partial = is_empty(found.usage) and self.is_usage_partial
        elif kind == "message_stop":
            self._on_stop()
        return True

    def _on_stop(self) -> None:
        if self.has_content:
            self.is_finished = self.is_done = self.is_ending = True
        else:
            self._fail(Failure(failures.MALFORMED_ANSWER, "the provider's stream ended without content"))

    def _count(self, usage: Raw) -> None:
        """Add the counts of one event: those of the prompt come first, those of the answer at the end."""
        counts = read_counts(usage)
        if counts is not None:
            self._counts = self._counts.updated(counts)
            self.usage = self._counts.normalised()


def _plain_delta(data: bytes) -> _Change | None:
    try:
        found = _PLAIN_DECODER.decode(data)
    except UNREADABLE:
        return None
    return found.delta if found.type == _DELTA else None


def _size(change: _Change) -> int:
    """Return the bytes of content in a piece."""
    text = change.text or change.thinking or change.partial_json
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def judge_message(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer: it must be a message with content, or with a reason for its end."""
    try:
        found = read_leniently(_ANSWER, body)
    except UNREADABLE as error:
        return malformed(error)
    if found.type == "error" or not is_empty(found.error):
        return classify_inside(body, errors)
    if bytes(found.content)[:1] != b"[":
        return incomplete("content")
    if is_empty(found.content) and is_empty(found.stop_reason):
        return Failure(failures.TRUNCATED, "the provider's answer has neither content nor a stop reason")
    return WholeAnswer(body, usage_of(found.usage), by_end(found.stop_reason))


def judge_count(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge the answer to a call that counts tokens. https://platform.claude.com/docs/en/api/messages-count-tokens"""
    try:
        found = _COUNT.decode(body)
    except UNREADABLE as error:
        return malformed(error)
    if not is_empty(found.error):
        return classify_inside(body, errors)
    if found.input_tokens is None:
        return incomplete("input_tokens")
    return WholeAnswer(body)


def usage_of(raw: Raw) -> Usage | None:
    """Return the usage in a whole answer; `None` if it is missing."""
    counts = read_counts(raw)
    return None if counts is None else counts.normalised()


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer that may be no message."""
    try:
        return usage_of(read_leniently(_ANSWER, body).usage)
    except UNREADABLE:
        return None
