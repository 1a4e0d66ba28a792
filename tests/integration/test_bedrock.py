"""Clients of every dialect before a Bedrock that checks signatures: loops with tools, costs, SDKs, and failover."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.bedrock import answer, call, chunk, stream_of, text, thought
from fakes.bedrock_server import ACCESS_KEY, API_KEY, REGION, SECRET_KEY, BedrockServer
from fakes.origin import serving as serving_script
from integration.dialects import (
    DIALECTS,
    PATHS,
    STREAMS,
    THOUGHTS,
    TOLD,
    Dialect,
    ScriptedProvider,
    Served,
    messages_answer,
    sdks,
)
from integration.gateway import Gateway, run, serving
from integration.governance import bearer, governance, prices
from integration.loops import begin, read, resume
from pointsman.wire.sse import event_data, split_events

NOVA, CLAUDE = "eu.amazon.nova-pro-v1:0", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
BOUND = {"chat": "max_completion_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}
ENVIRON = {"AWS_ID": ACCESS_KEY, "AWS_SECRET": SECRET_KEY, "AWS_BEARER_TOKEN_BEDROCK": API_KEY}
SIGNED = {"aws": {"access_key_id": "env.AWS_ID", "secret_access_key": "env.AWS_SECRET"}}
USAGE = {"inputTokens": 600, "outputTokens": 30, "totalTokens": 1_030, "cacheReadInputTokens": 400}
BLOCKS = (text("I look both up \u00fc."), call("get_weather", "t1", city="Oslo"), call("get_time", "t2", city="Oslo"))
# 600 and 400 tokens of the prompt, and 30 of the answer, at the prices of `governance.prices`.
COST_NANO = 600 * 150 + 400 * 75 + 30 * 600
CHUNKS = b"".join(chunk(data) for event in split_events(STREAMS["messages"]) if (data := event_data(event)))


def answers(*blocks: dict[str, Any], stop: str = "end_turn") -> dict[str, bytes]:
    """Return an answer of each operation."""
    return {
        "converse": json.dumps(answer(*blocks, stop=stop, usage=USAGE)).encode(),
        "converse-stream": stream_of(*blocks, stop=stop, usage=USAGE),
        "invoke": messages_answer("Rain."),
        "invoke-with-response-stream": CHUNKS,
    }


def bound(ours: Dialect) -> dict[str, Any]:
    """Return the field that bounds an answer."""
    return {BOUND[ours]: 900}


@asynccontextmanager
async def bedrock(
    model: str = NOVA, key: Any = SIGNED, **sections: Any
) -> AsyncIterator[tuple[Gateway, BedrockServer]]:
    """Run a gateway in front of a Bedrock, which serves the model `chat`."""
    server = BedrockServer(answers(*BLOCKS, stop="tool_use"))
    async with serving_script(server.script) as fake:
        given = {"aws": {"type": "bedrock", "region": REGION, "base_url": str(fake.origin), "keys": {"k": key}}}
        given |= sections.pop("others", {})
        sections = {"models": {"chat": [f"aws/{model}"]}, "pricing": prices(f"aws/{model}"), **sections}
        async with serving(provider_settings=given, is_alone=False, environ=ENVIRON, **sections) as gateway:
            yield gateway, server


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ours", DIALECTS)
def test_loop_with_tools(ours: Dialect, stream: bool) -> None:
    async def main() -> None:
        async with bedrock() as (gateway, server):
            how = {"path": f"/v1{PATHS[ours]}"}
            body = begin(ours, stream=stream, **bound(ours))
            reply = read(ours, await gateway.ask(body, **how))
            assert reply.text == "I look both up \u00fc."
            assert [name for _, name in reply.calls] == ["get_weather", "get_time"]
            assert (reply.tokens_in, reply.tokens_out) == (1_000, 30)
            server.answers = answers(text("Rain."))
            assert read(ours, await gateway.ask(resume(ours, body, reply), **how)).text == "Rain."
            assert server.paths == [f"/model/{NOVA}/converse{'-stream' if stream else ''}"] * 2
            assert server.bodies[0]["inferenceConfig"] == {"maxTokens": 900}
            _, model, results = server.bodies[1]["messages"]
            made = [one["toolUse"] for one in model["content"] if "toolUse" in one]
            assert [one["input"] for one in made] == [{"city": "Oslo"}] * 2
            assert [one["toolResult"]["toolUseId"] for one in results["content"]] == [one["toolUseId"] for one in made]
            returned = [one["toolResult"]["content"] for one in results["content"]]
            assert returned == [[{"text": f"result of {name}"}] for name in ("get_weather", "get_time")]
            for record in await gateway.wait_for_records(2):
                assert record["cost_nano"] == COST_NANO

    run(main())


@pytest.mark.parametrize(("model", "key"), [(NOVA, "env.AWS_BEARER_TOKEN_BEDROCK"), (CLAUDE, SIGNED)])
@pytest.mark.parametrize("ours", DIALECTS)
def test_official_sdks_read_an_answer_and_a_stream(ours: Dialect, model: str, key: Any) -> None:
    async def main() -> None:
        async with bedrock(model, key) as (gateway, server), sdks(gateway) as client:
            calls = [call(name, f"t{n}", **arguments) for n, (name, arguments) in enumerate(TOLD.calls)]
            server.answers |= {
                "converse-stream": stream_of(thought("".join(THOUGHTS)), text(TOLD.text), *calls, stop="tool_use")
            }
            assert await client.stream(ours) == TOLD
            server.answers |= {"converse": answers(text("Rain."))["converse"]}
            assert await client.whole(ours) == "Rain."
            assert len(server.paths) == 2

    run(main())


@pytest.mark.parametrize("key", [{"aws": {**SIGNED["aws"], "secret_access_key": "env.AWS_ID"}}, "env.AWS_SECRET"])
def test_wrong_credential_is_the_fault_of_the_key(key: Any) -> None:
    async def main() -> None:
        async with bedrock(key=key) as (gateway, server):
            answered = await gateway.ask(begin("chat", stream=False))
            assert answered.status >= 400
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["outcome"] == "upstream_credential_rejected"
            assert not server.paths

    run(main())


FAILED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_moves_from_anthropic_to_bedrock(stream: bool) -> None:
    async def main() -> None:
        first = ScriptedProvider("messages")
        async with serving_script(first.script) as fake:
            others = {"first": {"type": "anthropic", "base_url": f"{fake.origin}/v1"}}
            models = {"chat": ["first/claude-sonnet-4-5", f"aws/{CLAUDE}"]}
            async with bedrock(CLAUDE, others=others, models=models) as (gateway, server):
                first.answer = Served(json.dumps(FAILED).encode(), status=529)
                proof = {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"}
                used = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
                result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
                cached = {**result, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
                messages = [
                    {"role": "user", "content": "Weather?"},
                    {"role": "assistant", "content": [proof, used]},
                    {"role": "user", "content": [cached]},
                ]
                thinking = {"type": "enabled", "budget_tokens": 2_000}
                body = begin("messages", stream=stream, max_tokens=9_000, thinking=thinking, messages=messages)
                body["messages"] = messages
                beta = "interleaved-thinking-2025-05-14,claude-code-20250219"
                sent = await gateway.ask(body, path="/v1/messages", headers={"anthropic-beta": beta})
                assert (sent.status, sent.headers["x-pointsman-provider"]) == (200, "aws")
                assert sent.headers["x-pointsman-dropped"] == "anthropic-beta"
                (given,) = server.bodies
                assert (given["messages"], given["thinking"], given["max_tokens"]) == (messages, thinking, 9_000)
                assert given["anthropic_version"] == "bedrock-2023-05-31"
                assert given["anthropic_beta"] == ["interleaved-thinking-2025-05-14"]
                assert not {"model", "stream"} & set(given)
                if stream:
                    assert b'"signature":"c2lnbmVk"' in sent.body.replace(b": ", b":")
                (record,) = await gateway.wait_for_records(1)
                assert [one["outcome"] for one in record["attempts"]] == ["upstream_overloaded", "ok"]
                assert (record["attempts"][1]["tokens_in"], record["attempts"][1]["tokens_out"]) == (20, 30)

    run(main())


@pytest.mark.parametrize("ours", DIALECTS)
def test_limit_of_bedrock_is_an_error_in_the_shape_of_the_client(ours: Dialect) -> None:
    async def main() -> None:
        async with bedrock() as (gateway, server):
            server.error = (429, "ThrottlingException", "Too many tokens, please wait before trying again.")
            sent = await gateway.ask(begin(ours, stream=False, **bound(ours)), path=f"/v1{PATHS[ours]}")
            assert sent.status == 429
            assert "__type" not in sent.json["error"]
            (record,) = await gateway.wait_for_records(1)
            assert {one["outcome"] for one in record["attempts"]} == {"upstream_rate_limited"}

    run(main())


OWN_ARN = f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/abcdefghij12"
FAR_ARN = "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-pro-v1:0"


@pytest.mark.parametrize(
    ("model", "is_served"),
    [
        (NOVA, True),
        ("near", True),
        ("far", False),
        ("profiled", False),
        ("vouched", True),
        (f"aws/{OWN_ARN}", False),
        (f"bedrock/{FAR_ARN}", False),
        (f"aws/arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-pro-v1:0", True),
    ],
)
def test_requirement_of_a_region_holds_for_arns(model: str, is_served: bool) -> None:
    names = {"near": NOVA, "far": FAR_ARN, "profiled": OWN_ARN, "vouched": OWN_ARN}
    key = {**SIGNED, "deployments": {f"my-{name}": sent for name, sent in names.items()}}
    models: dict[str, Any] = {name: [f"aws/my-{name}"] for name in names}
    models["vouched"] = [{"model": "aws/my-vouched", "tags": {"region": "eu"}}]

    async def main() -> None:
        server = BedrockServer(answers(*BLOCKS))
        async with serving_script(server.script) as fake:
            given = {"type": "bedrock", "region": REGION, "base_url": str(fake.origin), "keys": {"k": key}}
            async with serving(
                provider_settings={"aws": {**given, "tags": {"region": "eu"}}},
                models=models,
                governance=governance({"ours": {"require": {"region": ["eu"]}}}),
                is_alone=False,
                environ=ENVIRON,
            ) as gateway:
                body = begin("chat", stream=False, **bound("chat"))
                answered = await gateway.ask({**body, "model": model}, headers=bearer("ours"))
                assert (answered.status, len(server.paths)) == ((200, 1) if is_served else (403, 0)), answered

    run(main())
