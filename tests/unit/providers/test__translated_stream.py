"""A translated stream never leaves its client in silence while its provider sends events."""

import json
from typing import Any

import pytest

from fakes.anthropic import HELLO, message_call, stream_of
from fakes.wire import parse
from pointsman.providers import codec_of
from pointsman.wire.sse import HEARTBEAT, is_comment, split_events

CHAT = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "msg_1", "role": "assistant", "model": "x", "content": [], "usage": {"input_tokens": 1}},
}
PING: dict[str, Any] = {"type": "ping"}
TEXT: list[dict[str, Any]] = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
]
END: list[dict[str, Any]] = [
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


@pytest.mark.parametrize(("dialect", "operation"), [("openai", "chat"), ("openai-responses", "responses")])
def test_ping_becomes_a_comment(dialect: str, operation: Any) -> None:
    body = CHAT if operation == "chat" else {"model": "m", "stream": True, "input": "hi"}
    path = "/chat/completions" if operation == "chat" else "/responses"
    decoder = codec_of("anthropic", operation, dialect).decoder(parse(body, path, dialect=dialect), 1 << 20)
    decoder.feed(stream_of(START, *TEXT))
    assert decoder.feed(stream_of(PING)) == HEARTBEAT
    assert decoder.feed(stream_of(PING, PING)) == HEARTBEAT * 2
    assert decoder.feed(b": comment of the provider\n\n") == HEARTBEAT
    end = decoder.feed(stream_of(*END)) + decoder.close()
    assert decoder.is_done
    assert not is_comment(list(split_events(end))[-1])


def test_arguments_that_a_client_cannot_read_yet_become_comments() -> None:
    """Messages has one open block at a time, so the arguments of a second call wait for the end of the first."""
    decoder = codec_of("together", "chat", "anthropic").decoder(message_call({**HELLO, "stream": True}), 1 << 20)

    def chunk(index: int, **fields: Any) -> bytes:
        call = {"index": index, **fields}
        return (
            b"data: %b\n\n"
            % json.dumps({"id": "c", "model": "x", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode()
        )

    for index in (0, 1):
        decoder.feed(chunk(index, id=f"call_{index}", type="function", function={"name": "f", "arguments": ""}))
    written = [decoder.feed(chunk(1, function={"arguments": "{"})) for _ in range(3)]
    assert all(written)
