"""Read a client's request in Anthropic's dialect.

https://platform.claude.com/docs/en/api/messages
"""

from typing import Literal, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.conversations import (
    AnswerFormat,
    CacheMark,
    Conversation,
    Effort,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)
from pointsman.wire.dialects.anthropic._blocks import (
    NAME,
    NO_VALUE,
    BlockReader,
    CacheControl,
    is_unset,
    mark_of,
)
from pointsman.wire.json_object import encode_object, read_or, read_value

T = TypeVar("T")


class _MessageTurn(Struct, gc=False):
    role: Literal["user", "assistant", "system"]
    content: Raw


class _ToolDefinition(Struct, kw_only=True, gc=False):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: Raw = NO_VALUE
    strict: bool | None = None
    cache_control: CacheControl | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    input_examples: Raw = NO_VALUE


class _ChoiceConfig(Struct, gc=False):
    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class _ThinkingConfig(Struct, gc=False):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputFormat(Struct, gc=False):
    type: Literal["json_schema"]
    schema: Raw


class _Edit(Struct, gc=False):
    type: str = ""


class _ContextManagement(Struct, gc=False):
    edits: list[_Edit] | None = None


_TURNS = msgspec.json.Decoder(list[_MessageTurn])
_TOOLS = msgspec.json.Decoder(list[_ToolDefinition] | None)
_CHOICE = msgspec.json.Decoder(_ChoiceConfig | None)
_THINKING = msgspec.json.Decoder(_ThinkingConfig | None)
_FORMAT = msgspec.json.Decoder(_OutputFormat | None)
_EFFORT = msgspec.json.Decoder(Effort | None)
_CONTEXT = msgspec.json.Decoder(_ContextManagement | None)
_CONTROL = msgspec.json.Decoder(CacheControl | None)
_FIELDS = msgspec.json.Decoder(dict[str, Raw] | None)
_NUMBER = msgspec.json.Decoder(float | None)
_COUNT = msgspec.json.Decoder(int | None)
_TEXTS = msgspec.json.Decoder(list[str] | None)
_TEXT = msgspec.json.Decoder(str | None)

_MODES: dict[str, Literal["auto", "none", "required", "named"]] = {
    "auto": "auto",
    "none": "none",
    "any": "required",
    "tool": "named",
}
_TIERS = {"standard_only": "default"}  # the common form has OpenAI's names

# Fields that the gateway handles itself, and a question about the provider's cache that only the provider can answer.
_HANDLED = frozenset({"model", "stream", "max_tokens", "diagnostics"})
_READ = _HANDLED | {
    "messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata", "service_tier",
    "temperature", "top_p", "top_k", "stop_sequences", "cache_control", "context_management", "speed",
}  # fmt: skip


def read_request(call: Call) -> Conversation:
    """Return the conversation in a call of `/v1/messages`. Raises `Rejection`."""
    fields, blocks = call.fields, BlockReader()
    rest = {name: raw for name, raw in fields.items() if name not in _READ and not is_unset(raw)}
    if call.max_tokens == 0:  # it fills the cache of a provider of this API
        rest["max_tokens of 0"] = fields["max_tokens"]
    turns = _turns(fields, blocks)
    control = _read(_CONTROL, fields, "cache_control")
    if control is not None:
        turns = _marked(turns, mark_of(control))
    system = fields.get("system", NO_VALUE)
    effort, form = _output(fields, rest)
    thinking = _thinking(fields, effort, rest)
    user, metadata = _metadata(fields)
    tier = _read(_TEXT, fields, "service_tier") or ""
    _context(fields, rest)
    if _read(_TEXT, fields, "speed") not in (None, "standard"):
        rest["speed"] = fields["speed"]
    tools = _tools(fields, rest)
    return Conversation(
        origin=NAME,
        system=() if is_unset(system) else blocks.texts(system, "system"),
        turns=turns,
        tools=tools,
        tool_choice=_choice(fields),
        sampling=Sampling(
            temperature=_read(_NUMBER, fields, "temperature"),
            top_p=_read(_NUMBER, fields, "top_p"),
            top_k=_read(_COUNT, fields, "top_k"),
            stop=tuple(_read(_TEXTS, fields, "stop_sequences") or ()),
        ),
        max_tokens=call.max_tokens,
        format=form,
        thinking=thinking,
        user=user,
        metadata=metadata,
        service_tier=_TIERS.get(tier, tier),
        rest=rest | blocks.rest,
    )


