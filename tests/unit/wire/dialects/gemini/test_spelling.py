"""One spelling of the names in a request."""

import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.wire import rejected
from pointsman.wire.dialects.gemini.spelling import camel, in_one_spelling


def spelled(**fields: Any) -> dict[str, Any]:
    given = {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}
    return {name: json.loads(bytes(raw)) for name, raw in in_one_spelling(given).items()}


def test_names_at_every_depth_are_in_one_spelling() -> None:
    parts = [{"inline_data": {"mime_type": "a/b"}}, {"function_call": {"name": "f", "args": {"own_name": 1}}}]
    found = spelled(system_instruction={"parts": []}, contents=[{"parts": parts}])
    assert found == {
        "systemInstruction": {"parts": []},
        "contents": [
            {"parts": [{"inlineData": {"mimeType": "a/b"}}, {"functionCall": {"name": "f", "args": {"own_name": 1}}}]}
        ],
    }


def test_schemas_and_texts_stay_as_they_are() -> None:
    tools: Any = [{"function_declarations": [{"parameters_json_schema": {"properties": {"file_path": {}}}}]}]
    expected: Any = [{"functionDeclarations": [{"parametersJsonSchema": {"properties": {"file_path": {}}}}]}]
    assert spelled(tools=tools) == {"tools": expected}
    contents = [{"parts": [{"text": '{"inline_data": 1}'}]}]
    assert spelled(contents=contents) == {"contents": contents}


def test_values_without_other_names_keep_their_bytes() -> None:
    raw = Raw(b'[ {"parts" :[{"text": "a\\u00e9"}]} ]')
    assert in_one_spelling({"contents": raw})["contents"] is raw


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"toolConfig": {}, "tool_config": {}}, "toolConfig"),
        ({"generationConfig": {"top_p": 1, "topP": 0.5}}, "generationConfig.topP"),
    ],
)
def test_field_in_two_spellings_is_rejected(fields: dict[str, Any], param: str) -> None:
    assert rejected(lambda: spelled(**fields)).param == param


def test_deep_values_are_left_alone() -> None:
    deep: Any = {"some_name": 1}
    for _ in range(40):
        deep = [deep]
    assert spelled(contents=deep) == {"contents": deep}


def test_camel() -> None:
    assert [camel(name) for name in ("a_b", "top_p", "plain", "response_json_schema")] == [
        "aB",
        "topP",
        "plain",
        "responseJsonSchema",
    ]


def test_single_objects_become_lists() -> None:
    found = spelled(
        contents={"role": "user", "parts": {"text": "a"}},
        systemInstruction={"parts": {"text": "b"}},
        tools={"functionDeclarations": {"name": "f", "parameters": {"properties": {"parts": {}, "tools": {}}}}},
        safety_settings={"category": "c"},
    )
    parameters: Any = {"properties": {"parts": {}, "tools": {}}}
    assert found == {
        "contents": [{"role": "user", "parts": [{"text": "a"}]}],
        "systemInstruction": {"parts": [{"text": "b"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}],
        "safetySettings": [{"category": "c"}],
    }


def test_single_objects_in_a_request_to_be_counted_become_lists() -> None:
    content = {"parts": [{"text": "a"}]}
    found = spelled(generateContentRequest={"contents": content, "tools": {"googleSearch": {}}})
    assert found == {"generateContentRequest": {"contents": [content], "tools": [{"googleSearch": {}}]}}
