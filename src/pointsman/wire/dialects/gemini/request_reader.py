"""Read a client's request in Gemini's dialect, whose fields are in one spelling (`spelling`).

https://ai.google.dev/api/generate-content#method:-models.generatecontent. Fields that only label a request, such as
`safetySettings`, are the conversation's `labels`: a provider of another dialect may serve it without them.
"""

from typing import Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import AnswerFormat, Conversation, Effort, Sampling, Thinking, Tool, ToolChoice
from pointsman.wire.dialects.gemini._schemas import json_schema
from pointsman.wire.dialects.gemini._signatures import NAME
from pointsman.wire.dialects.gemini._turns import NO_VALUE, TurnReader
from pointsman.wire.json_object import is_empty, read_value, rejection
from pointsman.wire.translation import VALIDATED

T = TypeVar("T")
_Number = float | str | None


class _Declaration(Struct, rename="camel", kw_only=True, gc=False):
    name: str = ""
    description: str = ""
    parameters: Raw = NO_VALUE
    parameters_json_schema: Raw = NO_VALUE


class _CallingConfig(Struct, rename="camel", gc=False):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _ThinkingConfig(Struct, rename="camel", gc=False):
    include_thoughts: bool | None = None
    thinking_budget: _Number = None
    thinking_level: str | None = None


_FIELDS = msgspec.json.Decoder(dict[str, Raw] | None)
_TOOLS = msgspec.json.Decoder(list[dict[str, Raw]] | None)
_DECLARATIONS = msgspec.json.Decoder(list[Raw] | None)
_DECLARATION = msgspec.json.Decoder(_Declaration)
_CALLING = msgspec.json.Decoder(_CallingConfig | None)
_THINKING = msgspec.json.Decoder(_ThinkingConfig | None)
_NUMBER = msgspec.json.Decoder(_Number)
_TEXTS = msgspec.json.Decoder(list[str] | None)
_TEXT = msgspec.json.Decoder(str | None)
_FLAG = msgspec.json.Decoder(bool | None)

