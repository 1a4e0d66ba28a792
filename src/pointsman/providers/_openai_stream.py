"""Read a streamed answer in OpenAI's dialect and pass on the provider's own bytes.

https://platform.openai.com/docs/api-reference/chat-streaming

After the first content nearly every piece is passed on after one check: it is JSON without a usage, an error or a
`finish_reason`. Most events of a stream differ only in their text. So an event that begins and ends like a plain one,
with no quotation mark in between, is plain too. It is passed on after a check of that text alone. OpenAI's events have
a second text, `obfuscation`, of random length. They are checked in the same way in two places.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._broken import too_long, truncated
from pointsman.providers._error_table import Rules
from pointsman.providers._event_stream import EventStream
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers._refusals import in_choice
from pointsman.wire.errors import error_event
from pointsman.wire.json_object import UNREADABLE, is_empty, read_leniently
from pointsman.wire.sse import MAX_EVENT_BYTES, EventTooLong
from pointsman.wire.usage import read_usage

_TEXT = b'content":"'
_PADDING = b'"obfuscation":"'  # https://platform.openai.com/docs/api-reference/chat/create (`include_obfuscation`)
_ERROR = Raw(b'"error"')
_NO_VALUE = Raw(b"")


def has_content(fields: dict[str, Raw] | None) -> bool:
    """Return whether a delta, or a message, has any content: text, a call, reasoning, an image or anything else."""
    return fields is not None and any(not is_empty(value) for name, value in fields.items() if name != "role")


class _ChunkChoice(Struct):
    index: int = 0
    delta: dict[str, Raw] | None = None
    text: Raw = _NO_VALUE
    finish_reason: Raw = _NO_VALUE
    usage: Raw = _NO_VALUE  # https://platform.moonshot.ai/docs/api/chat


class _GroqChunk(Struct):
    usage: Raw = _NO_VALUE


class _StreamChunk(Struct):
    choices: list[_ChunkChoice] | None = None
    usage: Raw = _NO_VALUE
    error: Raw = _NO_VALUE
    message: Raw = _NO_VALUE
    service_tier: str | None = None
    x_groq: _GroqChunk | None = None  # https://console.groq.com/docs/api-reference#chat-create


class _PlainChoice(Struct, gc=False):
    finish_reason: None = None


class _PlainChunk(Struct, gc=False):
    """A chunk without anything that concerns the gateway: all others fail to decode."""

    choices: list[_PlainChoice] | None = None
    usage: None = None
    error: None = None


_DECODER = msgspec.json.Decoder(_StreamChunk)
_PLAIN_DECODER = msgspec.json.Decoder(_PlainChunk)


class OpenAIStream(EventStream):
    """A `StreamDecoder`. With `keep_usage` false it leaves out the chunk with only usage, which the gateway requested
    and the client did not. A stream is whole when all of its `choices` have finished, or at `[DONE]`. Some servers
    never give a reason, and some make a single answer if several are requested. But after one answer had its reason,
    every other begun answer must have one."""

    __slots__ = ("_begun", "_ending", "_finished", "_keep_usage", "_middle", "_opening", "_refusing")
    _end = b"data: [DONE]\n\n"

    def __init__(
        self, *, keep_usage: bool, choices: int = 1, errors: Rules = (), max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        super().__init__(choices, errors, max_event_bytes)
        self._keep_usage = keep_usage
        self._begun: set[int] = set()  # the started ones of several answers
        self._finished: set[int] = set()
        self._refusing: set[int] = set()  # a stream is refused when all of its answers are
        self._opening = self._ending = b""  # of a plain event, before and after its texts
        self._middle = b""  # between them, if there are two

    def feed(self, data: bytes) -> bytes:
        opening, ending = self._opening, self._ending
        if opening and data.startswith(opening) and data.endswith(ending) and self._splitter.is_between:
            middle, last = self._middle, len(data) - len(ending)
            quote = data.find(b'"', len(opening), last)
            if middle and data.startswith(middle, quote):
                quote = data.find(b'"', quote + len(middle), last)
                is_like = quote < 0
            else:
                is_like = quote < 0 and not middle
            if is_like:
                self.events += 1
                return data
        try:
            whole = self._splitter.feed(data)
        except EventTooLong:
            self._fail(too_long())
            return b""
        if not whole:
            return whole
        # With several answers, the answer of each event must be known.
        count = _count_plain(whole) if self.has_content and self._choices == 1 else 0
        if not count:
            return self._read(whole)
        self.events += count
        if count == 1 and not (opening and whole.startswith(opening)):
            self._learn(whole)
        return whole

    def _learn(self, event: bytes) -> None:
        """Keep the bytes around the text of a plain event."""
        before, mark, after = event.partition(_TEXT)
        _, quote, ending = after.partition(b'"')
        if not quote:
            return
        self._opening, self._ending, self._middle = before + mark, quote + ending, b""
        between, padding, rest = ending.partition(_PADDING)
        _, another, after = rest.partition(b'"')
        if another:
            self._middle, self._ending = quote + between + padding, another + after

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        return error_event(failure, request_id)

    def _read_data(self, data: bytes, event: bytes) -> bool:  # noqa: ARG002
        if data.strip() == b"[DONE]":
            self._on_done()
            return True
        try:
            chunk = read_leniently(_DECODER, data)
        except UNREADABLE as error:
            return self._skip(error)
        is_flat = chunk.choices is None and not is_empty(chunk.message)  # an error that is not wrapped in `error`
        if is_flat or not is_empty(chunk.error):
            self._fail(classify_inside(data, self._errors))
            return False
        has_usage = not is_empty(chunk.usage)
        if has_usage:
            self.usage = read_usage(chunk.usage, chunk.service_tier) or self.usage
        elif self.usage is None:
            self.usage = _usage_elsewhere(chunk)
        for choice in chunk.choices or ():
            if choice.finish_reason == _ERROR:
                self._fail(ended_in_error())
                return False
            has_ended = not is_empty(choice.finish_reason)
            if has_ended or self._refusing or not self.has_content:  # no other event begins a refusal
                self._note_refusal(choice)
            if has_ended:
                self._finished.add(choice.index)
                self.has_content = True
                if len(self._finished) >= self._choices:
                    self.is_finished = self.is_ending = True
            if has_content(choice.delta) or not is_empty(choice.text):
                self.has_content = True
                self.events += 1
                if self._choices > 1:
                    self._begun.add(choice.index)
        return self._keep_usage or not has_usage or bool(chunk.choices)

    def _note_refusal(self, choice: _ChunkChoice) -> None:
        kind = in_choice(choice.delta, choice.finish_reason)
        if kind is not None:
            self._refusing.add(choice.index)
            if self.refused is None and len(self._refusing) >= self._choices:
                self.refused = kind

    def _on_done(self) -> None:
        if not self.has_content:
            self._fail(Failure(failures.MALFORMED_ANSWER, "the provider's stream ended without content"))
        elif not self.is_finished and (self.events_left_out or (self._finished and self._begun - self._finished)):
            self._fail(truncated())
        else:
            self.is_done = self.is_ending = True


def _usage_elsewhere(chunk: _StreamChunk) -> Usage | None:
    """Return the usage of a last chunk from a server that was not asked for it, or that has another place for it."""
    found = _NO_VALUE if chunk.x_groq is None else chunk.x_groq.usage
    if is_empty(found) and chunk.choices:
        found = chunk.choices[-1].usage
    return read_usage(found, chunk.service_tier)


def ended_in_error() -> Failure:
    """Return the failure of an answer whose `finish_reason` is `error`."""
    return Failure(failures.UPSTREAM_ERROR, "the provider ended its answer with the finish reason 'error'")


def _count_plain(whole: bytes) -> int:
    """Return the number of events, if all are readable and none of them concerns the gateway; else 0."""
    try:
        count = len(_PLAIN_DECODER.decode_lines(whole.replace(b"data:", b"")))  # inside a text, removal does no harm
    except UNREADABLE:
        return 0
    return count if count == whole.count(b"\n\n") else 0  # else some events are empty
