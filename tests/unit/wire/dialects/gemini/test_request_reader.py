"""Requests of Gemini's clients, as conversations."""

import json
from typing import Any

import pytest

from fakes.wire import parse, rejected
from pointsman.domain.conversations import (
    Audio,
    Conversation,
    DocumentPart,
    Image,
    Reasoning,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from pointsman.wire.dialects.gemini._signatures import Proof, shown
from pointsman.wire.dialects.gemini.request_reader import read_request

HELLO = [{"parts": [{"text": "hello"}]}]


def read(contents: Any = HELLO, **fields: Any) -> Conversation:
    return read_request(parse({"contents": contents, **fields}, "/generateContent"))


def parts(*given: Any, role: str = "user") -> Any:
    (turn,) = read([{"role": role, "parts": list(given)}]).turns
    return turn.parts


def config(**fields: Any) -> Conversation:
    return read(generationConfig=fields)


def test_texts_roles_and_instructions() -> None:
    contents = [*HELLO, {"role": "model", "parts": [{"text": "hi"}]}, {"role": "user", "parts": [{"text": "a"}]}]
    found = read(contents, systemInstruction="be brief")
    assert [(turn.role, turn.parts) for turn in found.turns] == [
        ("user", (Text("hello"),)),
        ("assistant", (Text("hi"),)),
        ("user", (Text("a"),)),
    ]
    assert found.system == (Text("be brief"),)
    assert read(systemInstruction={"parts": [{"text": "a"}, {"text": "b"}]}).system == (Text("a"), Text("b"))


def test_media_by_their_types() -> None:
    def blob(kind: str, data: str = "QUJD") -> Any:
        return {"inlineData": {"mimeType": kind, "data": data}}

    assert parts(blob("image/png", "_-8")) == (Image(data="/+8=", media_type="image/png"),)  # the alphabet for URLs
    assert parts(blob("audio/mp3")) == (Audio("QUJD", "mp3"),)
    assert parts(blob("application/pdf")) == (DocumentPart(data="QUJD", media_type="application/pdf"),)
    assert parts(blob("text/plain")) == (DocumentPart(text="ABC", media_type="text/plain"),)
    assert parts({"fileData": {"fileUri": "https://x.test/a"}}) == (Image(url="https://x.test/a"),)
    pdf = {"fileData": {"fileUri": "https://x.test/a", "mimeType": "application/pdf"}}
    assert parts(pdf) == (DocumentPart(url="https://x.test/a", media_type="application/pdf"),)


@pytest.mark.parametrize(
    "url",
    ["gs://a/b.png", "https://generativelanguage.googleapis.com/v1beta/files/abc", "https://youtu.be/abc"],
)
def test_addresses_that_only_google_reads_have_no_common_form(url: str) -> None:
    found = read([{"parts": [{"fileData": {"fileUri": url, "mimeType": "image/png"}}]}])
    assert len(found.rest) == 1


def test_call_that_is_marked_as_a_thought_stays_a_call() -> None:
    called = {"functionCall": {"name": "f", "id": "1", "args": {"a": 1}}, "thought": True, "thoughtSignature": "YQ=="}
    found = parts({"text": "h", "thought": True}, called, role="model")
    assert [type(part) for part in found] == [Reasoning, Reasoning, ToolCall]
    assert found[-1] == ToolCall("1", "f", '{"a": 1}')


def test_calls_without_ids_are_matched_by_their_names() -> None:
    def call(name: str, **fields: Any) -> Any:
        return {"functionCall": {"name": name, "args": {"a": 1}, **fields}}

    def result(name: str, response: Any, **fields: Any) -> Any:
        return {"functionResponse": {"name": name, "response": response, **fields}}

    contents = [
        {"role": "model", "parts": [call("f"), call("g", id="x"), call("f")]},
        {
            "role": "user",
            "parts": [
                result("f", {"output": "one"}),
                result("g", {"error": "no"}, id="x"),
                result("f", {"result": {"a": [1]}}),
            ],
        },
    ]
    made, answered = read(contents).turns
    assert made.parts == (
        ToolCall("call_0", "f", '{"a": 1}'),
        ToolCall("x", "g", '{"a": 1}'),
        ToolCall("call_2", "f", '{"a": 1}'),
    )
    assert answered.parts == (
        ToolResult("call_0", (Text("one"),)),
        ToolResult("x", (Text("no"),), is_error=True),
        ToolResult("call_2", (Text('{"a": [1]}'),)),
    )
    (both,) = read([{"parts": [result("h", {"a": 1, "b": 2})]}]).turns
    assert both.parts == (ToolResult("call_0", (Text('{"a": 1, "b": 2}'),)),)


def test_signatures_stay_with_their_parts() -> None:
    found = parts(
        {"text": "a thou", "thought": True},
        {"text": "ght", "thought": True, "thoughtSignature": "YQ=="},
        {"functionCall": {"name": "f", "id": "c"}, "thoughtSignature": "_-8"},
        {"text": "so", "thoughtSignature": "Yg=="},
        role="model",
    )
    assert found == (
        Reasoning("a thought", "thought::YQ==", origin="gemini"),
        Reasoning(signature="call:c:/+8=", origin="gemini"),
        ToolCall("c", "f", "{}"),
        Text("so"),
        Reasoning(signature="text::Yg==", origin="gemini"),
    )


@pytest.mark.parametrize("alphabet", [str.maketrans({}), str.maketrans("+/", "-_")])
def test_proofs_of_other_authors_come_back(alphabet: Any) -> None:
    proof = shown(Proof("sig??>>nature", "anthropic", "id-1")).translate(alphabet)
    hidden = shown(Proof("secret", "anthropic", is_redacted=True)).translate(alphabet)
    found = parts(
        {"text": "hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": proof},
        {"text": "", "thought": True, "thoughtSignature": hidden},
        role="model",
    )
    assert found == (
        Reasoning("hm", "sig??>>nature", origin="anthropic", id="id-1"),
        Reasoning(redacted="secret", origin="anthropic"),
    )


@pytest.mark.parametrize(
    "stand_in", ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="]
)
def test_text_in_place_of_a_signature_is_none(stand_in: str) -> None:
    assert parts({"functionCall": {"name": "f", "id": "c"}, "thoughtSignature": stand_in}) == (
        ToolCall("c", "f", "{}"),
    )


def test_own_schemas_become_json_schemas() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "b_c": {"type": "INTEGER", "nullable": True},
            "a": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["x"]}, "min_items": "1"},
        },
        "required": ["a"],
        "property_ordering": ["a", "b_c"],
    }
    tools = [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": schema}]}]
    (tool,) = read(tools=tools).tools
    expected = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "string", "enum": ["x"]}, "minItems": 1},
            "b_c": {"type": ["integer", "null"]},
        },
        "required": ["a"],
    }
    assert (tool.name, tool.description) == ("f", "d")
    assert tool.schema is not None
    assert json.dumps(json.loads(bytes(tool.schema))) == json.dumps(expected)
    form = config(responseMimeType="application/json", responseSchema=schema).format
    assert form is not None
    assert form.schema is not None
    assert json.loads(bytes(form.schema)) == expected


