"""Clients of every dialect before a scripted Gemini: loops with tools, exact costs, blocked prompts and limits."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.gemini import USAGE, answer, call, stream_of, text, thought
from fakes.origin import serving as serving_script
from integration.dialects import (
    DIALECTS,
    JSON,
    PATHS,
    SSE,
    THOUGHTS,
    TOLD,
    WORDS,
    Dialect,
    ScriptedProvider,
    Served,
    sdks,
)
from integration.gateway import Gateway, run, serving
from integration.governance import prices
from integration.loops import begin, read, resume

MODEL = "gemini-3-flash-preview"
BOUND = {"chat": "max_completion_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}
CALLS = [call("get_weather", "c2lnbmVk", id="c1", args={"city": "Oslo"}), call("get_time", args={"city": "Oslo"})]
COUNTS = {**USAGE, "promptTokenCount": 1_000, "cachedContentTokenCount": 400}
# 600 and 400 tokens of the prompt, 18 + 12 of the answer, at the prices of `governance.prices`.
COST_NANO = 600 * 150 + 400 * 75 + 30 * 600


@asynccontextmanager
async def gemini(**sections: Any) -> AsyncIterator[tuple[Gateway, ScriptedProvider]]:
    """Run a gateway in front of a scripted Gemini, which serves the model `chat`."""
    provider = ScriptedProvider("chat")
    async with serving_script(provider.script) as fake:
        given = {"google": {"type": "gemini", "base_url": f"{fake.origin}/v1beta"}}
        sections = {"models": {"chat": [f"google/{MODEL}"]}, "pricing": prices(f"google/{MODEL}"), **sections}
        async with serving(provider_settings=given, is_alone=False, **sections) as gateway:
            yield gateway, provider


def bound(ours: Dialect) -> dict[str, Any]:
    """Return the field that bounds an answer."""
    return {BOUND[ours]: 900}


def served(*events: dict[str, Any], stream: bool) -> Served:
    """Return events of a stream, or the last of them as a whole answer."""
    return Served(stream_of(*events), kind=SSE) if stream else Served(json.dumps(events[-1]).encode(), kind=JSON)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", DIALECTS)
def test_loop_with_tools_returns_the_signatures(ours: Dialect, stream: bool) -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider):
            how = {"path": f"/v1{PATHS[ours]}"}
            body = begin(ours, stream=stream, **bound(ours))
            parts = [thought("Two calls."), text("I look both up \u00fc."), *CALLS]
            last = [CALLS[1]] if stream else parts
            events = [answer(part) for part in parts[:-1]] + [answer(*last, finish="STOP", usageMetadata=COUNTS)]
            provider.answer = served(*events, stream=stream)
            reply = read(ours, await gateway.ask(body, **how))
            assert reply.text == "I look both up \u00fc."
            assert [name for _, name in reply.calls] == ["get_weather", "get_time"]
            assert (reply.tokens_in, reply.tokens_out) == (1_000, 30)

            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            assert f"post /v1beta/models/{MODEL}:{method} ".lower() in provider.last_head
            assert provider.last_body["generationConfig"]["maxOutputTokens"] == 900

            provider.answer = served(answer(text("Rain."), finish="STOP", usageMetadata=COUNTS), stream=stream)
            assert read(ours, await gateway.ask(resume(ours, body, reply), **how)).text == "Rain."
            question, model, results = provider.last_body["contents"]
            made = [part for part in model["parts"] if "functionCall" in part]
            assert [part.get("thoughtSignature") for part in made] == ["c2lnbmVk", None]
            assert [part["functionCall"]["args"] for part in made] == [{"city": "Oslo"}] * 2
            ids = [part["functionCall"]["id"] for part in made]
            assert ids == [one for one, _ in reply.calls]
            assert [part["functionResponse"] for part in results["parts"]] == [
                {"id": one, "name": name, "response": {"output": f"result of {name}"}} for one, name in reply.calls
            ]
            assert (question["role"], model["role"], results["role"]) == ("user", "model", "user")

    run(main())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", DIALECTS)
def test_cost_has_cached_tokens_and_thoughts(ours: Dialect, stream: bool) -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider):
            events = [
                answer(text("a"), usageMetadata={"promptTokenCount": 1_000}),
                answer(text("b"), finish="STOP", usageMetadata=COUNTS),
            ]
            provider.answer = served(*events, stream=stream)
            body = begin(ours, stream=stream, tools=False, **bound(ours))
            read(ours, await gateway.ask(body, path=f"/v1{PATHS[ours]}"))
            (record,) = await gateway.wait_for_records(1)
            (attempt,) = record["attempts"]
            assert (attempt["outcome"], attempt["usage_source"]) == ("ok", "provider")
            assert (attempt["tokens_in"], attempt["tokens_out"]) == (1_000, 30)
            assert attempt["cost_nano"] == record["cost_nano"] == COST_NANO

    run(main())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", DIALECTS)
def test_blocked_prompt_is_an_answer_that_a_filter_ended(ours: Dialect, stream: bool) -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider):
            blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}
            provider.answer = served(blocked, stream=stream)
            body = begin(ours, stream=stream, tools=False, **bound(ours))
            reply = read(ours, await gateway.ask(body, path=f"/v1{PATHS[ours]}"))
            assert (reply.text, reply.calls, reply.tokens_in, reply.tokens_out) == ("", [], 9, 0)

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_error_of_google_has_the_shape_of_the_client(ours: Dialect) -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider):
            error = {"code": 400, "message": "Invalid value at contents", "status": "INVALID_ARGUMENT"}
            provider.answer = Served(json.dumps({"error": error}).encode(), status=400)
            body = begin(ours, stream=False, tools=False, **bound(ours))
            answered = await gateway.ask(body, path=f"/v1{PATHS[ours]}")
            assert answered.status == 400
            assert "Invalid value at contents" in answered.json["error"]["message"]
            assert "status" not in answered.json["error"]

    run(main())


def test_request_that_gemini_cannot_express_is_rejected_with_the_reason() -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider):
            body = begin("chat", stream=False, n=2)
            answered = await gateway.ask(body)
            assert (answered.status, answered.json["error"]["code"]) == (400, "not_supported")
            assert "cannot express n above 1" in answered.json["error"]["message"]
            assert not provider.requests

    run(main())


ONE_CALL: dict[Dialect, dict[str, Any]] = {
    "chat": {"parallel_tool_calls": False},
    "messages": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "responses": {"parallel_tool_calls": False},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", DIALECTS)
def test_client_that_takes_one_call_at_a_time_gets_one(ours: Dialect, stream: bool) -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider):
            how = {"path": f"/v1{PATHS[ours]}"}
            provider.answer = served(answer(*CALLS, finish="STOP", usageMetadata=COUNTS), stream=stream)
            body = begin(ours, stream=stream, **bound(ours), **ONE_CALL[ours])
            reply = read(ours, await gateway.ask(body, **how))
            assert [name for _, name in reply.calls] == ["get_weather"]
            await gateway.ask(resume(ours, body, reply), **how)
            _, model, results = provider.last_body["contents"]
            assert [len(model["parts"]), len(results["parts"])] == [1, 1]
            assert model["parts"][0]["thoughtSignature"] == "c2lnbmVk"

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_official_sdks_read_a_stream(ours: Dialect) -> None:
    async def main() -> None:
        async with gemini() as (gateway, provider), sdks(gateway) as client:
            events = [answer(thought(one)) for one in THOUGHTS] + [answer(text(one)) for one in WORDS]
            calls = [call(name, "c2ln", args=arguments) for name, arguments in TOLD.calls]
            provider.answer = served(*events, answer(*calls, finish="STOP", usageMetadata=COUNTS), stream=True)
            assert await client.stream(ours) == TOLD

    run(main())
