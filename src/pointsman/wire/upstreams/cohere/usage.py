"""The `usage` of Cohere's answers, and the `meta` of its embeddings.

https://docs.cohere.com/docs/how-does-cohere-pricing-work: `billed_units` are charged. `tokens` also count those that
Cohere adds itself, and so are often more. `cached_tokens` are those of the prompt that were found in a cache. Numbers
are written as fractions (`37.0`).
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import is_empty, read_or
from pointsman.wire.usage import MAX_TOKENS

_Count = Annotated[float, Meta(ge=0, le=MAX_TOKENS)]


class _Units(Struct, gc=False):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None


class _Usage(Struct, gc=False):
    billed_units: _Units | None = None
    tokens: _Units | None = None
    cached_tokens: _Count | None = None


_DECODER: msgspec.json.Decoder[_Usage | None] = msgspec.json.Decoder(_Usage | None)


def read_usage(raw: Raw) -> Usage | None:
    """Return the usage; `None` if it is missing or malformed, since that does not invalidate an answer."""
    found = None if is_empty(raw) else read_or(_DECODER, raw, None)
    if found is None:
        return None
    billed, counted = found.billed_units or _Units(), found.tokens or _Units()
    tokens_in = _first(billed.input_tokens, counted.input_tokens)
    tokens_out = _first(billed.output_tokens, counted.output_tokens)
    if not tokens_in and not tokens_out:
        return None
    cached = min(round(found.cached_tokens or 0), tokens_in)
    return Usage(tokens_in, tokens_out, tokens_cached=cached)


def _first(billed: float | None, counted: float | None) -> int:
    return round(counted or 0 if billed is None else billed)
