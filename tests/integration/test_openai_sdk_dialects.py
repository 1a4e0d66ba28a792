"""The official OpenAI client, served by providers of every dialect: chat completions and responses."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from fakes.obedient import RETURNED
from fakes.obedient_answers import TOKENS_IN, TOKENS_OUT
from integration.gateway import run
from integration.sdks import EVERY_UPSTREAM, FILES, READ, READ_SCHEMA, READ_TWO, VIRTUAL_KEY, Scene, scene

Scenario = Callable[[AsyncOpenAI, Scene], Awaitable[None]]

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
CHAT_TOOL: Any = {"type": "function", "function": {"name": "read_file", "parameters": READ_SCHEMA, "strict": True}}
TOOL: Any = {"type": "function", "name": "read_file", "parameters": READ_SCHEMA, "strict": True}

pytestmark = EVERY_UPSTREAM


class Person(BaseModel):
    name: str
    age: int


ANN = 'say {"name": "Ann", "age": 42}'


def use(upstream: str, scenario: Scenario) -> None:
    async def main() -> None:
        async with scene(upstream) as found:
            how: Any = {"base_url": found.gateway.base_url, "api_key": VIRTUAL_KEY, "max_retries": 0}
            async with AsyncOpenAI(**how) as client:
                await scenario(client, found)

    run(main())


def asking(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def completed(client: AsyncOpenAI, stream: bool, **fields: Any) -> Any:
    """Return a chat completion, put together by the SDK if it is streamed."""
    if not stream:
        return await client.chat.completions.create(**fields)
    options: Any = {"include_usage": True}
    async with client.chat.completions.stream(**fields, stream_options=options) as events:
        return await events.get_final_completion()


async def responded(client: AsyncOpenAI, stream: bool, **fields: Any) -> Any:
    """Return a response, put together by the SDK if it is streamed."""
    if not stream:
        return await client.responses.create(**fields)
    async with client.responses.stream(**fields) as events:
        return await events.get_final_response()


@STREAMED
def test_chat_completion(upstream: str, stream: bool) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        answer = await completed(client, stream, model=found.model, messages=asking("say cheese"))
        (choice,) = answer.choices
        assert (choice.message.content, choice.finish_reason) == ("cheese", "stop")
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (TOKENS_IN, TOKENS_OUT)
        assert answer.object == "chat.completion"

    use(upstream, scenario)


def test_plain_stream_of_chunks(upstream: str) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        stream = await client.chat.completions.create(model=found.model, messages=asking("say cheese"), stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "cheese"
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert not any(chunk.usage for chunk in chunks)

    use(upstream, scenario)


@STREAMED
def test_tools_of_chat_make_a_round_trip(upstream: str, stream: bool) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        messages = [{"role": "system", "content": "Obey."}, *asking(READ_TWO)]
        how = {"model": found.model, "tools": [CHAT_TOOL]}
        answer = await completed(client, stream, messages=messages, **how)
        message = answer.choices[0].message
        assert answer.choices[0].finish_reason == "tool_calls"
        messages.append(message.to_dict())
        assert len(message.tool_calls) == 2
        for call in message.tool_calls:
            assert call.function.name == "read_file"
            content = FILES[json.loads(call.function.arguments)["path"]]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        answer = await completed(client, stream, messages=messages, **how)
        assert answer.choices[0].message.content == f"{RETURNED}buy milk and and bread"

    use(upstream, scenario)


def test_parsed_chat(upstream: str) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        how: Any = {"model": found.model, "messages": asking(ANN), "response_format": Person}
        answer = await client.chat.completions.parse(**how)
        assert answer.choices[0].message.parsed == Person(name="Ann", age=42)
        async with client.chat.completions.stream(**how) as events:
            answer = await events.get_final_completion()
        assert answer.choices[0].message.parsed == Person(name="Ann", age=42)
        for seen in found.provider.messages:
            assert '"age"' in json.dumps(seen.body)  # the schema reached the provider

    use(upstream, scenario)


@STREAMED
def test_response(upstream: str, stream: bool) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        how = {"model": found.model, "instructions": "Obey.", "input": "say cheese", "store": False}
        answer = await responded(client, stream, **how)
        assert (answer.output_text, answer.status) == ("cheese", "completed")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (TOKENS_IN, TOKENS_OUT)
        (item,) = answer.output
        assert item.type == "message"
        assert item.id

    use(upstream, scenario)


def test_events_of_a_response_are_numbered_and_complete(upstream: str) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        stream = await client.responses.create(model=found.model, input="say cheese", store=False, stream=True)
        events = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        kinds: list[str] = [event.type for event in events]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        for kind in ("output_item.added", "content_part.added", "output_text.done", "output_item.done"):
            assert kinds.count(f"response.{kind}") == 1, kinds
        parts = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(parts) == "cheese"

    use(upstream, scenario)


@STREAMED
def test_tools_of_a_response_make_a_round_trip(upstream: str, stream: bool) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        items = asking(READ_TWO)
        how = {"model": found.model, "tools": [TOOL], "store": False}
        answer = await responded(client, stream, input=items, **how)
        calls = [item for item in answer.output if item.type == "function_call"]
        assert len(calls) == 2
        items += [item.to_dict() for item in answer.output]
        for call in calls:
            output = FILES[json.loads(call.arguments)["path"]]
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
        answer = await responded(client, stream, input=items, **how)
        assert answer.output_text == f"{RETURNED}buy milk and and bread"

    use(upstream, scenario)


@STREAMED
def test_reasoning_of_a_response_comes_back(upstream: str, stream: bool) -> None:
    """Its author gets it back; a provider without signatures gets the conversation without it."""

    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        how = {
            "model": found.model,
            "tools": [TOOL],
            "store": False,
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        }
        items = asking(READ)
        answer = await responded(client, stream, input=items, **how)
        reasoning, call = answer.output
        text = [part.text for part in (reasoning.summary or reasoning.content)]
        assert text == ["thinking hard"]
        items += [item.to_dict() for item in answer.output]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "buy milk"})
        answer = await responded(client, stream, input=items, **how)
        assert answer.output_text == f"{RETURNED}buy milk"
        if upstream in ("responses", "anthropic"):
            assert "c2lnbmVk" in json.dumps(found.provider.messages[-1].body)

    use(upstream, scenario)


def test_parsed_response(upstream: str) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        how: Any = {"model": found.model, "input": ANN, "text_format": Person, "store": False}
        answer = await client.responses.parse(**how)
        assert answer.output_parsed == Person(name="Ann", age=42)
        async with client.responses.stream(**how) as events:
            answer = await events.get_final_response()
        assert answer.output_parsed == Person(name="Ann", age=42)

    use(upstream, scenario)


def test_rejections_of_a_provider_raise_the_error_of_the_sdk(upstream: str) -> None:
    async def scenario(client: AsyncOpenAI, found: Scene) -> None:
        orphan: Any = {"type": "function_call_output", "call_id": "call_of_nobody", "output": "x"}
        with pytest.raises(openai.BadRequestError, match=r"no call (has the id|of the conversation)"):
            await client.responses.create(model=found.model, input=[*asking("x"), orphan], store=False)
        messages = [*asking("x"), {"role": "tool", "tool_call_id": "call_of_nobody", "content": "x"}]
        with pytest.raises(openai.BadRequestError, match=r"no call (has the id|of the conversation)"):
            await client.chat.completions.create(model=found.model, messages=messages)

    use(upstream, scenario)