_READ = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier"})
_LABELS = ("safetySettings", "labels")
_READ_OF_CONFIG = frozenset(
    {"maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "presencePenalty", "frequencyPenalty", "seed"}
    | {"candidateCount", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema"}
    | {"thinkingConfig", "responseModalities"}
)
_LABELS_OF_CONFIG = ("mediaResolution", "enableEnhancedCivicAnswers")
_READ_OF_DECLARATION = frozenset({"name", "description", "parameters", "parametersJsonSchema", "behavior"})
_RESULTS = ("response", "responseJsonSchema")  # the schema of a result, which no other dialect has
_MODES: dict[str, Literal["auto", "none", "required"] | None] = {
    "MODE_UNSPECIFIED": None,
    "AUTO": "auto",
    "VALIDATED": "auto",  # other dialects have no such rule for schemas of any shape, so it is named as dropped
    "NONE": "none",
    "ANY": "required",
}
_EFFORTS: dict[str, Effort] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_DYNAMIC = -1  # the budget by which the model itself chooses
_PLAIN, _JSON = "text/plain", "application/json"
_TIERS = {"standard": "default", "unspecified": "auto"}  # the common form has OpenAI's names


def read_request(call: Call) -> Conversation:
    """Return the conversation in a call of `generateContent`. Raises `Rejection`."""
    fields, turns = call.fields, TurnReader()
    rest = {name: raw for name, raw in fields.items() if name not in _READ and not is_empty(raw)}
    labels = [name for name in _LABELS if rest.pop(name, None) is not None]
    system = fields.get("systemInstruction", NO_VALUE)
    config = _read(_FIELDS, fields, "generationConfig") or {}
    read = turns.turns(fields["contents"]) if "contents" in fields else ()
    choice = _choice(fields, rest)
    tool_choice, tools = _allowed(choice, _tools(fields, rest, labels), fields, rest)
    if choice.mode == "VALIDATED":
        labels.append(VALIDATED)
    rest |= {
        f"generationConfig.{name}": raw
        for name, raw in config.items()
        if name not in _READ_OF_CONFIG and name not in _LABELS_OF_CONFIG and not is_empty(raw)
    }
    labels += [name for name in _LABELS_OF_CONFIG if not is_empty(config.get(name, NO_VALUE))]
    if (_of(_TEXTS, config, "responseModalities") or ["TEXT"]) != ["TEXT"]:
        rest["generationConfig.responseModalities"] = config["responseModalities"]
    tier = (_read(_TEXT, fields, "serviceTier") or "").lower()
    return Conversation(
        origin=NAME,
        system=() if is_empty(system) else turns.instructions(system),
        turns=read,
        tools=tools,
        tool_choice=tool_choice,
        sampling=_sampling(config),
        max_tokens=call.max_tokens,
        format=_format(config, rest),
        thinking=thinking_in(config),
        service_tier=_TIERS.get(tier, tier),
        rest=rest | turns.rest,
        labels=tuple(dict.fromkeys([*labels, *turns.labels])),
    )


def whole_number(value: _Number, place: str) -> int | None:
    """Return a whole number, which may be written as a fraction or as a text. Raises `Rejection`."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise rejection(f"the field {place!r} must be a whole number", place) from None
    if value is None:
        return None
    if value != value or abs(value) > 2**53 or not float(value).is_integer():  # noqa: PLR0124 -- not a number
        raise rejection(f"the field {place!r} must be a whole number", place)
    return int(value)


def whole_number_in(config: dict[str, Raw], name: str) -> int | None:
    """Return a whole number of `generationConfig`. Raises `Rejection`."""
    return whole_number(_of(_NUMBER, config, name), f"generationConfig.{name}")


def _read(decoder: "msgspec.json.Decoder[T]", fields: dict[str, Raw], name: str, place: str = "") -> T | None:
    raw = fields.get(name)
    return None if raw is None else read_value(decoder, raw, place or name)


def _of(decoder: "msgspec.json.Decoder[T]", config: dict[str, Raw], name: str) -> T | None:
    return _read(decoder, config, name, f"generationConfig.{name}")


def _tools(fields: dict[str, Raw], rest: dict[str, Raw], labels: list[str]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for number, kinds in enumerate(_read(_TOOLS, fields, "tools") or []):
        place = f"tools[{number}]"
        rest |= {f"{place}.{name}": raw for name, raw in kinds.items() if name != "functionDeclarations"}
        declared = _read(_DECLARATIONS, kinds, "functionDeclarations", f"{place}.functionDeclarations")
        for index, raw in enumerate(declared or []):
            tools.append(_tool(raw, f"{place}.functionDeclarations[{index}]", rest, labels))
    return tuple(tools)


def _tool(raw: Raw, place: str, rest: dict[str, Raw], labels: list[str]) -> Tool:
    found = read_value(_DECLARATION, raw, place)
    for name, value in (read_value(_FIELDS, raw, place) or {}).items():
        if name in _RESULTS:
            labels.append(name)
        elif name not in _READ_OF_DECLARATION or (name == "behavior" and bytes(value) == b'"NON_BLOCKING"'):
            rest[f"{place}.{name}"] = value
    schema = None
    if not is_empty(found.parameters_json_schema):
        schema = found.parameters_json_schema
    elif not is_empty(found.parameters):
        schema = json_schema(found.parameters, f"{place}.parameters")
    return Tool(found.name, found.description, schema)


def _choice(fields: dict[str, Raw], rest: dict[str, Raw]) -> _CallingConfig:
    config = _read(_FIELDS, fields, "toolConfig") or {}
    rest |= {
        f"toolConfig.{name}": raw
        for name, raw in config.items()
        if name != "functionCallingConfig" and not is_empty(raw)
    }
    place = "toolConfig.functionCallingConfig"
    found = _read(_CALLING, config, "functionCallingConfig", place) or _CallingConfig()
    if found.mode is not None and found.mode not in _MODES:
        raise rejection(f"the field '{place}.mode' must be one of {', '.join(_MODES)}", f"{place}.mode")
    return found


def _allowed(
    config: _CallingConfig, tools: tuple[Tool, ...], fields: dict[str, Raw], rest: dict[str, Raw]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """Return the rule for calls, and the tools that it allows to be called. Other dialects can name one function, but
    no choice of some. So the others are left out, as for a choice of allowed tools in the Responses API."""
    mode, names = _MODES[config.mode or "MODE_UNSPECIFIED"], config.allowed_function_names or []
    if len(names) == 1 and mode == "required":
        return ToolChoice("named", names[0]), tools
    if not set(names) <= {tool.name for tool in tools}:  # which Google rejects
        rest["toolConfig.functionCallingConfig.allowedFunctionNames"] = fields["toolConfig"]
        return ToolChoice(mode), tools
    return ToolChoice(mode), tuple(tool for tool in tools if not names or tool.name in names)


def _sampling(config: dict[str, Raw]) -> Sampling:
    return Sampling(
        temperature=_number(config, "temperature"),
        top_p=_number(config, "topP"),
        top_k=whole_number_in(config, "topK"),
        stop=tuple(_of(_TEXTS, config, "stopSequences") or ()),
        presence_penalty=_number(config, "presencePenalty"),
        frequency_penalty=_number(config, "frequencyPenalty"),
        seed=whole_number_in(config, "seed"),
        choices=whole_number_in(config, "candidateCount") or 1,
        logprobs=_of(_FLAG, config, "responseLogprobs") is True,
        top_logprobs=whole_number_in(config, "logprobs"),
    )


def _number(config: dict[str, Raw], name: str) -> float | None:
    value = _of(_NUMBER, config, name)
    if isinstance(value, str):
        raise rejection(f"the field 'generationConfig.{name}' must be a number", f"generationConfig.{name}")
    return value


def _format(config: dict[str, Raw], rest: dict[str, Raw]) -> AnswerFormat | None:
    kind = _of(_TEXT, config, "responseMimeType") or _PLAIN
    if kind not in (_PLAIN, _JSON):
        rest[f"generationConfig.responseMimeType {kind}"] = config["responseMimeType"]
    schema = config.get("responseJsonSchema", NO_VALUE)
    if not is_empty(schema):
        return AnswerFormat(schema)
    if not is_empty(config.get("responseSchema", NO_VALUE)):
        return AnswerFormat(json_schema(config["responseSchema"], "generationConfig.responseSchema"))
    return AnswerFormat() if kind == _JSON else None


def thinking_in(config: dict[str, Raw]) -> Thinking:
    """Return the request for reasoning in `generationConfig`. A budget of 0 stands for none. Thoughts are shown only on
    request. Raises `Rejection`."""
    found = _of(_THINKING, config, "thinkingConfig")
    if found is None:
        return Thinking()
    place = "generationConfig.thinkingConfig"
    budget = whole_number(found.thinking_budget, f"{place}.thinkingBudget")
    level = (found.thinking_level or "").lower().removeprefix("thinking_level_").removesuffix("unspecified")
    if level and level not in _EFFORTS:
        raise rejection(f"the field '{place}.thinkingLevel' must be minimal, low, medium or high", place)
    if budget == 0 or level == "none":
        return Thinking(is_on=False)
    summary = "auto" if found.include_thoughts else "omitted"
    if level:
        return Thinking(True, _EFFORTS[level], summary=summary)
    if budget is None:
        return Thinking(summary="auto") if found.include_thoughts else Thinking()
    return Thinking(True, budget_tokens=None if budget == _DYNAMIC else budget, summary=summary)
