"""Read a client's chat completion into the common form. https://platform.openai.com/docs/api-reference/chat/create

Beside OpenAI's fields it reads those that clients of other servers send: `cache_control` and `reasoning`
(https://openrouter.ai/docs/guides/best-practices/prompt-caching, …/reasoning-tokens), and `thinking`
(https://docs.litellm.ai/docs/reasoning_content).
"""

from collections.abc import Sequence
from typing import TypeVar, get_args

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.conversations import (
    AnswerFormat,
    CacheMark,
    Conversation,
    DocumentPart,
    Effort,
    Image,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
)
from pointsman.wire.json_object import UNREADABLE, is_empty, read_value, rejection
from pointsman.wire.openai_chat._messages import read_messages
from pointsman.wire.openai_chat._reasoning import NAME
from pointsman.wire.openai_chat._shapes import ChatCacheControl, mark_of

T = TypeVar("T")

_ABSENT = Raw(b"")
_EFFORTS: tuple[Effort, ...] = get_args(Effort)
# The gateway itself acts on these.
_CONSUMED = ("model", "messages", "stream", "stream_options", "fallbacks", "max_tokens", "max_completion_tokens")
# Values that mean the same as no field.
_DEFAULTS: dict[str, tuple[bytes, ...]] = {
    "store": (b"false",),
    "modalities": (b'["text"]',),
    "logit_bias": (b"{}",),
    "prompt_cache_retention": (b'"in_memory"',),
    "include_reasoning": (b"true",),
    "usage": (b'{"include":true}',),  # OpenRouter's, without effect
}

_FLOAT = msgspec.json.Decoder(float)
_INT = msgspec.json.Decoder(int)
_STR = msgspec.json.Decoder(str)
_BOOL = msgspec.json.Decoder(bool)
_STOP = msgspec.json.Decoder(str | list[str])


class _ChatSchema(Struct, gc=False):
    name: str = ""
    description: str | None = None
    schema: Raw = _ABSENT
    strict: bool | None = None


class _ChatFormat(Struct, gc=False):
    type: str
    json_schema: _ChatSchema | None = None


