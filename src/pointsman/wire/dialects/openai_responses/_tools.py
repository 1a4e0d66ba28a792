"""The tools of a request and the rule for their calls.

https://platform.openai.com/docs/api-reference/responses/create (`tools`, `tool_choice`). A tool that the provider runs
itself has no place in the common form.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.conversations import Conversation, Tool, ToolChoice
from pointsman.wire.dialects.openai_responses._shapes import FIELDS, LIST, NAME, NOTHING
from pointsman.wire.dialects.openai_responses.namespaces import NAMESPACE, flat_name
from pointsman.wire.json_object import is_empty, read_value

_KNOWN = frozenset({"type", "name", "description", "parameters", "strict", "format"})
_DEFAULTS = frozenset({b"null", b"false", b'["direct"]'})  # of `defer_loading`, `async` and `allowed_callers`


class _GivenType(Struct, gc=False):
    type: str


class _GivenTool(Struct, gc=False):
    name: str
    description: str | None = None
    parameters: Raw = NOTHING
    strict: bool | None = None
    format: Raw = NOTHING


class _GivenNamespace(Struct, gc=False):
    name: str
    description: str | None = None
    tools: list[Raw] = []


class _GivenFormat(Struct, gc=False):
    type: str
    syntax: str = ""
    definition: str = ""


class _AllowedTool(Struct, gc=False):
    type: str
    name: str = ""


class _GivenChoice(Struct, gc=False):
    type: str
    name: str = ""
    mode: Literal["auto", "required"] = "auto"
    tools: list[_AllowedTool] = []


_TYPE = msgspec.json.Decoder(_GivenType)
_TOOL = msgspec.json.Decoder(_GivenTool)
_GROUP = msgspec.json.Decoder(_GivenNamespace)
_CHOICE = msgspec.json.Decoder(str | _GivenChoice)
_FORMAT = msgspec.json.Decoder(_GivenFormat)


def read_tools(raw: Raw, rest: dict[str, Raw]) -> tuple[Tool, ...]:
    """Return the functions and custom tools of a request. All else is put into `rest`. Raises `Rejection`."""
    if is_empty(raw):
        return ()
    tools: list[Tool] = []
    items = read_value(LIST, raw, "tools")
    for number, item in enumerate(items):
        place = f"tools[{number}]"
        if read_value(_TYPE, item, place).type == NAMESPACE:
            tools += _grouped(item, place, rest)
        else:
            tools += _read(item, place, rest)
    return tuple(tools)


def _grouped(raw: Raw, place: str, rest: dict[str, Raw]) -> list[Tool]:
    """Return the tools of a namespace, under names of their own. Each is described with the namespace."""
    group = read_value(_GROUP, raw, place)
    found = []
    for number, item in enumerate(group.tools):
        for tool in _read(item, f"{place}.tools[{number}]", rest):
            text = "\n\n".join(part for part in (group.description, tool.description) if part)
            found.append(replace(tool, name=flat_name(group.name, tool.name), description=text))
    return found


def _read(item: Raw, place: str, rest: dict[str, Raw]) -> list[Tool]:
    """Return the tool, if it is a function or a custom one."""
    kind = read_value(_TYPE, item, place).type
    if kind not in ("function", "custom"):
        rest[f"{place} of type {kind}"] = item
        return []
    given = read_value(_TOOL, item, place)
    for name, value in read_value(FIELDS, item, place).items():
        if name not in _KNOWN and bytes(value) not in _DEFAULTS:
            rest[f"{place}.{name}"] = value
    form = _GivenFormat("text")
    if not is_empty(given.format):
        form = read_value(_FORMAT, given.format, f"{place}.format")
        if form.type not in ("text", "grammar"):
            rest[f"{place}.format"] = given.format
    schema = None if bytes(given.parameters) in (b"", b"null") else given.parameters
    tool = Tool(given.name, given.description or "", schema, strict=given.strict, is_custom=kind == "custom")
    return [replace(tool, syntax=form.syntax, grammar=form.definition) if tool.is_custom else tool]


def read_choice(
    raw: Raw, parallel: bool | None, tools: tuple[Tool, ...], rest: dict[str, Raw]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """Return the rule, and the tools that it allows to be called. Raises `Rejection`."""
    if is_empty(raw):
        return ToolChoice(parallel=parallel), tools
    given = read_value(_CHOICE, raw, "tool_choice")
    if isinstance(given, str):
        mode = read_value(_MODE, raw, "tool_choice")
        return ToolChoice(mode, parallel=parallel), tools
    if given.type in ("function", "custom"):
        return ToolChoice("named", given.name, parallel), tools
    if given.type == "allowed_tools" and all(tool.type != NAMESPACE for tool in given.tools):
        allowed = {tool.name for tool in given.tools if tool.type in ("function", "custom")}
        return ToolChoice(given.mode, parallel=parallel), tuple(tool for tool in tools if tool.name in allowed)
    rest[f"tool_choice of type {given.type}"] = raw
    return ToolChoice(parallel=parallel), tools


_MODE = msgspec.json.Decoder(Literal["auto", "none", "required"])


def write_tools(conversation: Conversation) -> list[dict[str, object]]:
    """Return the tools as they are sent. Only here are functions strict by default, so those of another dialect are
    made lenient. https://platform.openai.com/docs/guides/function-calling (`Strict mode`)"""
    is_own = conversation.origin == NAME
    return [
        _written(tool if is_own or tool.strict is not None else replace(tool, strict=False))
        for tool in conversation.tools
    ]


def _written(tool: Tool) -> dict[str, object]:
    written: dict[str, object] = {"type": "custom" if tool.is_custom else "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.grammar:
        written["format"] = {"type": "grammar", "syntax": tool.syntax, "definition": tool.grammar}
    if not tool.is_custom:
        written["parameters"] = tool.schema
        if tool.strict is not None:
            written["strict"] = tool.strict
    return written


def write_choice(choice: ToolChoice, tools: Sequence[Tool]) -> object:
    """Return the rule as it is sent; `None` if there is none."""
    if choice.mode == "named":
        is_custom = any(tool.is_custom for tool in tools if tool.name == choice.name)
        return {"type": "custom" if is_custom else "function", "name": choice.name}
    return choice.mode
