"""One model at three clouds: Claude at Anthropic, at Bedrock and at Vertex AI, in one chain and within one request. The
client is Anthropic's official SDK, which sees one answer with thinking and calls of tools."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from fakes import gemini
from fakes.anthropic import events_of
from fakes.bedrock import chunk
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.dialects import JSON, MESSAGE_START, SCHEMA, SSE, STREAMS, THOUGHTS, WORDS, ScriptedProvider, Served
from integration.gateway import Gateway, run, serving
from unit.engine.sources.test_google import account

CLAUDE = "claude-sonnet-4-5-20250929"
TARGETS = [f"anthropic/{CLAUDE}", f"bedrock/anthropic.{CLAUDE}-v1:0", "vertex/claude-sonnet-4-5@20250929"]
OVERLOADED = {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}
ANSWER = Served(STREAMS["messages"], kind=SSE)
AT_BEDROCK = Served(
    b"".join(chunk(event) for event in events_of(STREAMS["messages"])), kind=b"application/vnd.amazon.eventstream"
)
FAILS = Served(json.dumps(OVERLOADED).encode(), status=503)
BREAKS_OFF = Served(b"event: message_start\ndata: %b\n\n" % json.dumps(MESSAGE_START).encode(), kind=SSE, killed=True)
THROTTLES = Served(
    b'{"message":"Too many requests, please wait before trying again."}',
    status=429,
    lines=b"x-amzn-errortype: ThrottlingException\r\n",
)


class Clouds:
    """The three providers, in the order of the chain."""

    def __init__(self) -> None:
        self.anthropic, self.bedrock, self.vertex = (ScriptedProvider("messages") for _ in range(3))
        self.anthropic.answer, self.bedrock.answer, self.vertex.answer = FAILS, THROTTLES, ANSWER


@asynccontextmanager
async def chain(folder: Path, clouds: Clouds) -> AsyncIterator[Gateway]:
    async def tokens(peer: Peer) -> None:
        while True:
            await peer.request()
            body = b'{"access_token":"ya29.of-the-tests","expires_in":3599}'
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(serving_script(tokens))
        (folder / "account.json").write_text(account(token_uri=str(service.origin)))
        fakes = [
            await stack.enter_async_context(serving_script(one.script))
            for one in (clouds.anthropic, clouds.bedrock, clouds.vertex)
        ]
        keys = {"access_key_id": "AKIA1", "secret_access_key": "env.AWS_SECRET"}
        given = {
            "anthropic": {"base_url": f"{fakes[0].origin}/v1", "keys": {"main": "env.ANTHROPIC_KEY"}},
            "bedrock": {"base_url": str(fakes[1].origin), "keys": {"main": {"aws": keys}}, "region": "us-east-1"},
            "vertex": {
                "base_url": f"{fakes[2].origin}/v1",
                "keys": {"main": {"google": f"file:{folder / 'account.json'}"}},
                "project": "my-project",
                "region": "us-east5",
            },
        }
        settings = {name: {"type": name, **fields} for name, fields in given.items()}
        environ = {"AWS_SECRET": "s3cret-of-the-tests", "ANTHROPIC_KEY": "sk-ant-of-the-tests"}
        models = {"claude": {"targets": TARGETS, "strategy": "priority"}}
        async with serving(provider_settings=settings, models=models, environ=environ, is_alone=False) as gateway:
            yield gateway
        await service.stop()


def request() -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": "Both cities.", "signature": "EqQBCgIYAhIM-signed"}
    called = {"type": "tool_use", "id": "toolu_x", "name": "get_weather", "input": {"city": "x"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_x", "content": "rain"}
    return {
        "model": "claude",
        "max_tokens": 8000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "get_weather", "description": "The weather", "input_schema": SCHEMA}],
        "messages": [
            {"role": "user", "content": "Weather in x?"},
            {"role": "assistant", "content": [thought, called]},
            {"role": "user", "content": [result, {"type": "text", "text": "And in Oslo and Rome?"}]},
        ],
    }


@pytest.mark.parametrize(
    ("first", "second", "outcomes"),
    [
        (FAILS, THROTTLES, ["upstream_error", "upstream_rate_limited", "ok"]),
        (BREAKS_OFF, THROTTLES, ["connection_lost", "upstream_rate_limited", "ok"]),
        (BREAKS_OFF, AT_BEDROCK, ["connection_lost", "ok"]),
        (ANSWER, THROTTLES, ["ok"]),
    ],
    ids=["status", "break", "bedrock", "first"],
)
def test_claude_fails_over_within_one_request(
    tmp_path: Path, first: Served, second: Served, outcomes: list[str]
) -> None:
    clouds = Clouds()
    clouds.anthropic.answer, clouds.bedrock.answer = first, second

    async def main() -> None:
        async with chain(tmp_path, clouds) as gateway:
            root = gateway.base_url.removesuffix("/v1")
            async with AsyncAnthropic(base_url=root, api_key="none", max_retries=0) as client:
                async with client.messages.stream(**request()) as events:
                    message = await events.get_final_message()
                assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
                thinking, said, *calls = message.content
                assert (thinking.thinking, said.text) == ("".join(THOUGHTS), "".join(WORDS))  # type: ignore[union-attr]
                assert thinking.signature  # type: ignore[union-attr]
                assert [one.input for one in calls] == [{"city": "Oslo"}, {"city": "Rome"}]  # type: ignore[union-attr]
                assert message.stop_reason == "tool_use"
            (record,) = await gateway.wait_for_records(1)
            assert [one["outcome"] for one in record["attempts"]] == outcomes
            names = ["anthropic", "bedrock", "vertex"][: len(outcomes)]
            assert [one["provider"] for one in record["attempts"]] == names
            assert record["cost_nano"] > 0
        used = [clouds.anthropic, clouds.bedrock, clouds.vertex][: len(outcomes)]
        for provider in used:
            assert len(provider.requests) == 1
            sent = provider.last_body
            assert {name: sent[name] for name in ("thinking", "tools", "messages")} == {
                name: request()[name] for name in ("thinking", "tools", "messages")
            }, "no cloud loses a part of the request"
        if len(used) > 1:
            assert clouds.bedrock.last_head.startswith(f"post /model/anthropic.{CLAUDE}-v1%3a0/invoke-with-response-s")
            assert "credential=akia1/" in clouds.bedrock.last_head
        if len(used) > 2:
            assert "claude-sonnet-4-5@20250929:streamrawpredict " in clouds.vertex.last_head
            assert "authorization: bearer ya29.of-the-tests" in clouds.vertex.last_head

    run(main())


@pytest.mark.parametrize("fault", ["status", "break"])
def test_gpt_fails_over_to_gemini(fault: str) -> None:
    openai, google = ScriptedProvider("chat"), ScriptedProvider("chat")
    begun = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.1", "choices": []}
    openai.answer = (
        Served(b'{"error":{"message":"The server is overloaded","type":"server_error"}}', status=503, kind=JSON)
        if fault == "status"
        else Served(b"data: %b\n\n" % json.dumps(begun).encode(), kind=SSE, killed=True)
    )
    used = {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}
    parts = [gemini.answer(gemini.text(one)) for one in ("from ", "Gemini")]
    last = gemini.answer(gemini.text("."), finish="STOP", usageMetadata=used)
    google.answer = Served(gemini.stream_of(*parts, last), kind=SSE)

    async def main() -> None:
        async with serving_script(openai.script) as first, serving_script(google.script) as second:
            given = {
                "openai": {"type": "openai", "base_url": f"{first.origin}/v1"},
                "gemini": {"type": "gemini", "base_url": f"{second.origin}/v1beta"},
            }
            models = {"chat": {"targets": ["openai/gpt-5.1", "gemini/gemini-2.5-flash"], "strategy": "priority"}}
            async with serving(provider_settings=given, models=models, is_alone=False) as gateway:
                async with AsyncOpenAI(base_url=gateway.base_url, api_key="none", max_retries=0) as client:
                    stream = await client.chat.completions.create(
                        model="chat", messages=[{"role": "user", "content": "hi"}], stream=True
                    )
                    said = [piece.choices[0].delta.content or "" async for piece in stream if piece.choices]
                assert "".join(said) == "from Gemini."
                (record,) = await gateway.wait_for_records(1)
                assert [one["provider"] for one in record["attempts"]] == ["openai", "gemini"]

    run(main())