@pytest.mark.parametrize(
    ("calling", "expected"),
    [
        ({}, ToolChoice()),
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "VALIDATED"}, ToolChoice("auto")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("named", "f")),
        ({"mode": "ANY", "allowedFunctionNames": ["g", "f"]}, ToolChoice("required")),
    ],
)
def test_rules_for_calls(calling: Any, expected: ToolChoice) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}, {"name": "h"}][: 2 if len(calling) > 1 else 3]}]
    found = read(tools=tools, toolConfig={"functionCallingConfig": calling})
    assert (found.tool_choice, found.rest) == (expected, {})


@pytest.mark.parametrize("mode", ["ANY", "VALIDATED"])
def test_choice_of_several_functions_leaves_out_the_others(mode: str) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}, {"name": "h"}]}]
    calling = {"mode": mode, "allowedFunctionNames": ["h", "f"]}
    found = read(tools=tools, toolConfig={"functionCallingConfig": calling})
    assert found.tool_choice == ToolChoice("required" if mode == "ANY" else "auto")
    assert ([tool.name for tool in found.tools], found.rest) == (["f", "h"], {})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"thinkingBudget": 0}, (False, None, None, "")),
        ({"thinkingBudget": -1, "includeThoughts": True}, (True, None, None, "auto")),
        ({"thinkingBudget": "1024"}, (True, None, 1024, "omitted")),
        ({"thinkingLevel": "HIGH", "includeThoughts": True}, (True, "high", None, "auto")),
        ({"includeThoughts": True}, (None, None, None, "auto")),
        ({"includeThoughts": False}, (None, None, None, "")),
    ],
)
def test_reasoning(asked: Any, expected: Any) -> None:
    found = config(thinkingConfig=asked).thinking
    assert (found.is_on, found.effort, found.budget_tokens, found.summary) == expected


def test_sampling_takes_numbers_in_any_form() -> None:
    found = config(temperature=1, topK=3.0, seed="7", candidateCount=1, stopSequences=["a"], logprobs=2).sampling
    assert (found.temperature, found.top_k, found.seed, found.stop, found.top_logprobs) == (1.0, 3, 7, ("a",), 2)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"tools": [{"googleSearch": {}}]}, "tools[0].googleSearch"),
        ({"cachedContent": "cachedContents/a"}, "cachedContent"),
        ({"generationConfig": {"speechConfig": {"a": 1}}}, "generationConfig.speechConfig"),
        ({"generationConfig": {"responseModalities": ["IMAGE"]}}, "generationConfig.responseModalities"),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType text/x.enum"),
        ({"someNewField": 1}, "someNewField"),
        (
            {"contents": [{"parts": [{"executableCode": {"code": "1"}}]}]},
            "contents[0].parts[0].executableCode",
        ),
    ],
)
def test_parts_without_a_common_form_are_named(fields: Any, name: str) -> None:
    assert list(read(**{"contents": HELLO, **fields}).rest) == [name]


def test_rule_for_schemas_that_other_dialects_lack_is_named() -> None:
    chosen = {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert read(toolConfig=chosen).labels == ("functionCallingConfig.mode",)
    assert read(toolConfig={"functionCallingConfig": {"mode": "AUTO"}}).labels == ()


def test_labels_are_named() -> None:
    found = read(
        safetySettings=[{"category": "a"}],
        generationConfig={"mediaResolution": "LOW"},
        tools=[{"functionDeclarations": [{"name": "f", "responseJsonSchema": {"type": "string"}}]}],
    )
    assert (set(found.labels), found.rest) == ({"safetySettings", "mediaResolution", "responseJsonSchema"}, {})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": [{"role": "robot", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"functionCall": {"args": 1}}]}]}, "contents[0].parts[0].functionCall.args"),
        ({"generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "deep"}}}, "generationConfig.thinkingConfig"),
    ],
)
def test_wrong_shapes_are_rejected_by_name(fields: Any, param: str) -> None:
    assert rejected(lambda: read(**{"contents": HELLO, **fields})).param == param
