"""The official Anthropic client, served by providers of every dialect."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from fakes.obedient import RETURNED
from fakes.obedient_answers import SIGNATURE, TOKENS_IN, TOKENS_OUT
from integration.gateway import run
from integration.sdks import EVERY_UPSTREAM, FILES, READ, READ_SCHEMA, READ_TWO, VIRTUAL_KEY, Scene, scene

Scenario = Callable[[AsyncAnthropic, Scene], Awaitable[None]]

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
TOOL: Any = {"name": "read_file", "description": "Read a file.", "input_schema": READ_SCHEMA}

pytestmark = EVERY_UPSTREAM


class Person(BaseModel):
    name: str
    age: int


def use(upstream: str, scenario: Scenario, **credential: str) -> None:
    async def main() -> None:
        async with scene(upstream) as found:
            how: Any = {"base_url": found.root, "max_retries": 0, **(credential or {"api_key": VIRTUAL_KEY})}
            async with AsyncAnthropic(**how) as client:
                await scenario(client, found)

    run(main())


def asking(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def answered(client: AsyncAnthropic, stream: bool, **fields: Any) -> Any:
    """Return a message, put together by the SDK if it is streamed."""
    fields.setdefault("max_tokens", 4000)
    if not stream:
        return await client.messages.create(**fields)
    async with client.messages.stream(**fields) as events:
        return await events.get_final_message()


@STREAMED
def test_message(upstream: str, stream: bool) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        answer = await answered(client, stream, model=found.model, system="Obey.", messages=asking("say cheese"))
        (block,) = answer.content
        assert (block.type, block.text) == ("text", "cheese")
        assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (TOKENS_IN, TOKENS_OUT)

    use(upstream, scenario)


def test_plain_stream_of_events(upstream: str) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        stream = await client.messages.create(
            model=found.model, max_tokens=100, messages=asking("say cheese"), stream=True
        )
        kinds = [event.type async for event in stream]
        assert kinds[0] == "message_start"
        assert kinds[-2:] == ["message_delta", "message_stop"]
        assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1

    use(upstream, scenario)


@pytest.mark.parametrize("credential", ["api_key", "auth_token"])
def test_text_stream_with_either_credential(upstream: str, credential: str) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        async with client.messages.stream(model=found.model, max_tokens=100, messages=asking("say cheese")) as stream:
            assert "".join([text async for text in stream.text_stream]) == "cheese"

    use(upstream, scenario, **{credential: VIRTUAL_KEY})


@STREAMED
def test_tools_make_a_round_trip(upstream: str, stream: bool) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        how = {"model": found.model, "tools": [TOOL], "tool_choice": {"type": "auto"}}
        messages = asking(READ_TWO)
        answer = await answered(client, stream, messages=messages, **how)
        assert answer.stop_reason == "tool_use"
        calls = [block for block in answer.content if block.type == "tool_use"]
        assert [call.input for call in calls] == [{"path": "notes.txt"}, {"path": "more.txt"}]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": FILES[call.input["path"]]} for call in calls
        ]
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
        answer = await answered(client, stream, messages=messages, **how)
        assert answer.content[0].text == f"{RETURNED}buy milk and and bread"

    use(upstream, scenario)


@STREAMED
def test_thinking_comes_back(upstream: str, stream: bool) -> None:
    """Its author gets it back; a provider without signatures gets the conversation without it."""

    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        how = {
            "model": found.model,
            "tools": [TOOL],
            "max_tokens": 4000,
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        }
        messages = asking(READ)
        answer = await answered(client, stream, messages=messages, **how)
        thinking, call = answer.content
        assert (thinking.type, thinking.thinking) == ("thinking", "thinking hard")
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "buy milk"}]
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
        answer = await answered(client, stream, messages=messages, **how)
        assert answer.content[-1].text == f"{RETURNED}buy milk"
        if upstream in ("responses", "anthropic"):
            assert SIGNATURE in json.dumps(found.provider.messages[-1].body)

    use(upstream, scenario)


def test_parsed_message(upstream: str) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        text = 'say {"name": "Ann", "age": 42}'
        how: Any = {"model": found.model, "max_tokens": 100, "messages": asking(text), "output_format": Person}
        answer = await client.messages.parse(**how)
        assert answer.parsed_output == Person(name="Ann", age=42)
        async with client.messages.stream(**how) as events:
            answer = await events.get_final_message()
        assert answer.parsed_output == Person(name="Ann", age=42)
        for seen in found.provider.messages:
            assert '"age"' in json.dumps(seen.body)  # the schema reached the provider

    use(upstream, scenario)


def test_tokens_are_counted(upstream: str) -> None:
    """Only Anthropic counts; otherwise the gateway estimates."""

    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        counted = await client.messages.count_tokens(model=found.model, messages=asking("hello " * 100), tools=[TOOL])
        if upstream == "anthropic":
            assert counted.input_tokens == 1234
        else:
            assert 100 <= counted.input_tokens <= 400

    use(upstream, scenario)


def test_models_are_listed(upstream: str) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        names = [model.id async for model in client.models.list(limit=1)]
        assert names[0] == found.model
        assert len(names) == len(set(names)) >= 2
        model = await client.models.retrieve(found.model)
        assert (model.id, model.type, model.display_name) == (found.model, "model", found.model)
        assert model.created_at.year == 1970
        with pytest.raises(anthropic.NotFoundError, match="unknown"):
            await client.models.retrieve("unknown")

    use(upstream, scenario)


def test_rejections_of_a_provider_raise_the_error_of_the_sdk(upstream: str) -> None:
    async def scenario(client: AsyncAnthropic, found: Scene) -> None:
        result = {"type": "tool_result", "tool_use_id": "toolu_of_nobody", "content": "x"}
        messages = [*asking("x"), {"role": "user", "content": [result]}]
        with pytest.raises(anthropic.BadRequestError, match=r"no call (has the id|of the conversation)") as caught:
            await client.messages.create(model=found.model, max_tokens=100, messages=messages)
        assert caught.value.request_id
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="unknown", max_tokens=100, messages=asking("x"))

    use(upstream, scenario)


def test_synchronous_client(upstream: str) -> None:
    async def main() -> None:
        async with scene(upstream) as found:

            def work() -> None:
                with Anthropic(base_url=found.root + "/anthropic", api_key=VIRTUAL_KEY) as client:
                    how: Any = {"model": found.model, "max_tokens": 100, "messages": asking("say cheese")}
                    assert client.messages.create(**how).content[0].text == "cheese"
                    with client.messages.stream(**how) as stream:
                        assert "".join(stream.text_stream) == "cheese"

            await asyncio.to_thread(work)

    run(main())
