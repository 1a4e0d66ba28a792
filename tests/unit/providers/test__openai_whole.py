"""A stream made from a whole answer has the same content for every reader of streams."""

import json
from typing import Any

import pytest

from fakes.corpora import recorded
from fakes.wire import CHAT, drain, parse
from pointsman.domain.calls import Call
from pointsman.providers._openai_stream import OpenAIStream
from pointsman.providers._openai_whole import stream_of

DONE = "data: [DONE]"
FIELDS = {"id": "x", "created": 5, "model": "m", "service_tier": "default"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def call_of(path: str = "/chat/completions", *, wants_usage: bool = True, **fields: Any) -> Call:
    body = CHAT if path == "/chat/completions" else {"model": "m", "prompt": "once"}
    options = {"stream": True, "stream_options": {"include_usage": wants_usage}}
    return parse({**body, **options, **fields}, path)


def events(stream: bytes | None) -> list[Any]:
    """Return the events of a stream that is complete."""
    assert stream is not None
    *found, done, rest = stream.decode().split("\n\n")
    assert (done, rest) == (DONE, "")
    return [json.loads(event.removeprefix("data: ")) for event in found]


def body_of(*choices: Any, indent: int | None = None, **more: Any) -> bytes:
    return json.dumps({**FIELDS, "object": "chat.completion", "choices": choices, **more}, indent=indent).encode()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wants_usage", [True, False])
def test_chat_becomes_a_stream(indent: int | None, wants_usage: bool) -> None:
    message = {"role": "assistant", "content": "line\n\nline", "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    found = events(stream_of(call_of(wants_usage=wants_usage), body_of(choice, usage=USAGE, indent=indent)))
    chunk = {**FIELDS, "object": "chat.completion.chunk"}
    delta = {"index": 0, "delta": message, "logprobs": None, "finish_reason": "stop"}
    assert found[0] == {**chunk, "choices": [delta]}
    assert found[1:] == ([{**chunk, "choices": [], "usage": USAGE}] if wants_usage else [])


def test_absent_usage_gives_no_usage_event() -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop"}
    for more in ({}, {"usage": None}):
        assert len(events(stream_of(call_of(), body_of(choice, **more)))) == 1


def test_each_choice_has_its_event() -> None:
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in "ab"]
    found = events(stream_of(call_of(n=2), body_of(*choices)))
    read = [(choice["index"], choice["delta"]["content"]) for event in found for choice in event["choices"]]
    assert read == [(0, "a"), (1, "b")]


def test_tool_calls_are_numbered() -> None:
    made = [{"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for number in (1, 2)]
    for calls in (made, None):
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        found = events(stream_of(call_of(), body_of({"index": 0, "message": message, "finish_reason": "tool_calls"})))
        numbered = [{"index": number, **call} for number, call in enumerate(calls)] if calls is not None else None
        assert found[0]["choices"][0]["delta"] == {**message, "tool_calls": numbered}


def test_completion_becomes_a_stream() -> None:
    choice = {"index": 0, "text": "hello", "finish_reason": "length"}
    body = json.dumps({"object": "text_completion", "choices": [choice], "usage": USAGE}).encode()
    found = events(stream_of(call_of("/completions"), body))
    assert found == [
        {"object": "text_completion", "choices": [choice]},
        {"object": "text_completion", "choices": [], "usage": USAGE},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"choices":null}',
        b'{"choices":[]}',
        b'{"choices":{}}',
        b'{"choices":[1]}',
        b'{"choices":[{}]}',
        b'{"choices":[{"message":null}]}',
        b'{"choices":[{"message":"x"}]}',
        b'{"choices":[{"message":{"tool_calls":5}}]}',
        b'{"choices":[{"message":{"tool_calls":[null]}}]}',
        b'{"choices":[{"message":{"content":' + b"[" * 100_000,
        b'{"choices":[{"message":{"content":"\xff"}}],"\xff":1}',
        b"\xff",
    ],
)
def test_invalid_answers_give_no_stream(body: bytes) -> None:
    assert stream_of(call_of(), body) is None
    assert stream_of(call_of("/completions"), body) is None


def test_recorded_answers_become_readable_streams() -> None:
    count = 0
    for exchange in recorded("/chat/completions", is_stream=False):
        if exchange.status != 200 or b'"choices"' not in exchange.body:
            continue
        whole = json.loads(exchange.body)
        stream = stream_of(call_of(), exchange.body)
        assert stream is not None, exchange.uri
        decoder = OpenAIStream(keep_usage=True, choices=len(whole["choices"]))
        assert drain(decoder, [stream]) == stream
        assert (decoder.is_done, decoder.failure) == (True, None)
        content = [choice["delta"].get("content") for event in events(stream) for choice in event["choices"]]
        assert content == [choice["message"].get("content") for choice in whole["choices"]]
        count += 1
    assert count
