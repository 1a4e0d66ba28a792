"""The `usageMetadata` of Gemini's answers.

https://ai.google.dev/api/generate-content#UsageMetadata

`promptTokenCount` includes the cached tokens. `toolUsePromptTokenCount` counts the prompts that results of Google's own
tools add, and comes on top of it. `candidatesTokenCount` excludes the tokens of thoughts, which are charged as output.
`totalTokenCount` is the sum of these four. Every event of a stream repeats the counts so far.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import is_empty, read_or
from pointsman.wire.usage import Tokens


class _ModalityCount(Struct, rename="camel", gc=False):
    modality: str = ""
    token_count: Tokens | None = None


_Counts = list[_ModalityCount]


class _UsageMetadata(Struct, rename="camel", gc=False):
    prompt_token_count: Tokens | None = None
    cached_content_token_count: Tokens | None = None
    candidates_token_count: Tokens | None = None
    thoughts_token_count: Tokens | None = None
    tool_use_prompt_token_count: Tokens | None = None
    prompt_tokens_details: _Counts | None = None
    candidates_tokens_details: _Counts | None = None
    tool_use_prompt_tokens_details: _Counts | None = None
    service_tier: str | None = None


_DECODER: msgspec.json.Decoder[_UsageMetadata | None] = msgspec.json.Decoder(_UsageMetadata | None)


def read_usage(raw: Raw) -> Usage | None:
    """Return the usage; `None` if it is missing or malformed, since that does not invalidate an answer."""
    found = None if is_empty(raw) else read_or(_DECODER, raw, None)
    if found is None:
        return None
    inputs = [*(found.prompt_tokens_details or ()), *(found.tool_use_prompt_tokens_details or ())]
    outputs = found.candidates_tokens_details or []
    tokens_in = (found.prompt_token_count or 0) + (found.tool_use_prompt_token_count or 0)
    thoughts = found.thoughts_token_count or 0
    tokens_out = (found.candidates_token_count or 0) + thoughts
    is_stated = found.prompt_token_count == found.candidates_token_count == 0  # Google leaves out a count of 0
    if not (tokens_in or tokens_out or is_stated):
        return None
    return Usage(
        tokens_in,
        tokens_out,
        tokens_cached=min(found.cached_content_token_count or 0, tokens_in),
        tokens_reasoning=thoughts,
        audio_in=_of("AUDIO", inputs),
        audio_out=_of("AUDIO", outputs),
        image_in=_of("IMAGE", inputs),
        image_out=_of("IMAGE", outputs),
        tier=found.service_tier.lower() if found.service_tier else None,
    )


def _of(modality: str, counts: _Counts) -> int:
    return sum(one.token_count or 0 for one in counts if one.modality == modality)


def written_usage(usage: Usage) -> dict[str, object]:
    """Return the object that shows a usage to a client. Tokens written to a cache have no field."""
    out: dict[str, object] = {
        "promptTokenCount": usage.tokens_in,
        "candidatesTokenCount": max(usage.tokens_out - usage.tokens_reasoning, 0),
        "totalTokenCount": usage.tokens_in + usage.tokens_out,
    }
    if usage.tokens_cached:
        out["cachedContentTokenCount"] = usage.tokens_cached
    if usage.tokens_reasoning:
        out["thoughtsTokenCount"] = min(usage.tokens_reasoning, usage.tokens_out)
    if details := _details(usage.audio_in, usage.image_in):
        out["promptTokensDetails"] = details
    if details := _details(usage.audio_out, usage.image_out):
        out["candidatesTokensDetails"] = details
    if usage.tier:
        out["serviceTier"] = usage.tier
    return out


def _details(audio: int, image: int) -> list[dict[str, object]]:
    counts = (("AUDIO", audio), ("IMAGE", image))
    return [{"modality": modality, "tokenCount": count} for modality, count in counts if count]
