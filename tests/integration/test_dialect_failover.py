"""A stream moves to a provider of another dialect, and its client sees one answer in its own."""

import itertools
import json
from typing import Any

import pytest

from fakes.anthropic import blocks_of, events_of, stream_of
from integration.dialects import (
    DIALECTS,
    MESSAGE_START,
    SCHEMA,
    SSE,
    STREAMS,
    TOLD,
    Dialect,
    Served,
    data_events,
    sdks,
    serving_dialects,
)
from integration.gateway import run
from integration.governance import bearer, governance, prices, usd
from integration.wire import ask

SIGNATURE = "EqQBCgIYAhIM-signed-by-the-author"
BETA = "interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14"
HEADERS = {"anthropic-version": "2023-06-01", "anthropic-beta": BETA, "anthropic-dangerous-direct-browser-access": "1"}
OVERLOADED: dict[str, Any] = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
EMPTY_THOUGHT: dict[str, Any] = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "thinking", "thinking": "", "signature": ""},
}
# The beginning of a stream that fails before its first content, and the outcome of its attempt.
FAULTS: dict[str, tuple[Served, str]] = {
    "error event": (Served(stream_of(MESSAGE_START, OVERLOADED), kind=SSE), "upstream_overloaded"),
    "error behind an empty block": (
        Served(stream_of(MESSAGE_START, {"type": "ping"}, EMPTY_THOUGHT, OVERLOADED), kind=SSE),
        "upstream_overloaded",
    ),
    "end": (Served(stream_of(MESSAGE_START, EMPTY_THOUGHT), kind=SSE), "truncated"),
    "reset": (Served(stream_of(MESSAGE_START), kind=SSE, killed=True), "connection_lost"),
    "status": (Served(json.dumps(OVERLOADED).encode(), status=529), "upstream_overloaded"),
}


def conversation() -> dict[str, Any]:
    """Return a request whose model has thought and called two tools before."""
    calls = [{"type": "tool_use", "id": f"toolu_{n}", "name": "get_weather", "input": {"city": n}} for n in "xy"]
    results = [{"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": "rain"} for n in "xy"]
    thought = {"type": "thinking", "thinking": "Both cities.", "signature": SIGNATURE}
    return {
        "model": "chat",
        "max_tokens": 8000,
        "stream": True,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "get_weather", "description": "The weather", "input_schema": SCHEMA}],
        "messages": [
            {"role": "user", "content": "Weather in x and y?"},
            {"role": "assistant", "content": [thought, *calls]},
            {"role": "user", "content": results},
        ],
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_message_moves_to_a_provider_of_chats(fault: str) -> None:
    failing, outcome = FAULTS[fault]
    settings = {"keys": {"only": "env.PROVIDER_KEY"}}
    rules = governance({"agent": {"budgets": usd(1)}})

    async def main() -> None:
        async with serving_dialects(
            "messages",
            "chat",
            settings=settings,
            environ={"PROVIDER_KEY": "sk-secret-of-providers"},
            governance=rules,
            pricing=prices("a/m-1", "b/m-1"),
        ) as (gateway, (a, b)):
            a.answer, b.answer = failing, Served(STREAMS["chat"], kind=SSE)
            body = json.dumps(conversation()).encode()
            received = await ask(gateway.base_url, "POST", "/v1/messages", body, {**HEADERS, **bearer("agent")})
            assert received.status == 200, received
            assert received.headers["x-pointsman-attempts"] == "2"
            assert received.headers["x-pointsman-provider"] == "b"
            assert received.headers["request-id"] == received.headers["x-request-id"]
            check_message(received.body)
            check_requests(a, b)
            (record,) = await gateway.wait_for_records(1)
            first, second = record["attempts"]
            assert (first["provider"], first["outcome"]) == ("a", outcome)
            assert (second["provider"], second["outcome"], second["usage_source"]) == ("b", "ok", "provider")
            assert (second["tokens_in"], second["tokens_out"]) == (20, 30)
            assert second["cost_nano"] == 20 * 150 + 30 * 600
            if failing.status == 200:  # the beginning of the message names the usage so far
                assert (first["tokens_in"], first["tokens_out"], first["usage_source"]) == (20, 1, "provider")
                assert first["cost_nano"] == 20 * 150 + 600
            assert record["cost_nano"] == first.get("cost_nano", 0) + second["cost_nano"]

    run(main())


def check_message(stream: bytes) -> None:
    """Check a message with reasoning, a text and two calls."""
    events = [event for event in events_of(stream) if event["type"] != "ping"]
    assert [event["type"] for event in events].count("message_start") == 1
    assert [event["type"] for event in events][-2:] == ["message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == 30
    thought, text, *calls = blocks_of(events)
    assert (thought["type"], thought["thinking"]) == ("thinking", "Two cities, two calls.")
    assert thought["signature"].startswith("pm.")  # its author is not Anthropic
    assert (text["type"], text["text"]) == ("text", TOLD.text)
    assert [(call["type"], call["name"], call["input"]) for call in calls] == [
        ("tool_use", name, arguments) for name, arguments in TOLD.calls
    ]


def check_requests(a: Any, b: Any) -> None:
    """Check that reasoning and headers reach only a provider of their own dialect."""
    assert f"anthropic-beta: {BETA}" in a.last_head
    assert "x-api-key: sk-secret-of-providers" in a.last_head
    assert a.last_body["messages"][1]["content"][0]["signature"] == SIGNATURE
    assert "authorization: bearer sk-secret-of-providers" in b.last_head
    assert "anthropic" not in b.last_head
    assert "x-api-key" not in b.last_head
    assert SIGNATURE not in b.requests[-1].decode()
    assert "signature" not in b.requests[-1].decode()
    assert [message["role"] for message in b.last_body["messages"]] == ["user", "assistant", "tool", "tool"]
    for request in (*a.requests, *b.requests):
        assert b"pm-key-of-the-tests" not in request


# Beginnings of streams without content, each with an error.
FAILING: dict[Dialect, bytes] = {
    "chat": data_events(
        {"id": "c-0", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"error": {"message": "overloaded", "type": "server_error", "code": 503}},
    ),
    "messages": stream_of(MESSAGE_START, OVERLOADED),
    "responses": stream_of(
        {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_0", "status": "in_progress"}},
        {"type": "error", "sequence_number": 1, "code": "server_error", "message": "overloaded", "param": None},
    ),
}


@pytest.mark.parametrize("ours", DIALECTS)
def test_streams_move_between_all_dialects(ours: Dialect) -> None:
    async def play(first: Dialect, second: Dialect) -> None:
        async with serving_dialects(first, second) as (gateway, (a, b)), sdks(gateway) as client:
            a.answer, b.answer = Served(FAILING[first], kind=SSE), Served(STREAMS[second], kind=SSE)
            assert await client.stream(ours) == TOLD, (first, second)
            assert [len(one.requests) for one in (a, b)] == [1, 1]
            (record,) = await gateway.wait_for_records(1)
            assert [one["outcome"] == "ok" for one in record["attempts"]] == [False, True]

    for first, second in itertools.product(DIALECTS, DIALECTS):
        run(play(first, second))
