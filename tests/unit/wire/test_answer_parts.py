"""The parts of an answer that a comparison of two models needs."""

import json

import pytest

from pointsman.wire.answer_parts import AnswerParts, answer_parts

CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
EXPECTED = AnswerParts("Hello there", (("look", '{"a":1}'),), "tool_calls")


def chat_body() -> bytes:
    message = {"role": "assistant", "content": "Hello there", "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()


def chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = {"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chat_stream() -> bytes:
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}
    return b"".join(
        [
            chunk({"role": "assistant", "content": "Hello"}),
            b": a comment\n\n",
            chunk({"content": " there"}),
            chunk({"tool_calls": [first]}),
            chunk({"tool_calls": [rest]}),
            chunk({}, "tool_calls"),
            b"data: [DONE]\n\n",
        ]
    )


def messages_body() -> bytes:
    content = [
        {"type": "text", "text": "Hello there"},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}},
    ]
    usage = {"input_tokens": 1, "output_tokens": 1}
    body = {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": content, "usage": usage}
    return json.dumps({**body, "stop_reason": "tool_use", "stop_sequence": None}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("dialect", "body", "stream"),
    [("openai", chat_body(), False), ("openai", chat_stream(), True), ("anthropic", messages_body(), False)],
)
def test_text_tools_and_finish_are_read(dialect: str, body: bytes, stream: bool) -> None:
    assert answer_parts(dialect, body, stream=stream) == EXPECTED


def test_body_that_is_no_answer_has_no_parts() -> None:
    assert answer_parts("openai", b"<html>", stream=False) is None
    assert answer_parts("openai", b"data: {broken\n\n", stream=True) is None
