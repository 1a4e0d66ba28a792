"""The `usage` object of Anthropic's answers. Its input tokens exclude those read from a cache or written to one; the
common form includes them.

https://platform.claude.com/docs/en/api/messages (`usage`)
"""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict, replace

from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import read_or
from pointsman.wire.usage import Tokens

_NOTHING = Raw(b"null")


class _CacheWrites(Struct, gc=False):
    ephemeral_1h_input_tokens: Tokens | None = None


class _OutputDetails(Struct, gc=False):
    thinking_tokens: Tokens | None = None


class AnthropicUsage(Struct, kw_only=True, frozen=True, gc=False):
    """The counts of one event. Those at the end of a stream are the sums so far, and leave some out."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: _CacheWrites | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: dict[str, Tokens | None] | None = None
    service_tier: str | None = None

    def updated(self, later: "AnthropicUsage") -> "AnthropicUsage":
        """Return these counts, with those of a later event in their place."""
        return replace(self, **{name: value for name, value in asdict(later).items() if value is not None})

    def normalised(self) -> Usage:
        """Return the counts in the common form."""
        cached, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        longer = self.cache_creation.ephemeral_1h_input_tokens or 0 if self.cache_creation is not None else 0
        details, tools = self.output_tokens_details, self.server_tool_use
        return Usage(
            (self.input_tokens or 0) + cached + written,
            self.output_tokens or 0,
            tokens_cached=cached,
            tokens_reasoning=details.thinking_tokens or 0 if details is not None else 0,
            tokens_cache_write=max(written - longer, 0),
            tokens_cache_write_1h=min(longer, written),
            tier=self.service_tier,
            tools=None if tools is None else tuple((_tool(name), count or 0) for name, count in tools.items()),
        )


_DECODER: msgspec.json.Decoder[AnthropicUsage | None] = msgspec.json.Decoder(AnthropicUsage | None)
_TIERS = {"standard": "standard", "priority": "priority", "batch": "batch", "default": "standard"}
_TOOLS = ("web_search", "web_fetch")  # the fields that clients know


def read_counts(raw: Raw) -> AnthropicUsage | None:
    """Return the counts; `None` if they are missing or malformed, since that does not invalidate an answer."""
    return read_or(_DECODER, raw if bytes(raw) else _NOTHING, None)


def written_usage(usage: Usage) -> dict[str, object]:
    """Return the object that shows a usage to a client."""
    written = usage.tokens_cache_write + usage.tokens_cache_write_1h
    out: dict[str, object] = {
        "input_tokens": max(usage.tokens_in - usage.tokens_cached - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.tokens_cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.tokens_cache_write,
            "ephemeral_1h_input_tokens": usage.tokens_cache_write_1h,
        },
        "output_tokens": usage.tokens_out,
    }
    if usage.tokens_reasoning:
        out["output_tokens_details"] = {"thinking_tokens": usage.tokens_reasoning}
    counts = {f"{name}_requests": count for name, count in usage.tools or () if name in _TOOLS}
    if counts:
        out["server_tool_use"] = counts
    if usage.tier in _TIERS:
        out["service_tier"] = _TIERS[usage.tier]
    return out


def _tool(name: str) -> str:
    return name.removesuffix("_requests")
