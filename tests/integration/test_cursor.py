"""Cursor, which sends the body of a response to the path of chat completions, in front of providers of each dialect."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from integration.dialects import (
    ANSWERS,
    CALLS,
    DIALECTS,
    SCHEMA,
    SSE,
    STREAMS,
    WORDS,
    Dialect,
    Served,
    serving_dialects,
)
from integration.gateway import run
from integration.wire import Received, ask

REQUEST: dict[str, Any] = {
    "model": "chat",
    "user": "google-oauth2|1",
    "input": [
        {"role": "system", "content": "You are a coding assistant."},
        {"role": "user", "content": [{"type": "input_text", "text": "Weather in Oslo and Rome?"}]},
        {"type": "function_call", "call_id": "call_0", "name": "get_weather", "arguments": '{"city":"Bonn"}'},
        {"type": "function_call_output", "call_id": "call_0", "output": "rain"},
    ],
    "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}],
    "tool_choice": "auto",
    "reasoning": {"effort": "medium", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "text": {"verbosity": "low"},
    "store": False,
}
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


async def post(url: str, **fields: Any) -> Received:
    body = json.dumps({**REQUEST, **fields}).encode()
    return await ask(url, "POST", "/v1/chat/completions", body, {"content-type": "application/json"})


@each_dialect
def test_stream_is_that_of_a_chat(dialect: Dialect) -> None:
    async def main() -> None:
        async with serving_dialects(dialect) as (gateway, (provider,)):
            provider.answer = Served(STREAMS[dialect], kind=SSE)
            received = await post(gateway.base_url, stream=True, stream_options={"include_usage": True})
            assert received.status == 200, received
            lines = [line for line in received.body.splitlines() if line.startswith(b"data: ")]
            assert lines[-1] == b"data: [DONE]"
            chunks = [ChatCompletionChunk.model_validate_json(line[6:]) for line in lines[:-1]]
            deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
            assert "".join(delta.content or "" for delta in deltas) == "".join(WORDS)
            arguments = dict[int, str]()
            for call in (call for delta in deltas for call in delta.tool_calls or ()):
                assert call.function is not None
                arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
            assert list(arguments.values()) == ["".join(parts) for _, parts in CALLS]
            assert [one.finish_reason for chunk in chunks for one in chunk.choices if one.finish_reason] == [
                "tool_calls"
            ]
            usage = chunks[-1].usage
            assert usage is not None
            assert (usage.prompt_tokens, usage.completion_tokens) == (20, 30)
            assert "weather in oslo" in json.dumps(provider.last_body).lower()

    run(main())


@each_dialect
def test_whole_answer_is_that_of_a_chat(dialect: Dialect) -> None:
    async def main() -> None:
        async with serving_dialects(dialect) as (gateway, (provider,)):
            provider.answer = Served(ANSWERS[dialect]("It rains."))
            received = await post(gateway.base_url, metadata={"a": "b"})
            assert received.status == 200, received
            assert "metadata" in received.headers["x-pointsman-dropped"].split(", ")
            answer = ChatCompletion.model_validate_json(received.body)
            assert (answer.object, answer.choices[0].message.content) == ("chat.completion", "It rains.")
            (record,) = await gateway.wait_for_records(1)
            assert (record["path"], record["dialect"], record["operation"]) == (
                "/v1/chat/completions",
                "openai",
                "chat",
            )

    run(main())


@each_dialect
def test_field_without_a_place_in_a_chat_is_rejected_before_any_provider(dialect: Dialect) -> None:
    async def main() -> None:
        async with serving_dialects(dialect) as (gateway, (provider,)):
            received = await post(gateway.base_url, previous_response_id="resp_1")
            error = json.loads(received.body)["error"]
            assert (received.status, error["code"], error["param"]) == (400, "not_supported", "previous_response_id")
            assert provider.requests == []

    run(main())
