"""Requests for Converse. Amazon's description of the API is the oracle for their shape."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Raw

from fakes.amazon_model import problems_of_request
from fakes.dialects import features_of, halves, origin_of, sent
from fakes.requested import drawn
from pointsman.domain.conversations import (
    AnswerFormat,
    Audio,
    CacheMark,
    Conversation,
    DocumentPart,
    Image,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Written,
)
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import CONVERSATIONS
from pointsman.wire.translation import translate
from pointsman.wire.upstreams.bedrock import HALVES
from pointsman.wire.upstreams.bedrock.models import fitted

DATA = b64encode(b"bytes").decode()
HELLO = Turn("user", (Text("hello"),))
TOOLS = (Tool("f", "Finds", Raw(b'{"properties":{}}')),)


def written(*turns: Turn, **fields: Any) -> Written:
    return HALVES.write_request(Conversation(origin="openai", turns=turns or (HELLO,), **fields), False)


def body_of(found: Written, model: str = "") -> dict[str, Any]:
    assert not found.cannot
    fields = fitted(found.fields, model, None) if model else found.fields
    body = {name: json.loads(bytes(raw)) for name, raw in fields.items()}
    assert problems_of_request(body) == ""
    return body


def content(*parts: Part, role: Any = "user") -> list[dict[str, Any]]:
    turns = (Turn(role, parts),) if role == "user" else (HELLO, Turn(role, parts))
    body = body_of(written(*turns, tools=TOOLS))
    found: list[dict[str, Any]] = body["messages"][-1]["content"]
    return found


def test_turns_of_one_role_become_one_and_instructions_move_to_the_beginning() -> None:
    turns = (
        HELLO,
        Turn("user", (Text("there"), Text(" "))),
        Turn("system", (Text("Be brief."),)),
        Turn("assistant", (Text("Hi"), Refusal("no"))),
    )
    body = body_of(written(*turns, system=(Text("Be kind.", CacheMark("1h")),)))
    assert body == {
        "system": [{"text": "Be kind."}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "hello"}, {"text": "there"}]},
            {"role": "assistant", "content": [{"text": "Hi"}, {"text": "no"}]},
        ],
    }


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(data=DATA, media_type="image/jpg"), {"image": {"format": "jpeg", "source": {"bytes": DATA}}}),
        (Audio(DATA, "MP3"), {"audio": {"format": "mp3", "source": {"bytes": DATA}}}),
        (DocumentPart(data=DATA, media_type="image/png"), {"image": {"format": "png", "source": {"bytes": DATA}}}),
        (DocumentPart(data=DATA, media_type="video/mp4"), {"video": {"format": "mp4", "source": {"bytes": DATA}}}),
        (
            DocumentPart(data=DATA, media_type="application/pdf", name="a_b.pdf"),
            {"document": {"format": "pdf", "name": "a b pdf", "source": {"bytes": DATA}}},
        ),
        (
            DocumentPart(text="bytes"),
            {"document": {"format": "txt", "name": "Document", "source": {"bytes": DATA}}},
        ),
        (
            DocumentPart(data=DATA, media_type="application/json; charset=utf-8"),
            {"document": {"format": "txt", "name": "Document", "source": {"bytes": DATA}}},
        ),
    ],
)
def test_files(part: Part, expected: dict[str, Any]) -> None:
    assert content(Text("see"), part) == [{"text": "see"}, expected]


def test_names_of_documents_are_unique() -> None:
    one = DocumentPart(text="x", name="same")
    names = [block["document"]["name"] for block in content(Text("see"), one, one, one)[1:]]
    assert names == ["same", "same 2", "same 3"]


def test_calls_and_results() -> None:
    turns = (
        HELLO,
        Turn("assistant", (ToolCall("a!", "f", '{"x":1}'), ToolCall("b", "f", ""), ToolCall("c", "f", "no JSON"))),
        Turn("user", (Text("so?"),)),
        Turn("user", (ToolResult("a!", (Text("1", CacheMark()), Image(data=DATA, media_type="image/png"))),)),
        Turn("user", (ToolResult("b", (), is_error=True), ToolResult("c"))),
    )
    _, made, returned = body_of(written(*turns, tools=TOOLS))["messages"]
    first = made["content"][0]["toolUse"]["toolUseId"]
    assert [one["toolUse"]["input"] for one in made["content"]] == [{"x": 1}, {}, {"INVALID_JSON": "no JSON"}]
    image = {"image": {"format": "png", "source": {"bytes": DATA}}}
    assert returned["content"] == [
        {"toolResult": {"toolUseId": first, "content": [{"text": "1"}, image]}},
        {"cachePoint": {"type": "default"}},
        {"toolResult": {"toolUseId": "b", "content": [], "status": "error"}},
        {"toolResult": {"toolUseId": "c", "content": []}},
        {"text": "so?"},
    ]


def test_reasoning_goes_back_to_its_author_only() -> None:
    parts = (
        Reasoning("own", "c2ln", origin="bedrock"),
        Reasoning(redacted=DATA, origin="bedrock"),
        Reasoning("unsigned", origin="bedrock"),
        Reasoning("other", "c2ln", origin="anthropic"),
        Text("x"),
    )
    assert content(*parts, role="assistant") == [
        {"reasoningContent": {"reasoningText": {"text": "own", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": DATA}},
        {"text": "x"},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(), None),
        (ToolChoice("auto", parallel=False), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("named", "f"), {"tool": {"name": "f"}}),
    ],
)
def test_tools_and_their_choice(choice: ToolChoice, expected: object) -> None:
    tools = (Tool("f", "Finds", Raw(b'{"properties":{}}'), strict=True, cache=CacheMark()), Tool("g", is_deferred=True))
    found = written(tools=tools, tool_choice=choice)
    config = body_of(found)["toolConfig"]
    spec = {"name": "f", "description": "Finds", "inputSchema": {"json": {"type": "object", "properties": {}}}}
    assert config["tools"][:2] == [{"toolSpec": {**spec, "strict": True}}, {"cachePoint": {"type": "default"}}]
    assert config["tools"][2]["toolSpec"]["inputSchema"]["json"] == {"type": "object", "properties": {}}
    assert config.get("toolChoice") == expected
    assert found.dropped == ("defer_loading",)


def test_choice_of_no_tool_leaves_out_the_tools() -> None:
    assert "toolConfig" not in body_of(written(tools=TOOLS, tool_choice=ToolChoice("none")))


def test_tools_that_a_client_leaves_out_have_the_names_of_the_calls() -> None:
    specs = body_of(written(HELLO, CALLED))["toolConfig"]["tools"]
    assert specs == [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {}}}}}]


def test_settings() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=5, stop=("end",), seed=1, logprobs=True, top_logprobs=2)
    schema = Raw(b'{"type":"object"}')
    found = written(
        sampling=sampling,
        max_tokens=9,
        format=AnswerFormat(schema, "Name", "About"),
        service_tier="flex",
        user="me",
        metadata=Raw(b'{"a":"b"}'),
        verbosity="low",
        prompt_cache_key="k",
    )
    body = body_of(found)
    assert body["inferenceConfig"] == {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["end"]}
    assert body["additionalModelRequestFields"] == {"top_k": 5}
    assert body["serviceTier"] == {"type": "flex"}
    json_schema = {"schema": '{"type":"object"}', "name": "Name", "description": "About"}
    assert body["outputConfig"] == {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": json_schema}}}
    labels = {"verbosity", "user", "metadata", "prompt_cache_key"}
    assert set(found.dropped) == {"seed", "logprobs", "top_logprobs", *labels}
    assert written(service_tier="batch").dropped == ("service_tier",)
    assert written(service_tier="auto").dropped == ()


CALLED: Turn = Turn("assistant", (ToolCall("a", "f", "{}"),))


@pytest.mark.parametrize(
    ("turns", "fields", "reason"),
    [
        ((), {"sampling": Sampling(choices=2)}, "n above 1"),
        ((), {"sampling": Sampling(temperature=1.5)}, "temperature above 1"),
        ((), {"sampling": Sampling(presence_penalty=0.5)}, "presence_penalty"),
        ((), {"sampling": Sampling(stop=("",))}, "stop with an empty text"),
        ((), {"format": AnswerFormat()}, "a JSON object without a schema as the format of the answer"),
        ((), {"tools": (Tool("f", is_custom=True),)}, "the tool 'f' of type custom"),
        ((), {"tools": (Tool("a b"),)}, "the name 'a b' of a tool"),
        ((), {"rest": {"web_search_options": Raw(b"{}")}}, "web_search_options"),
        (
            (HELLO, CALLED),
            {"tools": TOOLS, "tool_choice": ToolChoice("none")},
            "a choice of no tool after calls of tools",
        ),
        ((Turn("user", (Text(" "),)),), {}, "a conversation without a message of the user"),
        ((Turn("user", (Text("x"),), "bob"),), {}, "the name 'bob' of a message"),
        ((Turn("user", (Image(url="https://x/y.png"),)),), {}, "an image at an address"),
        ((Turn("user", (Image(data=DATA, media_type="image/tiff"),)),), {}, "an image of type image/tiff"),
        ((Turn("user", (Audio(DATA, "amr"),)),), {}, "a recording in the format amr"),
        ((Turn("user", (Text("x"), DocumentPart(url="https://x"))),), {}, "a document at an address"),
        (
            (Turn("user", (Image(url="file:///etc/passwd"),)),),
            {},
            "an image at an address that does not begin with https",
        ),
        ((Turn("user", (Text("x"), DocumentPart(data=DATA, media_type="a/b"))),), {}, "a document of type a/b"),
        ((Turn("user", (DocumentPart(text="x"),)),), {}, "a document in a message without a text"),
    ],
)
def test_parts_that_cannot_be_expressed(turns: tuple[Turn, ...], fields: dict[str, Any], reason: str) -> None:
    assert reason in written(*turns, **fields).cannot


@pytest.mark.parametrize("client", CONVERSATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_every_request_has_the_shape_that_amazon_describes(client: Dialect, count: int) -> None:
    @settings(max_examples=count)
    @given(drawn(origin_of(client), features_of(client)))
    def check(given: tuple[Conversation, frozenset[str]]) -> None:
        call = sent(client, given[0])
        found = translate(halves(client), HALVES, call, reasons=True) if call is not None else None
        if found is None or found.cannot:
            return
        for model in ("anthropic.claude-x", "amazon.nova-2-lite-v1:0", "openai.gpt-oss-20b-1:0"):
            body = {name: json.loads(bytes(raw)) for name, raw in fitted(found.fields, model, 100).items()}
            assert problems_of_request(body) == ""

    check()


def test_thinking_has_a_common_form_until_the_model_is_known() -> None:
    found = written(thinking=Thinking(effort="low"))
    assert json.loads(bytes(found.fields["additionalModelRequestFields"]))["reasoning"]["effort"] == "low"
    assert "additionalModelRequestFields" not in written(thinking=Thinking(summary="auto")).fields
