"""JSON schemas as Anthropic takes them for structured output and for strict tools.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations. Every object needs
`additionalProperties: false`. The changes are those of Anthropic's own SDK (`anthropic.transform_schema`): a constraint
that the API does not take becomes a part of the description, which the model reads. Its name is dropped. Keywords that
constrain nothing, such as `$schema`, are left out.

An object that lists no properties takes any. With `false`, it could only be empty, so it cannot be expressed. Nor can a
schema that contains itself. An object that allows others beside its own properties gets none of them.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.conversations import Conversation
from pointsman.wire.json_object import UNREADABLE, encode_object
from pointsman.wire.translation import OF_SCHEMAS

MAX_DEPTH = 64
_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_PLAIN = frozenset({"type", "enum", "const", "description", "title", "default", "required", "$ref"})
_LISTS = frozenset({"anyOf", "allOf"})
_MAPS = frozenset({"properties", "$defs", "definitions"})
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_ODD_PATTERN = re.compile(r"\(\?|\\[bB1-9kpP]|\{\d{3}")  # lookarounds, references, borders of words, long repetitions


class _Fitter:
    """Rewrites schemas. `dropped` are the constraints that only their descriptions hold, and `cannot` the reasons why
    one cannot be written."""

    def __init__(self) -> None:
        self.dropped: dict[str, None] = {}
        self.cannot: dict[str, None] = {}

    def fitted(self, schema: Raw) -> Raw:
        """Return a schema as Anthropic takes it. One that cannot be read stays as it is, since the provider says what
        is wrong with it."""
        try:
            given = _OBJECT.decode(schema)
        except UNREADABLE:
            return schema
        found = self._fit(given, 0)
        if not self.cannot and any(not one.startswith("#") for one in _references(given)):
            self.cannot["a schema with a reference to another document"] = None
        elif not self.cannot and _contains_itself(given):
            self.cannot["a schema that contains itself"] = None
        return Raw(encode_object(found))

    def _fit(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return schema
        if depth > MAX_DEPTH:
            self.cannot[f"a schema of more than {MAX_DEPTH} levels"] = None
            return schema
        out: dict[str, Any] = {}
        told: dict[str, Any] = {}
        for name, value in schema.items():
            if name in _PLAIN or _takes(name, value):
                out[name] = value
            elif name in _MAPS and isinstance(value, dict):
                out[name] = {one: self._fit(inner, depth + 1) for one, inner in value.items()}
            elif (name in _LISTS or name == "oneOf") and isinstance(value, list):
                inside = [self._fit(inner, depth + 1) for inner in value]
                out["anyOf" if name == "oneOf" else name] = inside  # as Anthropic's SDK does
            elif name == "items":
                out[name] = self._fit(value, depth + 1)
            elif name in OF_SCHEMAS and name != "additionalProperties":
                told[name] = value
        if "object" in _types(schema) or isinstance(schema.get("properties"), dict):
            self._close(schema, out)
        if told:
            self.dropped |= dict.fromkeys(told)
            note = msgspec.json.encode(told).decode()
            given = out.get("description")
            out["description"] = f"{given}\n\n{note}" if given else note
        return out

    def _close(self, schema: dict[str, Any], out: dict[str, Any]) -> None:
        """Add that an object has no other properties than its own."""
        others = schema.get("additionalProperties")
        if others is not False and not schema.get("properties"):
            self.cannot["a schema of an object with any properties"] = None
        elif others not in (None, False):
            self.dropped["additionalProperties"] = None  # an answer without others still follows the client's schema
        out["additionalProperties"] = False


def with_fitting_schemas(given: Conversation) -> tuple[Conversation, dict[str, None], dict[str, None]]:
    """Return a conversation with schemas that Anthropic takes for the form of an answer and for strict tools, the
    reasons why it cannot have them, and the constraints that are dropped."""
    fitter = _Fitter()
    tools = tuple(
        replace(tool, schema=fitter.fitted(tool.schema)) if tool.strict and tool.schema is not None else tool
        for tool in given.tools
    )
    form = given.format
    if form is not None and form.schema is not None:
        form = replace(form, schema=fitter.fitted(form.schema))
    return replace(given, tools=tools, format=form), fitter.cannot, fitter.dropped


def _takes(name: str, value: Any) -> bool:
    """Return whether the API takes a keyword with this value."""
    if name == "format":
        return isinstance(value, str) and value in _FORMATS
    if name == "pattern":
        return isinstance(value, str) and _ODD_PATTERN.search(value) is None
    return name == "minItems" and value in (0, 1)


def _types(schema: dict[str, Any]) -> list[Any]:
    named = schema.get("type")
    return named if isinstance(named, list) else [named]


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _references(one)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if name == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)


def _contains_itself(schema: dict[str, Any]) -> bool:
    """Return whether a definition, or the whole schema, refers to itself, also by others."""
    defined = {f"#/{kind}/{name}": one for kind in ("$defs", "definitions") for name, one in _map(schema, kind).items()}
    whole = {name: value for name, value in schema.items() if name not in ("$defs", "definitions")}
    reaches = {name: set(_references(one)) for name, one in {**defined, "#": whole}.items()}
    for start, direct in reaches.items():
        seen, waiting = set[str](), list(direct)
        while waiting:
            name = waiting.pop()
            if name == start:
                return True
            if name not in seen:
                seen.add(name)
                waiting += reaches.get(name, ())
    return False


def _map(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found = schema.get(name)
    return found if isinstance(found, dict) else {}
