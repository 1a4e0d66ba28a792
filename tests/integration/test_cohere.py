"""Clients of every dialect before a scripted Cohere: loops with tools, exact costs, and embeddings."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.cohere import begin, block, called, end, event, stream_of
from fakes.origin import serving as serving_script
from integration.dialects import DIALECTS, JSON, PATHS, SSE, Dialect, ScriptedProvider, Served
from integration.gateway import Gateway, run, serving
from integration.governance import prices
from integration.loops import begin as begun
from integration.loops import read, resume

MODEL = "command-a-03-2025"
BOUND = {"chat": "max_completion_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}
# 12 and 8 tokens of the prompt, and 30 of the answer, at the prices of `governance.prices`.
COST_NANO = 12 * 150 + 8 * 75 + 30 * 600


def bound(ours: Dialect) -> dict[str, Any]:
    """Return the field that bounds an answer."""
    return {BOUND[ours]: 900}


@asynccontextmanager
async def cohere(**sections: Any) -> AsyncIterator[tuple[Gateway, ScriptedProvider]]:
    """Run a gateway in front of a scripted Cohere, which serves the models `chat` and `vectors`."""
    provider = ScriptedProvider("chat")
    async with serving_script(provider.script) as fake:
        given = {"cohere": {"type": "cohere", "base_url": str(fake.origin)}}
        models = {"chat": [f"cohere/{MODEL}"], "vectors": ["cohere/embed-v4.0"]}
        sections = {"models": models, "pricing": prices(f"cohere/{MODEL}"), **sections}
        async with serving(provider_settings=given, is_alone=False, **sections) as gateway:
            yield gateway, provider


@pytest.mark.parametrize("ours", DIALECTS)
def test_streamed_loop_with_tools_returns_the_plan(ours: Dialect) -> None:
    async def main() -> None:
        async with cohere() as (gateway, provider):
            how = {"path": f"/v1{PATHS[ours]}"}
            body = begun(ours, stream=True, **bound(ours))
            plan = event("tool-plan-delta", tool_plan="I look \u00fc up.")
            calls = [*called(0, "c1", "get_weather", '{"city":"Oslo"}'), *called(1, "c2", "get_time")]
            provider.answer = Served(stream_of(begin(), plan, *calls, end("TOOL_CALL")), kind=SSE)
            reply = read(ours, await gateway.ask(body, **how))
            assert (reply.text, [name for _, name in reply.calls]) == ("I look \u00fc up.", ["get_weather", "get_time"])
            assert (reply.tokens_in, reply.tokens_out) == (20, 30)
            assert "post /v2/chat " in provider.last_head
            assert (provider.last_body["stream"], provider.last_body["max_tokens"]) == (True, 900)

            provider.answer = Served(stream_of(begin(), *block(0, "text", "Rain", "."), end()), kind=SSE)
            assert read(ours, await gateway.ask(resume(ours, body, reply), **how)).text == "Rain."
            _, model, *results = provider.last_body["messages"]
            assert model["tool_plan"] == "I look \u00fc up."
            assert [json.loads(one["function"]["arguments"]) for one in model["tool_calls"]] == [{"city": "Oslo"}, {}]
            assert results == [
                {"role": "tool", "tool_call_id": one, "content": f"result of {name}"} for one, name in reply.calls
            ]
            records = await gateway.wait_for_records(2)
            assert {record["cost_nano"] for record in records} == {COST_NANO}

    run(main())


def test_embeddings_and_inputs_that_cannot_be_sent() -> None:
    async def main() -> None:
        async with cohere() as (gateway, provider):
            made = {"embeddings": {"float": [[1.0]]}, "meta": {"billed_units": {"input_tokens": 4.0}}}
            provider.answer = Served(json.dumps(made).encode(), kind=JSON)
            body = {"model": "vectors", "input": "a", "encoding_format": "base64", "user": "u"}
            answered = await gateway.ask(body, path="/v1/embeddings")
            assert answered.json["data"] == [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}]
            assert answered.json["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
            assert answered.headers["x-pointsman-dropped"] == "user"
            assert provider.last_body["embedding_types"] == ["float"]
            refused = await gateway.ask({"model": "vectors", "input": [1, 2]}, path="/v1/embeddings")
            assert refused.status == 400
            assert "cannot express an input that is not text" in refused.json["error"]["message"]
            assert len(provider.requests) == 1

    run(main())


@pytest.mark.parametrize("model", ["ranker", "cohere/rerank-v3.5", "rerank-v3.5"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_documents_are_ranked(model: str, version: str) -> None:
    async def main() -> None:
        async with cohere(models={"ranker": ["cohere/rerank-v3.5"]}, pricing={}) as (gateway, provider):
            ranked = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
            made = {"id": "r", "results": ranked, "meta": {"billed_units": {"search_units": 1}}}
            provider.answer = Served(json.dumps(made).encode(), kind=JSON)
            body = {"model": model, "query": "trains", "documents": ["a ship", "a train"], "return_documents": True}
            answered = await gateway.ask(body, path=f"/{version}/rerank")
            assert answered.status == 200, answered
            assert [one["document"]["text"] for one in answered.json["results"]] == ["a train", "a ship"]
            assert "post /v2/rerank " in provider.last_head
            assert provider.last_body == {"model": "rerank-v3.5", "query": "trains", "documents": body["documents"]}
            (record,) = await gateway.wait_for_records(1)
            assert record["cost_nano"] == 2_000_000

    run(main())


def test_ranking_fails_over_to_cohere() -> None:
    async def main() -> None:
        provider, other = ScriptedProvider("chat"), ScriptedProvider("chat")
        provider.answer = Served(b'{"id":"r","results":[{"index":0,"relevance_score":0.9}]}', kind=JSON)
        other.answer = Served(b'{"detail":"down"}', status=503)
        async with serving_script(provider.script) as fake, serving_script(other.script) as down:
            given = {
                "voyage": {"type": "voyage", "base_url": str(down.origin)},
                "cohere": {"type": "cohere", "base_url": str(fake.origin)},
            }
            models = {"ranker": ["voyage/rerank-2.5", "cohere/rerank-v3.5"]}
            async with serving(provider_settings=given, models=models, is_alone=False) as gateway:
                answered = await gateway.ask({"model": "ranker", "query": "x", "documents": ["a"]}, path="/v1/rerank")
                assert answered.status == 200, answered
                assert (bool(other.requests), provider.last_body["model"]) == (True, "rerank-v3.5")

    run(main())


def test_embeddings_at_a_provider_of_another_dialect_of_chats() -> None:
    async def main() -> None:
        provider = ScriptedProvider("responses")
        made = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0]}],"model":"pplx-embed"}'
        provider.answer = Served(made, kind=JSON)
        async with serving_script(provider.script) as fake:
            given = {"perplexity": {"type": "perplexity", "base_url": str(fake.origin)}}
            async with serving(provider_settings=given, is_alone=False) as gateway:
                answered = await gateway.ask({"model": "perplexity/pplx-embed", "input": "a"}, path="/v1/embeddings")
                assert answered.status == 200, answered
                assert "post /embeddings " in provider.last_head

    run(main())


def test_error_has_the_shape_of_the_client() -> None:
    async def main() -> None:
        async with cohere() as (gateway, provider):
            provider.answer = Served(b'{"message":"invalid request: no"}', status=400)
            answered = await gateway.ask(begun("messages", stream=False, max_tokens=9), path="/v1/messages")
            assert (answered.status, answered.json["type"]) == (400, "error")
            assert "invalid request: no" in answered.json["error"]["message"]

    run(main())
