"""The `usage` object of Converse. Its input tokens exclude those read from a cache or written to one; the common form
includes them. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import is_empty, read_or
from pointsman.wire.usage import Tokens


class _CacheDetail(Struct, rename="camel", gc=False):
    ttl: str = ""
    input_tokens: Tokens | None = None


class _TokenUsage(Struct, rename="camel", gc=False):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_write_input_tokens: Tokens | None = None
    cache_details: list[_CacheDetail] | None = None


_DECODER: msgspec.json.Decoder[_TokenUsage | None] = msgspec.json.Decoder(_TokenUsage | None)


def read_usage(raw: Raw, tier: str | None = None) -> Usage | None:
    """Return the usage; `None` if it is missing or malformed, since that does not invalidate an answer. `tier` is the
    service tier of the answer."""
    found = None if is_empty(raw) else read_or(_DECODER, raw, None)
    if found is None:
        return None
    cached, written = found.cache_read_input_tokens or 0, found.cache_write_input_tokens or 0
    tokens_in, tokens_out = (found.input_tokens or 0) + cached + written, found.output_tokens or 0
    if not tokens_in and not tokens_out:
        return None
    longer = min(sum(one.input_tokens or 0 for one in found.cache_details or () if one.ttl == "1h"), written)
    return Usage(
        tokens_in,
        tokens_out,
        tokens_cached=cached,
        tokens_cache_write=written - longer,
        tokens_cache_write_1h=longer,
        tier=tier,
    )
