"""Codex, which speaks only the Responses API, in front of a provider of Anthropic's dialect.

Its requests have the fields of https://github.com/openai/codex (codex-rs/codex-api/src/common.rs,
`ResponsesApiRequest`). It stores nothing, so it sends back all reasoning with its encrypted content. It takes a stream
without `response.completed` or `response.failed` for a broken connection.
"""

import json
from typing import Any

import openai
import pytest

from integration.dialects import SSE, STREAMS, TOLD, Served, sdks, serving_dialects
from integration.gateway import run
from integration.wire import Received, ask

HEADERS = {
    "accept": "text/event-stream",
    "originator": "codex_cli_rs",
    "session_id": "0199-session-of-codex",
    "openai-beta": "responses=experimental",
}
ENVIRONMENT = "<environment_context><cwd>/src</cwd></environment_context>"
SHELL: dict[str, Any] = {
    "type": "function",
    "name": "shell_command",
    "description": "Runs a command",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "string"}, "timeout_ms": {"type": "number"}},
        "required": ["command"],
        "additionalProperties": False,
    },
}
PLAN: dict[str, Any] = {**SHELL, "name": "update_plan", "description": "Updates the plan"}
# Only models that Codex knows to have learned this tool get it.
PATCH: dict[str, Any] = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
SEARCH: dict[str, Any] = {"type": "web_search", "external_web_access": False}


def message(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def request(*more: dict[str, Any], tools: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "model": "chat",
        "instructions": "You are a coding agent.",
        "input": [message("developer", "<permissions>"), message("user", ENVIRONMENT), message("user", "Go."), *more],
        "tools": [SHELL, PLAN] if tools is None else tools,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199-session-of-codex",
    }


def events(received: Received) -> list[dict[str, Any]]:
    """Return the events of a stream. Each must have a name and the next number."""
    found: list[dict[str, Any]] = []
    for event in received.body.decode().split("\n\n"):
        if event and not event.startswith(":"):
            name, data = event.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1]['type']}"
            assert found[-1]["sequence_number"] == len(found) - 1
    return found


async def post(url: str, body: Any) -> Received:
    return await ask(url, "POST", "/v1/responses", json.dumps(body).encode(), HEADERS)


def test_two_turns_of_codex_are_served_by_anthropic() -> None:
    async def main() -> None:
        async with serving_dialects("messages") as (gateway, (provider,)):
            provider.answer = Served(STREAMS["messages"], kind=SSE)
            received = await post(gateway.base_url, request())
            assert received.status == 200, received
            assert received.headers["content-type"].startswith("text/event-stream")
            assert received.headers["x-pointsman-dropped"] == "prompt_cache_key"
            found = events(received)
            done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
            assert found[-1]["type"] == "response.completed"
            response = found[-1]["response"]
            assert (response["status"], response["store"], response["error"]) == ("completed", False, None)
            assert sorted(response["output"], key=str) == sorted(done, key=str)
            assert response["usage"]["total_tokens"] == 50
            reasoning, _, *calls = response["output"]
            assert reasoning["summary"][0]["text"] == "Two cities, two calls."
            assert [call["type"] for call in calls] == ["function_call", "function_call"]

            sent = provider.last_body
            assert [block["text"] for block in sent["system"]] == ["You are a coding agent.", "<permissions>"]
            assert [tool["name"] for tool in sent["tools"]] == ["shell_command", "update_plan"]
            assert sent["thinking"]["type"] == "adaptive"
            assert "x-api-key" not in provider.last_head  # the provider has no key
            assert "openai" not in provider.last_head

            results = [
                {"type": "function_call_output", "call_id": call["call_id"], "output": f"result {number}"}
                for number, call in enumerate(calls)
            ]
            received = await post(gateway.base_url, request(*response["output"], *results))
            assert events(received)[-1]["type"] == "response.completed"
            _, assistant, user = provider.last_body["messages"]
            assert assistant["role"] == "assistant"
            assert assistant["content"][0] == {
                "type": "thinking",
                "thinking": "Two cities, two calls.",
                "signature": "c2lnbmVk",
            }
            used = [block for block in assistant["content"] if block["type"] == "tool_use"]
            assert [(block["name"], block["input"]) for block in used] == TOLD.calls
            assert [block["tool_use_id"] for block in user["content"]] == [block["id"] for block in used]
            record = (await gateway.wait_for_records(2))[-1]
            assert record["session"] == "0199-session-of-codex"

    run(main())


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "reset"])
@pytest.mark.parametrize("at", [b'"signature_delta"', b'"text_delta"', b'"city', b'"message_delta"', b'"message_stop"'])
def test_stream_that_breaks_ends_with_a_failed_response(at: bytes, killed: bool) -> None:
    stream = STREAMS["messages"]
    part = stream[: stream.rfind(b"event: ", 0, stream.rfind(at))]

    async def main() -> None:
        async with serving_dialects("messages") as (gateway, (provider,)), sdks(gateway) as client:
            provider.answer = Served(part, kind=SSE, killed=killed)
            received = await post(gateway.base_url, request())
            found = events(received)
            kinds = [event["type"] for event in found]
            assert kinds[0] == "response.created"
            assert kinds[-1] == "response.failed"
            assert kinds.count("response.failed") == 1
            assert "response.completed" not in kinds
            response = found[-1]["response"]
            assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
            assert received.headers["x-request-id"] in response["error"]["message"]

            fields: dict[str, Any] = {**request(), "model": "chat"}
            with pytest.raises(openai.APIError):
                async for _ in await client.openai.responses.create(**fields):
                    pass
            del fields["stream"]
            with pytest.raises(openai.APIError):
                async with client.openai.responses.stream(**fields) as parsed:
                    await parsed.get_final_response()

    run(main())


@pytest.mark.parametrize(("tool", "reason"), [(PATCH, "apply_patch"), (SEARCH, "tools[2] of type web_search")])
def test_tool_without_a_translation_needs_a_provider_of_the_same_dialect(tool: Any, reason: str) -> None:
    body = request(tools=[SHELL, PLAN, tool])

    async def main() -> None:
        async with serving_dialects("messages") as (gateway, (alone,)):
            received = await post(gateway.base_url, body)
            error = received.error()
            assert (received.status, error["code"]) == (400, "not_supported")
            assert reason in str(error["message"])
            assert not alone.requests
        async with serving_dialects("messages", "responses") as (gateway, (unfit, fit)):
            fit.answer = Served(STREAMS["responses"], kind=SSE)
            received = await post(gateway.base_url, body)
            assert received.headers["x-pointsman-provider"] == "b"
            assert events(received)[-1]["type"] == "response.completed"
            assert fit.last_body["tools"] == body["tools"]
            assert not unfit.requests

    run(main())