def _read(decoder: "msgspec.json.Decoder[T]", fields: dict[str, Raw], name: str, place: str = "") -> T | None:
    """Return a field, or `None` if it is absent. Raises `Rejection`, which names it as `place`."""
    raw = fields.get(name)
    if raw is None:
        return None
    return read_value(decoder, raw, place or name)


def _turns(fields: dict[str, Raw], blocks: BlockReader) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    messages = _read(_TURNS, fields, "messages")
    for number, message in enumerate(messages or ()):
        place = f"messages[{number}].content"
        if message.role == "system":
            turns.append(Turn("system", blocks.texts(message.content, place)))
        else:
            turns.append(Turn(message.role, blocks.parts(message.content, place)))
    return tuple(turns)


def _marked(turns: tuple[Turn, ...], mark: CacheMark | None) -> tuple[Turn, ...]:
    """Mark the last part that can be marked, as `cache_control` of the request itself does."""
    for number in range(len(turns) - 1, -1, -1):
        parts = list(turns[number].parts)
        for index in range(len(parts) - 1, -1, -1):
            marked = _with_mark(parts[index], mark)
            if marked is not None:
                parts[index] = marked
                return (*turns[:number], replace(turns[number], parts=tuple(parts)), *turns[number + 1 :])
    return turns


def _with_mark(part: Part, mark: CacheMark | None) -> Part | None:
    if isinstance(part, Reasoning | Refusal) or not hasattr(part, "cache"):
        return None
    return part if part.cache is not None else replace(part, cache=mark)


def _tools(fields: dict[str, Raw], rest: dict[str, Raw]) -> tuple[Tool, ...]:
    tools = []
    for number, tool in enumerate(_read(_TOOLS, fields, "tools") or []):
        place = f"tools[{number}]"
        if tool.type not in (None, "custom"):
            rest[f"{place} of type {tool.type}"] = Raw(b"true")
            continue
        if tool.allowed_callers not in (None, ["direct"]):
            rest[f"{place}.allowed_callers"] = Raw(b"true")
        if not is_unset(tool.input_examples):
            rest[f"{place}.input_examples"] = tool.input_examples
        schema = tool.input_schema if bytes(tool.input_schema) not in (b"", b"null") else None
        read = Tool(tool.name, tool.description or "", schema, tool.strict, cache=mark_of(tool.cache_control))
        tools.append(replace(read, is_deferred=tool.defer_loading is True))
    return tuple(tools)


def _choice(fields: dict[str, Raw]) -> ToolChoice:
    choice = _read(_CHOICE, fields, "tool_choice")
    if choice is None:
        return ToolChoice()
    is_single = choice.disable_parallel_tool_use
    return ToolChoice(_MODES[choice.type], choice.name, None if is_single is None else not is_single)


def _output(fields: dict[str, Raw], rest: dict[str, Raw]) -> tuple[Effort | None, AnswerFormat | None]:
    """Return the effort and the format in `output_config`."""
    config = _read(_FIELDS, fields, "output_config") or {}
    effort = _read(_EFFORT, config, "effort", "output_config.effort")
    form = _read(_FORMAT, config, "format", "output_config.format")
    for name, raw in config.items():
        if name not in ("effort", "format") and not is_unset(raw):
            rest[f"output_config.{name}"] = raw
    return effort, None if form is None else AnswerFormat(schema=form.schema)


def _thinking(fields: dict[str, Raw], effort: Effort | None, rest: dict[str, Raw]) -> Thinking:
    config = _read(_THINKING, fields, "thinking")
    if config is None:
        return Thinking(effort=effort)
    if config.type not in ("enabled", "adaptive", "disabled"):
        rest[f"thinking of type {config.type}"] = fields["thinking"]
    is_on = config.type != "disabled"
    return Thinking(is_on, effort, config.budget_tokens if is_on else None, config.display or "")


def _metadata(fields: dict[str, Raw]) -> tuple[str, Raw | None]:
    """Return the user that `metadata` names, and its other fields."""
    metadata = _read(_FIELDS, fields, "metadata") or {}
    user = _read(_TEXT, metadata, "user_id", "metadata.user_id") or ""
    others = {name: raw for name, raw in metadata.items() if name != "user_id"}
    return user, Raw(encode_object(others)) if others else None


def _context(fields: dict[str, Raw], rest: dict[str, Raw]) -> None:
    """Add `context_management` to `rest`, unless all that it edits is thinking: only its author gets that back."""
    raw = fields.get("context_management")
    if raw is None:
        return
    found = read_or(_CONTEXT, raw, _ContextManagement([_Edit()]))
    if found is not None and any(not edit.type.startswith("clear_thinking_") for edit in found.edits or ()):
        rest["context_management"] = raw
