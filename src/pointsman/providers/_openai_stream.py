"""Reads a streamed answer in OpenAI's dialect and hands on the provider's own bytes.

https://platform.openai.com/docs/api-reference/chat-streaming

After the first content nearly every piece is passed on after a look for three marks: `"usage"`, `"error"` and
`[DONE]`. None of them can hide in text, where the quotation marks around them would be escaped.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._openai_errors import classify_inside
from pointsman.wire.sse import EventSplitter, EventTooLong, event_data, split_events

_NOTHING = frozenset({b"", b"null", b'""', b"[]", b"{}"})
_NO_VALUE = Raw(b"")


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class OpenAIUsage(Struct):
    """The `usage` object of chat, completions and embeddings."""

    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None

    def normalised(self) -> Usage:
        cached = self.prompt_tokens_details
        reasoning = self.completion_tokens_details
        return Usage(
            self.prompt_tokens,
            self.completion_tokens or 0,
            (cached.cached_tokens or 0) if cached is not None else 0,
            (reasoning.reasoning_tokens or 0) if reasoning is not None else 0,
        )


class _Delta(Struct):
    content: Raw = _NO_VALUE
    tool_calls: Raw = _NO_VALUE
    function_call: Raw = _NO_VALUE
    refusal: Raw = _NO_VALUE
    reasoning_content: Raw = _NO_VALUE
    reasoning: Raw = _NO_VALUE
    reasoning_details: Raw = _NO_VALUE
    audio: Raw = _NO_VALUE

    def has_content(self) -> bool:
        return any(bytes(getattr(self, name)) not in _NOTHING for name in self.__struct_fields__)


class _Choice(Struct):
    delta: _Delta | None = None
    text: Raw = _NO_VALUE
    finish_reason: Raw = _NO_VALUE


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: OpenAIUsage | None = None
    error: Raw = _NO_VALUE


_DECODER = msgspec.json.Decoder(_Chunk)


class OpenAIStream:
    """A `StreamDecoder`. With `keep_usage` false the chunk that only carries usage is left out: it was asked for by
    the gateway, not by the client."""

    __slots__ = (
        "_before_last", "_has_finish", "_keep_usage", "_last", "_splitter",
        "failure", "has_content", "is_done", "usage",
    )  # fmt: skip

    def __init__(self, *, keep_usage: bool) -> None:
        self.has_content = False
        self.is_done = False
        self.usage: Usage | None = None
        self.failure: Failure | None = None
        self._keep_usage = keep_usage
        self._splitter = EventSplitter()
        self._has_finish = False
        # The last pieces that were passed on unread: read at the end if the provider forgets `[DONE]`.
        self._before_last = b""
        self._last = b""

    def feed(self, data: bytes) -> bytes:
        try:
            whole = self._splitter.feed(data)
        except EventTooLong:
            self.failure = Failure(failures.MALFORMED_ANSWER, "the provider sent an endless event")
            return b""
        if not whole:
            return whole
        if self.has_content and self._is_plain(whole):
            self._before_last = self._last
            self._last = whole
            return whole
        return self._read(whole)

    def close(self) -> bytes:
        if self._is_over():
            return b""
        rest = self._splitter.rest()
        out = self._read(rest.rstrip(b"\n") + b"\n\n") if rest.strip() else b""
        if self._is_over():
            return out
        if not self._has_finish:
            for event in (*split_events(self._before_last), *split_events(self._last)):
                self._read_event(event)
        if not self._has_finish:
            self.failure = Failure(failures.TRUNCATED, "the provider's stream ended before its answer was whole")
            return out
        self.is_done = True
        return out + b"data: [DONE]\n\n"

    def _is_over(self) -> bool:
        return self.is_done or self.failure is not None

    def _is_plain(self, whole: bytes) -> bool:
        """Whether nothing in these events concerns the gateway."""
        if b"[DONE]" in whole or b'"error"' in whole:
            return False
        found = whole.count(b'"usage"')
        return not found or found == whole.count(b'"usage":null')

    def _read(self, whole: bytes) -> bytes:
        out: list[bytes] = []
        for event in split_events(whole):
            if self.is_done:
                break
            keep = self._read_event(event)
            if self.failure is not None:
                break
            if keep:
                out.append(event)
        return b"".join(out)

    def _read_event(self, event: bytes) -> bool:
        """Take note of one event; whether it is passed on."""
        data = event_data(event)
        if data is None:
            return True
        if data.strip() == b"[DONE]":
            self.is_done = True
            self.has_content = True
            return True
        try:
            chunk = _DECODER.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            message = f"the provider's stream holds an event that cannot be read: {error}"
            self.failure = Failure(failures.MALFORMED_ANSWER, message)
            return False
        if bytes(chunk.error) not in _NOTHING:
            self.failure = classify_inside(data)
            return False
        if chunk.usage is not None:
            self.usage = chunk.usage.normalised()
        for choice in chunk.choices or ():
            if bytes(choice.finish_reason) not in _NOTHING:
                self._has_finish = self.has_content = True
            elif (choice.delta is not None and choice.delta.has_content()) or bytes(choice.text) not in _NOTHING:
                self.has_content = True
        return self._keep_usage or chunk.usage is None or bool(chunk.choices)
