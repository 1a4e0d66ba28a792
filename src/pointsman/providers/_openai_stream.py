"""Read a streamed answer in OpenAI's dialect and pass on the provider's own bytes.

https://platform.openai.com/docs/api-reference/chat-streaming

After the first content nearly every piece is passed on after one check: it is JSON without a usage, an error or a
`finish_reason`. Most events of a stream differ only in their text. So an event that begins and ends like a plain one,
with no quotation mark in between, is plain too. It is passed on after a check of that text alone. OpenAI's events have
a second text, `obfuscation`, of random length. They are checked in the same way in two places.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._error_table import Rules
from pointsman.providers._event_stream import EventStream, too_long, truncated
from pointsman.providers._openai_errors import classify_inside
from pointsman.wire.errors import error_event
from pointsman.wire.json_object import UNREADABLE, read_leniently, read_or
from pointsman.wire.sse import MAX_EVENT_BYTES, EventTooLong

_NOTHING = frozenset({b"", b"null", b'""', b"[]", b"{}"})
_TEXT = b'content":"'
_PADDING = b'"obfuscation":"'  # https://platform.openai.com/docs/api-reference/chat/create (`include_obfuscation`)
_ERROR = Raw(b'"error"')
_NO_VALUE = Raw(b"")

MAX_USAGE_BYTES = 16 * 1024  # of a `usage` object in an answer that is only scanned for it
MAX_TOKENS = 1_000_000_000  # of any kind in one answer: more is an error, and its cost might fit no database

Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]


class _Details(Struct, gc=False):
    cached_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None
    image_tokens: Tokens | None = None


_NO_DETAILS = _Details()


class OpenAIUsage(Struct, kw_only=True, gc=False):
    """The `usage` object of chat, completions and embeddings, and under its newer names that of responses, images and
    transcriptions. https://platform.openai.com/docs/api-reference/chat/object, …/responses/object, …/images/object,
    …/audio/json-object"""

    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    input_token_details: _Details | None = None  # the spelling for transcriptions
    num_sources_used: Raw = _NO_VALUE  # https://docs.x.ai/docs/guides/live-search
    server_side_tool_usage_details: Raw = _NO_VALUE  # https://docs.x.ai/developers/tools/tool-usage-details
    server_tool_use: Raw = _NO_VALUE  # https://docs.claude.com/en/api/messages, and OpenRouter's
    tool_calls_details: Raw = _NO_VALUE  # https://docs.perplexity.ai/api-reference/responses-post

    def normalised(self, tier: str | None = None) -> Usage:
        inputs, outputs = self.prompt_tokens_details, self.completion_tokens_details
        has_tools = not (
            self.num_sources_used is self.server_tool_use is _NO_VALUE
            and self.server_side_tool_usage_details is self.tool_calls_details is _NO_VALUE
        )
        if inputs is None and outputs is None and tier is None and self.input_tokens is None and not has_tools:
            return Usage(self.prompt_tokens or 0, self.completion_tokens or 0)
        inputs = inputs or self.input_tokens_details or self.input_token_details or _NO_DETAILS
        outputs = outputs or self.output_tokens_details or _NO_DETAILS
        return Usage(
            self.prompt_tokens or self.input_tokens or 0,
            self.completion_tokens or self.output_tokens or 0,
            inputs.cached_tokens or 0,
            outputs.reasoning_tokens or 0,
            audio_in=inputs.audio_tokens or 0,
            audio_out=outputs.audio_tokens or 0,
            image_in=inputs.image_tokens or 0,
            image_out=outputs.image_tokens or 0,
            tier=tier,
            tools=self._tools() if has_tools else None,
        )

    def _tools(self) -> tuple[tuple[str, int], ...]:
        """Return the calls of tools that the provider ran, by the tool's name."""
        found: dict[str, int] = {}
        for raw in (self.server_side_tool_usage_details, self.server_tool_use, self.tool_calls_details):
            for name, count in _counts(raw).items():
                tool = _TOOL_NAME.sub("", name.lower())
                found[tool] = max(found.get(tool, 0), count)
        sources = _counts(Raw(b'{"live_search":%b}' % bytes(self.num_sources_used or b"0")))
        return tuple((found | sources if any(sources.values()) else found).items())


class _Invocations(Struct, gc=False):
    invocation: Tokens = 0


_TOOL_NAME = re.compile(r"^server_side_tool_|_(?:calls|requests)$")
_COUNTS = msgspec.json.Decoder(dict[str, Tokens | _Invocations | None])


def _counts(raw: Raw) -> dict[str, int]:
    """Return the number of uses of each tool. A malformed object counts as none."""
    if bytes(raw) in _NOTHING:
        return {}
    counts = read_or(_COUNTS, raw, {})
    return {name: one.invocation if isinstance(one, _Invocations) else one or 0 for name, one in counts.items()}


_USAGE_DECODER = msgspec.json.Decoder(OpenAIUsage)


def is_empty(value: Raw) -> bool:
    """Return whether a field is absent, null or empty."""
    return bytes(value) in _NOTHING


def read_usage(usage: Raw, tier: str | None = None) -> Usage | None:
    """Return the usage; `None` if it is missing or malformed, since that does not invalidate an answer."""
    if is_empty(usage):
        return None
    try:
        return _USAGE_DECODER.decode(usage).normalised(tier)
    except UNREADABLE:
        return None


def has_content(fields: dict[str, Raw] | None) -> bool:
    """Return whether a delta, or a message, has any content: text, a call, reasoning, an image or anything else."""
    return fields is not None and any(not is_empty(value) for name, value in fields.items() if name != "role")


class _ChunkChoice(Struct):
    index: int = 0
    delta: dict[str, Raw] | None = None
    text: Raw = _NO_VALUE
    finish_reason: Raw = _NO_VALUE


class _StreamChunk(Struct):
    choices: list[_ChunkChoice] | None = None
    usage: Raw = _NO_VALUE
    error: Raw = _NO_VALUE
    message: Raw = _NO_VALUE
    service_tier: str | None = None


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

    __slots__ = ("_begun", "_ending", "_finished", "_keep_usage", "_middle", "_opening")
    _end = b"data: [DONE]\n\n"

    def __init__(
        self, *, keep_usage: bool, choices: int = 1, errors: Rules = (), max_event_bytes: int = MAX_EVENT_BYTES
    ) -> None:
        super().__init__(choices, errors, max_event_bytes)
        self._keep_usage = keep_usage
        self._begun: set[int] = set()  # the started ones of several answers
        self._finished: set[int] = set()
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
        for choice in chunk.choices or ():
            if choice.finish_reason == _ERROR:
                self._fail(ended_in_error())
                return False
            if not is_empty(choice.finish_reason):
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

    def _on_done(self) -> None:
        if not self.has_content:
            self._fail(Failure(failures.MALFORMED_ANSWER, "the provider's stream ended without content"))
        elif not self.is_finished and (self.left_out or (self._finished and self._begun - self._finished)):
            self._fail(truncated())
        else:
            self.is_done = self.is_ending = True


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
