"""The gateway accepts the requests that providers accept: compressed bodies, a byte order mark, integers written as
fractions, answers without a bound, and embeddings of messages."""

import gzip
import json
import zlib
from typing import Any

import pytest

from integration.gateway import chat, run, serving
from integration.governance import bearer, governance, prices, settings, usd
from integration.wire import ask
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONG = chat(messages=[{"role": "user", "content": " ".join(str(number) for number in range(30_000))}])


@pytest.mark.parametrize("body", [chat(), LONG])
@pytest.mark.parametrize("is_marked", [False, True])
@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "deflate"])
def test_body_may_be_compressed_or_marked(encoding: str, is_marked: bool, body: dict[str, Any]) -> None:
    plain = (BYTE_ORDER_MARK if is_marked else b"") + json.dumps(body).encode()
    sent = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain) if encoding == "deflate" else plain
    headers = {**JSON, **({"content-encoding": encoding} if encoding else {})}

    async def main() -> None:
        async with serving(providers={"a": Settings()}, models={"chat": ["a/gpt-4o"]}) as gateway:
            received = await ask(gateway.base_url, "POST", CHAT, sent, headers)
            assert received.status == 200, received
            request = gateway.providers["a"].requests[-1]
            assert json.loads(request.body) == {**body, "model": "gpt-4o"}
            assert "content-encoding" not in request.headers

    run(main())


@pytest.mark.parametrize("encoding", ["zstd", "br"])
def test_unknown_encoding_is_rejected_with_a_message(encoding: str) -> None:
    async def main() -> None:
        async with serving(providers={"a": Settings()}, models={"chat": ["a/gpt-4o"]}) as gateway:
            received = await ask(gateway.base_url, "POST", CHAT, b"x", {**JSON, "content-encoding": encoding})
            assert (received.status, received.error()["code"]) == (415, "unsupported_encoding")
            assert "gzip or deflate" in str(received.error()["message"])
            headers = {"content-type": "multipart/form-data; boundary=B", "content-encoding": "gzip"}
            received = await ask(gateway.base_url, "POST", "/v1/audio/transcriptions", b"x", headers)
            assert (received.status, received.error()["code"]) == (415, "unsupported_encoding")

    run(main())


def test_compression_bomb_is_rejected_without_keeping_its_data() -> None:
    bomb = gzip.compress(b'{"model":"' + b"a" * 200_000_000)

    async def main() -> None:
        async with serving(providers={"a": Settings()}, models={"chat": ["a/gpt-4o"]}) as gateway:
            received = await ask(gateway.base_url, "POST", CHAT, bomb, {**JSON, "content-encoding": "gzip"})
            assert received.status == 400
            assert "100 times" in str(received.error()["message"])
            assert (await gateway.metrics())["pointsman_body_bytes"] == 0

    run(main())


@pytest.mark.parametrize(
    ("kind", "budget", "sent"),
    [
        ("llama-cpp", None, {"max_tokens": -1}),
        ("lm-studio", None, {"max_tokens": -1}),
        ("openai", None, {}),
        ("openai-compatible", None, {}),
        ("llama-cpp", usd(1), {"max_tokens": 700}),
        ("openai", usd(1), {"max_tokens": 700}),
    ],
)
def test_unbounded_answer_is_requested_in_each_providers_way(
    kind: str, budget: list[dict[str, Any]] | None, sent: dict[str, int]
) -> None:
    async def main() -> None:
        async with serving(
            providers={"alpha": settings()},
            provider_settings={"alpha": {"type": kind}},
            models={"chat": ["alpha/gpt-4o-mini"]},
            governance=governance({"me": {"budgets": budget or []}}),
            pricing=prices("alpha/gpt-4o-mini", output_tokens=700),
        ) as gateway:
            await gateway.ask(chat(max_tokens=-1), headers=bearer("me"))
            body = json.loads(gateway.providers["alpha"].requests[-1].body)
            assert {name: body[name] for name in body if "max" in name} == sent

    run(main())


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        (CHAT, chat(max_tokens=100.0, n=1.0, seed=7e0, temperature=0.5), {"max_tokens": 100, "n": 1, "seed": 7}),
        ("/v1/responses", {"model": "chat", "input": "x", "max_output_tokens": 100.0}, {"max_output_tokens": 100}),
        ("/v1/completions", {"model": "words", "prompt": "x", "max_tokens": 5.0, "best_of": 2.0}, {"best_of": 2}),
    ],
)
def test_integer_may_be_written_as_a_fraction(path: str, body: dict[str, Any], sent: dict[str, int]) -> None:
    async def main() -> None:
        models = {"chat": ["a/gpt-4o"], "words": ["a/gpt-3.5-turbo-instruct"]}
        async with serving(providers={"a": Settings()}, models=models) as gateway:
            received = await ask(gateway.base_url, "POST", path, json.dumps(body).encode(), JSON)
            assert received.status == 200, received
            text = gateway.providers["a"].requests[-1].body
            assert {name: json.loads(text)[name] for name in sent} == sent
            assert b"100.0" not in text

    run(main())


def test_embeddings_of_messages_reach_a_supporting_server() -> None:
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://host/x.png"}}]}]

    async def main() -> None:
        models = {"vectors": ["a/text-embedding-3-small"]}
        async with serving(providers={"a": Settings()}, models=models) as gateway:
            body = json.dumps({"model": "vectors", "messages": messages}).encode()
            await ask(gateway.base_url, "POST", "/v1/embeddings", body, JSON)  # the simulated server has them not
            assert json.loads(gateway.providers["a"].requests[-1].body)["messages"] == messages
            received = await ask(gateway.base_url, "POST", "/v1/embeddings", b'{"model":"vectors"}', JSON)
            assert (received.status, received.error()["param"]) == (400, "input")

    run(main())
