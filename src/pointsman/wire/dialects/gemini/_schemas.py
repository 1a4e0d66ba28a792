"""Schemas of Gemini's own kind, a subset of OpenAPI's, as JSON schemas.

https://ai.google.dev/api/caching#Schema. Types have names in capitals, `nullable` allows null, whole numbers may be
texts, and `propertyOrdering` lists the order of properties. Both spellings of a name are read.
"""

from typing import Any

import msgspec
from msgspec import Raw

from pointsman.wire.dialects.gemini.spelling import camel
from pointsman.wire.json_object import encode_object, read_value, rejection

MAX_DEPTH = 64
_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_LEFT_OUT = frozenset({"nullable", "propertyOrdering"})


def json_schema(raw: Raw, place: str) -> Raw:
    """Return a schema as a JSON schema. Raises `Rejection`."""
    return Raw(encode_object(_converted(read_value(_OBJECT, raw, place), place, 0)))


def _converted(schema: Any, place: str, depth: int) -> Any:
    if not isinstance(schema, dict):
        return schema
    if depth > MAX_DEPTH:
        raise rejection(f"the schema in {place!r} is nested too deeply; use fewer levels", place)
    given = {camel(name): value for name, value in schema.items()}
    found = {name: _value(name, value, place, depth) for name, value in given.items() if name not in _LEFT_OUT}
    order = given.get("propertyOrdering")
    properties = found.get("properties")
    if isinstance(order, list) and isinstance(properties, dict):
        names = [name for name in order if isinstance(name, str) and name in properties]
        found["properties"] = {name: properties[name] for name in [*names, *properties]}
    if given.get("nullable") is True:
        _allow_null(found)
    return found


def _value(name: str, value: Any, place: str, depth: int) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name == "properties" and isinstance(value, dict):
        return {one: _converted(inner, place, depth + 1) for one, inner in value.items()}
    if name in ("items", "additionalProperties"):
        return _converted(value, place, depth + 1)
    if name in ("anyOf", "prefixItems") and isinstance(value, list):
        return [_converted(inner, place, depth + 1) for inner in value]
    if name in _COUNTS and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def _allow_null(found: dict[str, Any]) -> None:
    kind = found.get("type")
    if isinstance(kind, str):
        found["type"] = [kind, "null"]
    if isinstance(found.get("enum"), list):
        found["enum"] = [*found["enum"], None]
    if isinstance(found.get("anyOf"), list):
        found["anyOf"] = [*found["anyOf"], {"type": "null"}]
