"""Tools in a namespace reach providers of other dialects, and their calls come back under the client's names."""

import json
from typing import Any

from msgspec import Raw

from fakes.wire import parse
from pointsman.domain.pieces import Done, Finish, Start, ToolArguments, ToolBegin
from pointsman.wire.dialects.openai_responses.answer_writer import write_answer
from pointsman.wire.dialects.openai_responses.namespaces import MAX_NAME, flat_name, names_in
from pointsman.wire.dialects.openai_responses.request import read_request

CLOSE = {"type": "function", "name": "close", "description": "Close it.", "parameters": {"type": "object"}}
WRITE = {"type": "custom", "name": "write"}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "close"},
    {"type": "namespace", "name": "agents", "description": "Of agents.", "tools": [CLOSE, WRITE]},
]


def test_tools_of_a_namespace_have_both_names() -> None:
    found = read_request(parse({"model": "m", "input": "x", "tools": TOOLS}, "/responses"))
    assert [tool.name for tool in found.tools] == ["close", "agents__close", "agents__write"]
    assert found.tools[1].description == "Of agents.\n\nClose it."
    assert found.tools[2].is_custom
    assert found.rest == {}


def test_tool_without_a_common_form_is_named_with_its_place() -> None:
    tools = [{"type": "namespace", "name": "n", "tools": [{"type": "shell"}, {**CLOSE, "defer_loading": True}]}]
    found = read_request(parse({"model": "m", "input": "x", "tools": tools}, "/responses"))
    assert set(found.rest) == {"tools[0].tools[0] of type shell", "tools[0].tools[1].defer_loading"}


def test_choice_among_namespaces_is_not_expressible() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "agents"}]}
    found = read_request(parse({"model": "m", "input": "x", "tools": TOOLS, "tool_choice": choice}, "/responses"))
    assert set(found.rest) == {"tool_choice of type allowed_tools"}


def test_calls_come_back_as_the_client_knows_them() -> None:
    call = parse({"model": "m", "input": "x", "tools": TOOLS}, "/responses")
    pieces = (
        Start(),
        ToolBegin(0, "c0", "agents__close"),
        ToolArguments(0, "{}"),
        ToolBegin(1, "c1", "agents__write", is_custom=True),
        ToolArguments(1, "text"),
        ToolBegin(2, "c2", "close"),
        ToolArguments(2, "{}"),
        Finish("tool_calls"),
        Done(),
    )
    output = json.loads(write_answer(call, 0.0, pieces))["output"]
    assert [(item.get("namespace"), item["name"]) for item in output] == [
        ("agents", "close"),
        ("agents", "write"),
        (None, "close"),
    ]
    again = read_request(parse({"model": "m", "input": output, "tools": TOOLS}, "/responses"))
    assert [part.name for turn in again.turns for part in turn.parts if hasattr(part, "name")] == [
        "agents__close",
        "agents__write",
        "close",
    ]
    assert again.rest == {}


def test_long_names_are_shortened_and_stay_different() -> None:
    names = {flat_name("n" * 60, f"tool_{number}") for number in range(50)}
    assert len(names) == 50
    assert all(len(name) <= MAX_NAME for name in names)


def test_tools_that_cannot_be_read_have_no_namespaces() -> None:
    assert names_in(Raw(b"")) == {}
    assert names_in(Raw(b'[{"type": "namespace", "tools": 1}]')) == {}
