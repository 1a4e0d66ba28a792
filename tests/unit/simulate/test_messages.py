"""Anthropic's dialect: whole and streamed messages, their errors, and counts of tokens."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic

from fakes.anthropic import blocks_of, events_of
from fakes.simulated import context_for, rejected
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.answers import Answer, RequestContext
from pointsman.simulate.messages import count_message_tokens, messages

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "weather", "input_schema": SCHEMA}, {"name": "time", "input_schema": SCHEMA}]
BODY: dict[str, Any] = {
    "model": "gpt-4o",
    "max_tokens": 2000,
    "messages": [{"role": "user", "content": "Hello there"}],
}
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
MARKED = {"cache_control": {"type": "ephemeral"}}


def context(settings: dict[str, Any] | None = None, **fields: Any) -> RequestContext:
    made = context_for({**BODY, **fields}, **(settings or {}))
    made.request.headers["anthropic-version"] = "2023-06-01"
    return made


def whole(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


CASES: list[dict[str, Any]] = [
    {},
    {"tools": TOOLS},
    {"tools": TOOLS, **THINKING},
    {"tools": TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    {"tools": TOOLS, "tool_choice": {"type": "none"}},
    {"max_tokens": 3},
    {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    {"thinking": {"type": "adaptive", "display": "omitted"}},
]


@pytest.mark.parametrize("fields", CASES)
def test_stream_equals_the_whole_message(fields: dict[str, Any]) -> None:
    settings = {"parallel_calls": 3, "cached_share": 0.5}
    message = whole(messages(context(settings, **fields)))
    answer = messages(context(settings, stream=True, **fields))
    assert answer.events is not None
    events = events_of(b"".join(event.data for event in answer.events))
    assert [event["type"] for event in events[:3]] == ["message_start", "content_block_start", "ping"]
    assert events[0]["message"] == message | {
        "content": [],
        "stop_reason": None,
        "usage": events[0]["message"]["usage"],
    }
    assert blocks_of([event for event in events if event["type"] != "ping"]) == message["content"]
    assert events[-2]["delta"] == {"stop_reason": message["stop_reason"], "stop_sequence": None}
    assert message["usage"] | events[-2]["usage"] == message["usage"]
    assert sum(event.tokens for event in answer.events) == answer.tokens_out == message["usage"]["output_tokens"]
    assert [event.is_end for event in answer.events[-2:]] == [False, True]


@pytest.mark.parametrize(
    ("fields", "kinds", "reason"),
    [
        ({}, ["text"], "end_turn"),
        ({"max_tokens": 5}, ["text"], "max_tokens"),
        ({"tools": TOOLS}, ["tool_use"] * 2, "tool_use"),
        ({"tools": TOOLS, **THINKING}, ["thinking", *["tool_use"] * 2], "tool_use"),
        ({"tools": TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}, ["tool_use"], "tool_use"),
        ({"tools": TOOLS, "tool_choice": {"type": "none"}}, ["text"], "end_turn"),
        ({"tools": TOOLS, "max_tokens": 12}, ["tool_use"], "max_tokens"),
    ],
)
def test_answer_follows_the_request(fields: dict[str, Any], kinds: list[str], reason: str) -> None:
    message = whole(messages(context({"parallel_calls": 2}, **fields)))
    assert [block["type"] for block in message["content"]] == kinds
    assert message["stop_reason"] == reason
    assert message["usage"]["output_tokens"] <= fields.get("max_tokens", 2000)


def test_named_tool_is_called() -> None:
    message = whole(messages(context(tools=TOOLS, tool_choice={"type": "tool", "name": "time"})))
    assert [(block["name"], block["input"]) for block in message["content"]] == [("time", {"city": "x"})]


@pytest.mark.parametrize(("fields", "cached", "written"), [({}, 0, 0), (MARKED, 4, 2)])
def test_only_a_marked_prompt_uses_the_cache(fields: dict[str, Any], cached: int, written: int) -> None:
    answer = messages(context({"cached_share": 0.5, "cache_write_share": 0.5}, **fields))
    usage = whole(answer)["usage"]
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (cached, written)
    assert usage["input_tokens"] + cached + written == answer.tokens_in == 9
    assert (answer.tokens_cached, answer.tokens_cache_write) == (cached, written)


def test_tool_of_the_provider_is_counted_and_charged() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}]
    answer = messages(context({"tool_uses": 2, "tool_fees": {"web_search_20250305": 7}}, tools=tools))
    assert whole(answer)["usage"]["server_tool_use"] == {"web_search_requests": 2}
    assert answer.fees_nano == 14


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "other"}, "model: other"),
        ({"max_tokens": None}, "max_tokens: "),
        ({"seed": 1}, "seed: Extra inputs are not permitted"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role: "),
        ({"tools": [{"name": "a.b", "input_schema": SCHEMA}]}, "tools.0.custom.name: String should match"),
        ({"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"name": "a", "input_schema": {}}]}, "tools.0.custom.input_schema.type: Input should be 'object'"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: "),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "b"}}, "Tool 'b' not found"),
        ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "thinking.enabled.budget_tokens: Input should"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be greater than"),
        ({**THINKING, "tools": TOOLS, "tool_choice": {"type": "any"}}, "Thinking may not be enabled"),
        (
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
            "`clear_thinking_20251015` strategy",
        ),
        ({**THINKING, "temperature": 0.5}, "`temperature` may only be set to 1"),
    ],
)
def test_wrong_request_is_rejected(fields: dict[str, Any], message: str) -> None:
    found = rejected(lambda: messages(context(**fields)))
    assert found["message"].startswith(message)
    status, kind = (404, "not_found_error") if fields.get("model") else (400, "invalid_request_error")
    assert (found["status"], found["type"]) == (status, kind)


@pytest.mark.parametrize("endpoint", [messages, count_message_tokens])
def test_version_is_required(endpoint: Callable[[RequestContext], Answer]) -> None:
    body = {name: value for name, value in BODY.items() if endpoint is messages or name != "max_tokens"}
    assert rejected(lambda: endpoint(context_for(body)))["message"] == "anthropic-version: header is required"


def test_missing_field_is_named() -> None:
    made = context_for({"model": "gpt-4o", "messages": BODY["messages"]})
    made.request.headers["anthropic-version"] = "2023-06-01"
    assert rejected(lambda: messages(made))["message"] == "max_tokens: Field required"


def test_count_is_that_of_the_message() -> None:
    body = {name: value for name, value in BODY.items() if name != "max_tokens"} | {"system": "Be brief."}
    made = context_for({**body, "tools": TOOLS})
    made.request.headers["anthropic-version"] = "2023-06-01"
    answer = count_message_tokens(made)
    assert whole(answer) == {"input_tokens": messages(context(system="Be brief.", tools=TOOLS)).tokens_in}
    assert answer.tokens_in == answer.tokens_out == 0
    assert rejected(lambda: count_message_tokens(context()))["message"].startswith("max_tokens: Extra inputs")


# On a socket, as the official SDK reads it.


def on(run: Callable[[Any], Any], main: Callable[[SimulatedProvider, AsyncAnthropic], Awaitable[None]]) -> None:
    async def serve() -> None:
        settings = Settings(keys={"sk-a": ""}, parallel_calls=2, bill_failed="sent")
        async with (
            SimulatedProvider(settings) as provider,
            AsyncAnthropic(base_url=provider.address, api_key="sk-a", max_retries=0) as client,
        ):
            await main(provider, client)

    run(serve())


def test_official_sdk_plays_a_loop_with_tools_and_reasoning(run: Callable[[Any], Any]) -> None:
    async def main(provider: SimulatedProvider, client: AsyncAnthropic) -> None:
        given: dict[str, Any] = {**BODY, **THINKING, "tools": TOOLS}
        async with client.messages.stream(**given) as stream:
            first = await stream.get_final_message()
        assert [block.type for block in first.content] == ["thinking", "tool_use", "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": "x"}
            for block in first.content
            if block.type == "tool_use"
        ]
        turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        given["messages"] = [*BODY["messages"], *turns]
        second = await client.messages.create(**given)
        assert [block.type for block in second.content] == ["thinking", "text"]
        counted = await client.messages.count_tokens(
            **{name: value for name, value in given.items() if name != "max_tokens"}
        )
        entries = provider.bill.entries
        assert counted.input_tokens == second.usage.input_tokens == entries[1].tokens_in
        assert [entry.key for entry in entries] == ["sk-a"] * 3
        assert [entry.tokens_out for entry in entries] == [first.usage.output_tokens, second.usage.output_tokens, 0]
        assert entries[1].charged_nano > 0 == entries[2].charged_nano

    on(run, main)


@pytest.mark.parametrize(
    ("fault", "expected", "kind"),
    [
        ("overloaded", anthropic.InternalServerError, "overloaded_error"),
        ("rate_limit=1", anthropic.RateLimitError, "rate_limit_error"),
        ("too_large", anthropic.APIStatusError, "request_too_large"),
        ("status=500", anthropic.InternalServerError, "api_error"),
        ("context_length", anthropic.BadRequestError, "invalid_request_error"),
        ("overloaded_mid_stream", anthropic.APIStatusError, "overloaded_error"),
        ("error_mid_stream=3", anthropic.APIStatusError, "api_error"),
        ("reset", anthropic.APIConnectionError, None),
    ],
)
def test_official_sdk_raises_on_faults(
    run: Callable[[Any], Any], fault: str, expected: type[Exception], kind: str | None
) -> None:
    async def main(provider: SimulatedProvider, client: AsyncAnthropic) -> None:
        events: list[Any] = []

        async def stream() -> None:
            sent: dict[str, Any] = {**BODY, "metadata": {"user_id": f"fault:{fault}"}, "stream": True}
            events.extend([event async for event in await client.messages.create(**sent)])

        with pytest.raises(expected) as caught:
            await stream()
        if kind is not None:
            assert caught.value.body["error"]["type"] == kind  # type: ignore[attr-defined]
        assert not events
        assert provider.bill.entries[0].faults

    on(run, main)


@pytest.mark.parametrize(("key", "message"), [("sk-b", "invalid x-api-key"), ("", "x-api-key header is required")])
def test_unknown_key_is_rejected(run: Callable[[Any], Any], key: str, message: str) -> None:
    async def main(provider: SimulatedProvider, client: AsyncAnthropic) -> None:
        headers = {"x-api-key": key}
        with pytest.raises(anthropic.AuthenticationError, match=message) as caught:
            await client.messages.create(**BODY, extra_headers=headers)
        assert caught.value.request_id == "req_simulated00000000"
        assert caught.value.response.headers["anthropic-organization-id"] == "simulated"
        with pytest.raises(anthropic.NotFoundError):
            await client.post("/v1/messages/batches", body={}, cast_to=object)

    on(run, main)
