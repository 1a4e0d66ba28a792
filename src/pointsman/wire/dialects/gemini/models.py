"""The differences between Gemini's models, by their names.

Reasoning: models since Gemini 3 take a level, Gemini 2.5 a budget, and older models neither. A budget must be below the
bound on the answer, which includes it. https://ai.google.dev/gemini-api/docs/thinking

Signatures: since Gemini 3, the first call of each earlier answer must have its signature. A call that another model
made has none. For it, Google documents a text that passes the check:
https://ai.google.dev/gemini-api/docs/thought-signatures#faqs

Results with images or files: only models since Gemini 3 read them inside a result:
https://ai.google.dev/gemini-api/docs/function-calling#multimodal. For others, they follow it as parts of their own.
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import Effort, Thinking
from pointsman.wire.json_object import UNREADABLE, encode_object, read_or, rejection
from pointsman.wire.thinking import budget_of, effort_of

# Beginnings of addresses that only Google reads: those of its own files, and of videos.
ONLY_FOR_GOOGLE = (
    "gs://",
    "https://generativelanguage.googleapis.com/",
    "https://www.youtube.com/",
    "https://youtu.be/",
)
FOREIGN_SIGNATURE = "skip_thought_signature_validator"
MAX_BUDGET, MAX_PRO_BUDGET, MIN_PRO_BUDGET, MIN_LITE_BUDGET = 24_576, 32_768, 128, 512  # tokens

_NEW = re.compile(r"(?:^|/)gemini-(?:[3-9]|[1-9]\d)(?!\d)")
_UNTHINKING = re.compile(r"(?:^|/)(?:gemini-(?:1\b|2\.0|pro$|pro-vision)|gemma|learnlm)|-(?:image|tts)\b")
_LEVELS: Mapping[Effort, str] = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


class _ThinkingConfig(Struct, rename="camel", omit_defaults=True, gc=False):
    """The request for reasoning, as `request_writer` writes it and as models take it."""

    include_thoughts: bool = False
    thinking_level: str | None = None
    thinking_budget: int | None = None


_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_PARTS = msgspec.json.Decoder(list[dict[str, Raw]])
_CONTENTS = msgspec.json.Decoder(list[dict[str, Raw]])
_THINKING = msgspec.json.Decoder(_ThinkingConfig)
_EFFORT: msgspec.json.Decoder[Effort | None] = msgspec.json.Decoder(Effort | None)
_CONFIG, _REASONING, _BOUND = "generationConfig", "thinkingConfig", "maxOutputTokens"


def bounded(fields: dict[str, Raw], max_tokens: int) -> dict[str, Raw]:
    """Return the fields with this bound on the answer, in tokens. Raises `Rejection` for a schema that is nested too
    deeply."""
    return {**fields, _CONFIG: Raw(encode_object({**_config(fields), _BOUND: Raw(b"%d" % max_tokens)}))}


def signed(fields: dict[str, Raw], model: str) -> dict[str, Raw]:
    """Return the fields of a request with a signature at the first call of each earlier answer, if its model needs one
    and another model made the call. All other contents keep their bytes."""
    contents = bytes(fields.get("contents", b""))
    if _NEW.search(model) is None or b'"functionCall"' not in contents:
        return fields
    found, is_changed = read_or(_CONTENTS, contents, []), False
    for content in found:
        parts = read_or(_PARTS, content.get("parts", b"[]"), [])
        first = next((part for part in parts if "functionCall" in part), None)
        if first is not None and "thoughtSignature" not in first:
            first["thoughtSignature"] = Raw(encode_object(FOREIGN_SIGNATURE))
            content["parts"], is_changed = Raw(encode_object(parts)), True
    return {**fields, "contents": Raw(encode_object(found))} if is_changed else fields


def _config(fields: dict[str, Raw]) -> dict[str, Raw]:
    try:
        return _OBJECT.decode(fields.get(_CONFIG, b"{}"))
    except UNREADABLE:
        raise rejection("the schema of the answer is nested too deeply; use fewer levels") from None


def fitted(fields: dict[str, Raw], model: str, max_tokens: int | None) -> dict[str, Raw]:
    """Return the fields of a translated request as a model takes them. `max_tokens` bounds its answer. Raises
    `Rejection` for a schema that is nested too deeply."""
    out = dict(fields)
    is_new = _NEW.search(model) is not None
    config = _config(fields)
    thinking = config.pop(_REASONING, None)
    if thinking is not None and (is_new or _UNTHINKING.search(model) is None):
        asked = _THINKING.decode(thinking)
        fit = _with_level(asked, model) if is_new else _with_budget(asked, model, max_tokens)
        config[_REASONING] = Raw(encode_object(fit))
    if config:
        out[_CONFIG] = Raw(encode_object(config))
    else:
        out.pop(_CONFIG, None)
    contents = bytes(fields.get("contents", b""))
    if not is_new and b'"functionResponse"' in contents:
        out["contents"] = _flat(contents)
    return out


def _thinking(asked: _ThinkingConfig) -> Thinking:
    effort = _EFFORT.decode(encode_object(asked.thinking_level))
    return Thinking(effort=effort, budget_tokens=asked.thinking_budget)


def _with_level(asked: _ThinkingConfig, model: str) -> _ThinkingConfig:
    """Return the request for reasoning with a level. No model since Gemini 3 can answer without any reasoning, and only
    a Flash knows the lowest level."""
    effort = effort_of(_thinking(asked))
    if effort is None:
        return asked
    level = _LEVELS[effort]
    return _ThinkingConfig(asked.include_thoughts, "low" if level == "minimal" and "flash" not in model else level)


def _with_budget(asked: _ThinkingConfig, model: str, max_tokens: int | None) -> _ThinkingConfig:
    """Return the request for reasoning with a budget. A Pro cannot answer without any reasoning."""
    budget = budget_of(_thinking(asked))
    if budget is None:
        return asked
    is_pro = "pro" in model
    budget = min(budget, MAX_PRO_BUDGET if is_pro else MAX_BUDGET)
    if max_tokens is not None:
        budget = min(budget, max(max_tokens - 1, 0))
    if is_pro:
        budget = max(budget, MIN_PRO_BUDGET)
    elif "lite" in model and budget < MIN_LITE_BUDGET:
        budget = 0
    return _ThinkingConfig(asked.include_thoughts and budget > 0, thinking_budget=budget)


def _flat(contents: bytes) -> Raw:
    """Return the contents with the media of results behind them. If arguments are nested too deeply, the provider
    decides."""
    found = read_or(_CONTENTS, contents, [])
    for content in found:
        parts, media = _PARTS.decode(content["parts"]), list[dict[str, Raw]]()
        for part in parts:
            response = _OBJECT.decode(part.get("functionResponse", b"{}"))
            if "parts" in response:
                media += _PARTS.decode(response.pop("parts"))
                part["functionResponse"] = Raw(encode_object(response))
        content["parts"] = Raw(encode_object([*parts, *media]))
    return Raw(encode_object(found) if found else contents)