class _ChatFunction(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: Raw = _ABSENT
    strict: bool | None = None
    cache_control: ChatCacheControl | None = None


class _ChatGrammar(Struct, gc=False):
    definition: str
    syntax: str


class _ChatCustomFormat(Struct, gc=False):
    type: str = "text"
    grammar: _ChatGrammar | None = None


class _ChatCustom(Struct, gc=False):
    name: str
    description: str | None = None
    format: _ChatCustomFormat | None = None


class _ChatTool(Struct, gc=False):
    type: str = "function"
    function: _ChatFunction | None = None
    custom: _ChatCustom | None = None
    cache_control: ChatCacheControl | None = None


class _ChatName(Struct, gc=False):
    name: str


class _ChatToolName(Struct, gc=False):
    """A tool by its name."""

    type: str = "function"
    function: _ChatName | None = None
    custom: _ChatName | None = None

    @property
    def name(self) -> str:
        found = self.function or self.custom
        return found.name if found is not None else ""


class _ChatAllowedTools(Struct, gc=False):
    mode: str
    tools: list[_ChatToolName]


class _ChatToolChoice(_ChatToolName, gc=False):
    allowed_tools: _ChatAllowedTools | None = None


class _ChatReasoning(Struct, forbid_unknown_fields=True, gc=False):
    """OpenRouter's `reasoning`."""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None
    summary: str | None = None


class _ChatThinking(Struct, forbid_unknown_fields=True, gc=False):
    """Anthropic's `thinking`, as LiteLLM's clients send it."""

    type: str
    budget_tokens: int | None = None


_CONTROL = msgspec.json.Decoder(ChatCacheControl)
_FORMAT = msgspec.json.Decoder(_ChatFormat)
_FUNCTIONS = msgspec.json.Decoder(list[_ChatFunction])
_TOOLS = msgspec.json.Decoder(list[Raw])
_TOOL = msgspec.json.Decoder(_ChatTool)
_CHOICE = msgspec.json.Decoder(str | _ChatToolChoice)
_FUNCTION_CALL = msgspec.json.Decoder(str | _ChatName)
_REASONING = msgspec.json.Decoder(_ChatReasoning)
_THINKING = msgspec.json.Decoder(_ChatThinking)


def read_request(call: Call) -> Conversation:
    """Return the conversation of a chat completion. Raises `Rejection`."""
    fields = {name: raw for name, raw in call.fields.items() if name not in _CONSUMED and not _is_default(name, raw)}
    rest: dict[str, Raw] = {}
    if "messages" not in call.fields:
        raise rejection("the field 'messages' is required", "messages")
    messages = read_messages(call.fields["messages"], rest)
    control = fields.pop("cache_control", None)
    turns = (
        messages.turns if control is None else _marked(messages.turns, read_value(_CONTROL, control, "cache_control"))
    )
    tools = _tools(fields, rest)
    tool_choice, tools = _tool_choice(fields, tools, rest)
    found = Conversation(
        origin=NAME,
        system=messages.system,
        turns=turns,
        tools=tools,
        tool_choice=tool_choice,
        sampling=_sampling(fields, call),
        max_tokens=call.max_tokens,
        format=_format(fields, rest),
        thinking=_thinking(fields, rest),
        verbosity=_word(fields, "verbosity", "medium"),
        user=_user(fields),
        metadata=fields.pop("metadata", None),
        service_tier=_word(fields, "service_tier", "auto"),
        prompt_cache_key=_take(fields, "prompt_cache_key", _STR) or "",
        rest=rest,
    )
    rest.update(fields)
    return found


def _marked(turns: tuple[Turn, ...], control: ChatCacheControl) -> tuple[Turn, ...]:
    """Return the turns with a mark on the last part that takes one, as a mark of the whole request means."""
    for position in reversed(range(len(turns))):
        parts = list(turns[position].parts)
        for number, part in reversed(list(enumerate(parts))):
            if isinstance(part, Text | Image | DocumentPart | ToolResult):
                parts[number] = replace(part, cache=mark_of(control))
                return (*turns[:position], replace(turns[position], parts=tuple(parts)), *turns[position + 1 :])
    return turns


def _is_default(name: str, raw: Raw) -> bool:
    value = bytes(raw) if memoryview(raw).nbytes < 32 else b""
    return value == b"null" or value.replace(b" ", b"") in _DEFAULTS.get(name, ())


def _take(fields: dict[str, Raw], name: str, decoder: "msgspec.json.Decoder[T]") -> T | None:
    raw = fields.pop(name, None)
    return None if raw is None else read_value(decoder, raw, name)


def _word(fields: dict[str, Raw], name: str, default: str) -> str:
    found = _take(fields, name, _STR) or ""
    return "" if found == default else found


def _sampling(fields: dict[str, Raw], call: Call) -> Sampling:
    stop = _take(fields, "stop", _STOP)
    fields.pop("n", None)
    return Sampling(
        temperature=_take(fields, "temperature", _FLOAT),
        top_p=_take(fields, "top_p", _FLOAT),
        top_k=_take(fields, "top_k", _INT),
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        presence_penalty=_take(fields, "presence_penalty", _FLOAT),
        frequency_penalty=_take(fields, "frequency_penalty", _FLOAT),
        seed=_take(fields, "seed", _INT),
        choices=call.choices,
        logprobs=_take(fields, "logprobs", _BOOL) or False,
        top_logprobs=_take(fields, "top_logprobs", _INT),
    )


def _user(fields: dict[str, Raw]) -> str:
    """Return the client's label of its user. The newer `safety_identifier` replaces `user`."""
    older, newer = _take(fields, "user", _STR), _take(fields, "safety_identifier", _STR)
    return newer or older or ""


def _format(fields: dict[str, Raw], rest: dict[str, Raw]) -> AnswerFormat | None:
    raw = fields.pop("response_format", None)
    if raw is None:
        return None
    found = read_value(_FORMAT, raw, "response_format")
    if found.type == "text":
        return None
    if found.type == "json_object":
        return AnswerFormat()
    if found.type != "json_schema" or found.json_schema is None:
        rest[f"response_format of type {found.type}"] = raw
        return None
    schema = found.json_schema
    if is_empty(schema.schema):
        raise rejection("the field 'response_format.json_schema.schema' is required", "response_format")
    return AnswerFormat(Raw(bytes(schema.schema)), schema.name, schema.description or "", schema.strict)


def _thinking(fields: dict[str, Raw], rest: dict[str, Raw]) -> Thinking:
    """Return the request for reasoning from any of its three fields. The one with the most to say counts."""
    effort, own = _take(fields, "reasoning_effort", _STR), fields.pop("reasoning", None)
    theirs, included = fields.pop("thinking", None), fields.pop("include_reasoning", None)
    summary = "omitted" if included == Raw(b"false") else ""
    if own is not None:
        try:
            found = _REASONING.decode(own)
        except UNREADABLE:
            rest["reasoning"] = own
            return Thinking()
        effort = found.effort or effort
        is_on = found.enabled if found.enabled is not None else True if found.max_tokens else None
        summary = "omitted" if found.exclude else found.summary or summary
        return _with_effort(effort, Thinking(is_on, None, found.max_tokens, summary), rest)
    if theirs is not None:
        try:
            asked = _THINKING.decode(theirs)
        except UNREADABLE:
            rest["thinking"] = theirs
            return Thinking()
        return _with_effort(effort, Thinking(asked.type != "disabled", None, asked.budget_tokens, summary), rest)
    return _with_effort(effort, Thinking(summary=summary), rest)


def _with_effort(effort: str | None, found: Thinking, rest: dict[str, Raw]) -> Thinking:
    if effort is None or effort == "default":
        return found
    for known in _EFFORTS:
        if known == effort:
            is_on = found.is_on if found.is_on is not None else known != "none"
            return Thinking(is_on, known, found.budget_tokens, found.summary)
    rest[f"reasoning_effort of {effort[:32]}"] = Raw(msgspec.json.encode(effort))
    return found


def _tools(fields: dict[str, Raw], rest: dict[str, Raw]) -> tuple[Tool, ...]:
    found = []
    given = _take(fields, "tools", _TOOLS)
    for position, raw in enumerate(given or ()):
        place = f"tools[{position}]"
        tool = read_value(_TOOL, raw, place)
        if tool.type == "function":
            function = tool.function or read_value(_FLAT, raw, place)
            found.append(_function(function, tool.cache_control))
        elif tool.type == "custom":
            custom = tool.custom or read_value(_FLAT_CUSTOM, raw, place)
            grammar = custom.format.grammar if custom.format is not None else None
            found.append(
                Tool(
                    custom.name,
                    custom.description or "",
                    is_custom=True,
                    cache=mark_of(tool.cache_control),
                    syntax=grammar.syntax if grammar is not None else "",
                    grammar=grammar.definition if grammar is not None else "",
                )
            )
        else:
            rest[f"{place} of type {tool.type[:64]}"] = raw
    return tuple(found) + tuple(_function(one, None) for one in _take(fields, "functions", _FUNCTIONS) or ())


_FLAT = msgspec.json.Decoder(_ChatFunction)  # some clients send the fields of a function without their object
_FLAT_CUSTOM = msgspec.json.Decoder(_ChatCustom)


def _function(function: _ChatFunction, cache: ChatCacheControl | None) -> Tool:
    schema = None if is_empty(function.parameters) else Raw(bytes(function.parameters))
    mark: CacheMark | None = mark_of(cache or function.cache_control)
    return Tool(function.name, function.description or "", schema, function.strict, cache=mark)


def _tool_choice(
    fields: dict[str, Raw], tools: Sequence[Tool], rest: dict[str, Raw]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """Return the choice, and the tools it allows: with a choice of some tools, the others are left out."""
    raw, legacy = fields.pop("tool_choice", None), _take(fields, "function_call", _FUNCTION_CALL)
    parallel = _take(fields, "parallel_tool_calls", _BOOL)
    if raw is None:
        if isinstance(legacy, _ChatName):
            return ToolChoice("named", legacy.name, parallel), tuple(tools)
        return _mode(legacy, parallel, "function_call"), tuple(tools)
    choice = read_value(_CHOICE, raw, "tool_choice")
    if isinstance(choice, str):
        return _mode(choice, parallel, "tool_choice"), tuple(tools)
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        names = {one.name for one in choice.allowed_tools.tools}
        allowed = tuple(one for one in tools if one.name in names)
        if len({one.name for one in allowed}) == len(names) and choice.allowed_tools.mode in {"auto", "required"}:
            return _mode(choice.allowed_tools.mode, parallel, "tool_choice"), allowed
    elif choice.type in {"function", "custom"}:
        name = choice.name or read_value(_NAMED, raw, "tool_choice").name
        return ToolChoice("named", name, parallel), tuple(tools)
    rest[f"tool_choice of type {choice.type[:64]}"] = raw
    return ToolChoice(parallel=parallel), tuple(tools)


_NAMED = msgspec.json.Decoder(_ChatName)


def _mode(word: str | None, parallel: bool | None, field: str) -> ToolChoice:
    if word is None:
        return ToolChoice(parallel=parallel)
    if word == "auto":
        return ToolChoice("auto", parallel=parallel)
    if word == "none":
        return ToolChoice("none", parallel=parallel)
    if word in {"required", "any"}:
        return ToolChoice("required", parallel=parallel)
    raise rejection(f"the field {field!r}: set it to one of: auto, none, required, or name a tool", field)
