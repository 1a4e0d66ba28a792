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


class _Content(Struct, gc=False):
    role: str
    parts: list[dict[str, Raw]]


_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_PARTS = msgspec.json.Decoder(list[dict[str, Raw]])
_CONTENTS = msgspec.json.Decoder(list[_Content])
_THINKING = msgspec.json.Decoder(_ThinkingConfig)
_EFFORT: msgspec.json.Decoder[Effort | None] = msgspec.json.Decoder(Effort | None)
_ANY_CONTENTS = msgspec.json.Decoder(list[dict[str, Raw]])
_COUNT: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(int | None)
_CONFIG, _REASONING, _BOUND = "generationConfig", "thinkingConfig", "maxOutputTokens"


def bounded(fields: dict[str, Raw], max_tokens: int) -> dict[str, Raw]:
    """Return the fields with this bound on the answer, in tokens. Raises `Rejection` for a schema that is nested too
    deeply."""
    return {**fields, _CONFIG: Raw(encode_object({**_config(fields), _BOUND: Raw(b"%d" % max_tokens)}))}


def signed(fields: dict[str, Raw], model: str) -> dict[str, Raw]:
    """Return a client's own fields with a signature at the first call of each earlier answer, if its model needs one
    and another model made the call. All other contents keep their bytes."""
    contents = bytes(fields.get("contents", b""))
    if _NEW.search(model) is None or b'"functionCall"' not in contents:
        return fields
    found = read_or(_ANY_CONTENTS, contents, [])
    is_changed = False
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


def fitted(fields: dict[str, Raw], model: str) -> dict[str, Raw]:
    """Return the fields of a translated request as a model takes them. Raises `Rejection` for a schema that is nested
    too deeply."""
    out = dict(fields)
    is_new = _NEW.search(model) is not None
    config = _config(fields)
    max_tokens = read_or(_COUNT, config.get(_BOUND, b"null"), None)
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
    if is_new and b'"functionCall"' in contents:
        out["contents"] = _signed(contents)
    elif not is_new and b'"functionResponse"' in contents:
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


def _read(contents: bytes) -> list[_Content]:
    """Return the contents; none if arguments are nested too deeply, on which the provider decides."""
    return read_or(_CONTENTS, contents, [])


def _signed(contents: bytes) -> Raw:
    """Return the contents with a signature at the first call of each earlier answer."""
    found = _read(contents)
    for content in found:
        calls = [part for part in content.parts if "functionCall" in part]
        if calls:
            calls[0].setdefault("thoughtSignature", Raw(encode_object(FOREIGN_SIGNATURE)))
    return Raw(encode_object(found) if found else contents)


def _flat(contents: bytes) -> Raw:
    """Return the contents with the media of results behind them."""
    found = _read(contents)
    for content in found:
        media: list[dict[str, Raw]] = []
        for part in content.parts:
            response = _OBJECT.decode(part.get("functionResponse", b"{}"))
            if "parts" in response:
                media += _PARTS.decode(response.pop("parts"))
                part["functionResponse"] = Raw(encode_object(response))
        content.parts += media
    return Raw(encode_object(found) if found else contents)
