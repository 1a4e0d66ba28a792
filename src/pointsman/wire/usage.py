"""The `usage` object of answers in OpenAI's dialects, in all spellings of the servers that copied them."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import UNREADABLE, is_empty, read_or

_NO_VALUE = Raw(b"")
MAX_USAGE_BYTES = 16 * 1024  # of a `usage` object in an answer that is only scanned for it
MAX_TOKENS = 1_000_000_000  # of any kind in one answer: more is an error, and its cost might fit no database

Tokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]


class _Details(Struct, gc=False):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
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
    total_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None  # https://platform.moonshot.ai/docs/api/chat
    prompt_cache_hit_tokens: Tokens | None = None  # https://api-docs.deepseek.com/guides/kv_cache
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
        cached = self.cached_tokens or self.prompt_cache_hit_tokens or 0
        if (
            self.prompt_tokens is None
            and self.input_tokens is None
            and not (self.completion_tokens or self.output_tokens)
        ):
            self.prompt_tokens = self.total_tokens  # rankings and embeddings of some servers have no other sum
        if inputs is None and outputs is None and tier is None and self.input_tokens is None and not has_tools:
            return Usage(self.prompt_tokens or 0, self.completion_tokens or 0, cached)
        inputs = inputs or self.input_tokens_details or self.input_token_details or _NO_DETAILS
        outputs = outputs or self.output_tokens_details or _NO_DETAILS
        tokens_in = self.prompt_tokens or self.input_tokens or 0
        tokens_out, reasoning = self.completion_tokens or self.output_tokens or 0, outputs.reasoning_tokens or 0
        if reasoning and self.total_tokens == tokens_in + tokens_out + reasoning:
            tokens_out += (
                reasoning  # xAI counts it apart: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
            )
        return Usage(
            tokens_in,
            tokens_out,
            inputs.cached_tokens or cached,
            reasoning,
            tokens_cache_write=inputs.cache_write_tokens or 0,
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
    if is_empty(raw):
        return {}
    counts = read_or(_COUNTS, raw, {})
    return {name: one.invocation if isinstance(one, _Invocations) else one or 0 for name, one in counts.items()}


_USAGE_DECODER = msgspec.json.Decoder(OpenAIUsage)


def read_usage(usage: Raw, tier: str | None = None) -> Usage | None:
    """Return the usage; `None` if it is missing or malformed, since that does not invalidate an answer."""
    if is_empty(usage):
        return None
    try:
        return _USAGE_DECODER.decode(usage).normalised(tier)
    except UNREADABLE:
        return None
