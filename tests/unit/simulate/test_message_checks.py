"""The rules of Anthropic's API for a conversation."""

from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.message_checks import Message, check_messages
from pointsman.simulate.model import seal

QUESTION = Message("user", "Hello")
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}


def thought(name: str = "simulated", text: str = "Hm.") -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": seal(context_for(name=name), "thinking", "Hm.")}


def redacted(name: str = "simulated") -> dict[str, Any]:
    return {"type": "redacted_thinking", "data": seal(context_for(name=name), "redacted_thinking", "")}


@pytest.mark.parametrize("first", [[], [thought()], [redacted()]])
def test_whole_loop_is_accepted(first: list[Any]) -> None:
    turns = [QUESTION, Message("assistant", [*first, USE]), Message("user", [RESULT])]
    check_messages(context_for(), turns, must_think=bool(first))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([thought("other"), USE], "messages.1.content.0: Invalid `signature` in `thinking` block"),
        ([thought(text="Changed."), USE], "messages.1.content.0: Invalid `signature` in `thinking` block"),
        ([{"type": "thinking", "thinking": "Hm."}, USE], "messages.1.content.0: Invalid `signature`"),
        ([redacted("other"), USE], "messages.1.content.0: Invalid `data` in `redacted_thinking` block"),
        ([USE], "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."),
        ([{**USE, "id": "call:1"}], "messages.1.content.0.tool_use.id: String should match pattern"),
        ([{**USE, "input": "{}"}], "messages.1.content.0.tool_use.input: Input should be a valid dictionary"),
        ([USE, USE], "messages.1: `tool_use` ids must be unique"),
        ([{**USE, "id": "toolu_2"}], "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks"),
        ([USE, {**USE, "id": "toolu_2"}], "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        ([{"type": "text", "text": ""}, USE], "messages: text content blocks must be non-empty"),
        ([{"type": "image"}, USE], "messages.1.content.0: Input tag 'image'"),
        ([], "messages.1: assistant messages must have non-empty content"),
    ],
)
def test_broken_rule_is_named(blocks: list[Any], message: str) -> None:
    turns = [QUESTION, Message("assistant", blocks), Message("user", [RESULT])]
    found = rejected(lambda: check_messages(context_for(), turns, must_think=True))
    assert (found["status"], found["type"]) == (400, "invalid_request_error")
    assert found["message"].startswith(message)


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "messages: at least one message is required"),
        ([Message("assistant", "Hi")], 'messages: first message must use the "user" role'),
        ([QUESTION, Message("assistant", [USE])], "messages.1: `tool_use` ids were found without"),
    ],
)
def test_order_of_messages_is_checked(turns: list[Message], message: str) -> None:
    assert rejected(lambda: check_messages(context_for(), turns, must_think=False))["message"].startswith(message)
