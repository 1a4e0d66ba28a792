"""JSON schemas of clients of other dialects, as Anthropic takes them."""

import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.wire import parse
from pointsman.domain.conversations import AnswerFormat, Conversation, Text, Tool, Turn, Written
from pointsman.wire.dialects import gemini
from pointsman.wire.dialects.anthropic.request_writer import write_request
from pointsman.wire.translation import DROPPABLE

HELLO = (Turn("user", (Text("hello"),)),)


def written(schema: Any, origin: str = "openai") -> Written:
    form = AnswerFormat(Raw(json.dumps(schema).encode()))
    return write_request(Conversation(origin=origin, turns=HELLO, format=form), False)


def schema_of(found: Written) -> Any:
    return json.loads(bytes(found.fields["output_config"]))["format"]["schema"]


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def closed(**properties: Any) -> dict[str, Any]:
    return {**an_object(**properties), "additionalProperties": False}


def test_every_object_is_closed() -> None:
    inner = an_object(a={"type": "string"})
    given = {
        **an_object(b=inner, c={"type": "array", "items": inner}, d={"anyOf": [inner, {"type": "null"}]}),
        "$defs": {"e": inner},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
    done = closed(a={"type": "string"})
    found = written(given)
    assert schema_of(found) == {
        **closed(b=done, c={"type": "array", "items": done}, d={"anyOf": [done, {"type": "null"}]}),
        "$defs": {"e": done},
    }
    assert not found.cannot
    assert not found.dropped


def test_schema_of_a_native_request_stays() -> None:
    given = an_object(a={"type": "integer", "minimum": 1})
    found = written(given, "anthropic")
    assert schema_of(found) == given
    assert not found.dropped


def test_constraints_become_a_description_and_are_named() -> None:
    given = an_object(
        age={"type": "integer", "minimum": 1, "description": "years"},
        code={"type": "string", "pattern": "^(?=a)", "format": "int64", "x-\n": "y"},
        plain={"type": "string", "pattern": "^[a-z]+$", "format": "email"},
        many={"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
    )
    found = written(given)
    properties = schema_of(found)["properties"]
    assert properties["age"] == {"type": "integer", "description": 'years\n\n{"minimum":1}'}
    assert properties["code"] == {"type": "string", "description": '{"pattern":"^(?=a)","format":"int64"}'}
    assert properties["plain"] == given["properties"]["plain"]
    assert properties["many"]["description"] == '{"maxItems":3}'
    assert found.dropped == ("minimum", "pattern", "format", "maxItems")
    assert set(found.dropped) <= DROPPABLE


def test_object_that_allows_others_is_closed_and_the_change_named() -> None:
    found = written({**an_object(a={"type": "string"}), "additionalProperties": True})
    assert schema_of(found) == closed(a={"type": "string"})
    assert found.dropped == ("additionalProperties",)


LIST = {"$defs": {"n": an_object(next={"$ref": "#/$defs/n"})}, "$ref": "#/$defs/n"}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (an_object(a={"type": "object"}), "a schema of an object with any properties"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "a schema of an object with any properties"),
        (LIST, "a schema that contains itself"),
        (an_object(a={"$ref": "#"}), "a schema that contains itself"),
        (an_object(a={"$ref": "https://x.test"}), "a schema with a reference to another document"),
    ],
)
def test_schema_that_cannot_be_written_is_refused(schema: Any, reason: str) -> None:
    assert written(schema).cannot == (reason,)


@pytest.mark.parametrize(
    "name", ["format", "pattern", "minItems", "type", "description", "anyOf", "properties", "$ref"]
)
@pytest.mark.parametrize("value", [[], {}, [{}], 1, None])
def test_keyword_with_a_value_of_a_wrong_type_is_no_error(name: str, value: Any) -> None:
    written(an_object(a={name: value}))


def test_strict_tools_get_fitting_schemas_and_others_keep_theirs() -> None:
    schema = Raw(json.dumps(an_object(a={"type": "integer", "maximum": 9})).encode())
    tools = (Tool("a", schema=schema, strict=True), Tool("b", schema=schema))
    found = write_request(Conversation(origin="openai", turns=HELLO, tools=tools), False)
    strict, loose = json.loads(bytes(found.fields["tools"]))
    assert strict["input_schema"]["additionalProperties"] is False
    assert loose["input_schema"] == json.loads(bytes(schema))
    assert found.dropped == ("maximum",)


def test_schema_of_gemini_arrives_as_a_json_schema() -> None:
    given = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}, "propertyOrdering": ["a"]}
    config = {"responseMimeType": "application/json", "responseSchema": given}
    call = parse({"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": config}, "/generateContent")
    found = write_request(gemini.HALVES.read_request(call), False)
    assert schema_of(found) == closed(a={"type": ["string", "null"]})
