"""SIGTERM: requests in progress end well, no new ones begin, and a second signal does not wait."""

import asyncio
import contextlib
import json
import signal
from time import monotonic

import openai
import pytest
from openai import AsyncOpenAI

from fakes.clock import PATIENCE_S
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from fakes.simulated import finish_answers
from integration.gateway import Gateway, run, serving, until
from integration.wire import CutOff, Wire, ask, chat, connect, deltas, request
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
MODELS = {"chat": ["a/sim-1"]}
STREAMS = 200
HOUR_MS = 3_600_000.0  # between tokens: streams pause until the test lets them continue


async def _stream(gateway: Gateway, begun: asyncio.Semaphore, tokens: int) -> bytes:
    """Read one whole stream. `begun` is released at its first piece. Raise `CutOff`."""
    async with connect(gateway.base_url) as wire:
        wire.write(request("POST", CHAT, chat(stream=True, max_tokens=tokens)))
        received = await wire.head()
        assert received.status == 200
        body = b""
        async for piece in wire.pieces(received):
            if not body:
                begun.release()
            body += piece
        return body


async def _all_begun(begun: asyncio.Semaphore, count: int) -> None:
    for _ in range(count):
        await begun.acquire()


def _provider(gap_ms: float) -> Settings:
    return Settings(models=("sim-1",), text="numbered", output_tokens="max_tokens", token_gap_ms=gap_ms)


def test_open_streams_finish_and_nothing_new_begins() -> None:
    tokens = 40

    async def main() -> None:
        server = {"drain_s": 2 * PATIENCE_S}
        async with serving(
            providers={"a": _provider(HOUR_MS)}, models=MODELS, server=server, as_process=True
        ) as gateway:
            process = gateway.process
            assert process is not None
            begun = asyncio.Semaphore(0)
            streams = [asyncio.create_task(_stream(gateway, begun, tokens)) for _ in range(STREAMS)]
            async with connect(gateway.base_url) as idle, connect(gateway.base_url) as fresh:
                assert (await idle.ask("GET", "/readyz")).status == 200
                await _all_begun(begun, STREAMS)
                process.send_signal(signal.SIGTERM)
                await until(lambda: "draining" in "".join(gateway.stderr), "the gateway drains")
                assert await idle.is_closed(), "the idle connection is still open"
                await _gets_nothing_new(fresh)
                refused = asyncio.create_task(_is_refused(gateway))
            await asyncio.sleep(0.2)  # meanwhile no listener may accept the connection
            assert not any(stream.done() for stream in streams)
            finish_answers(gateway.providers["a"])
            bodies = await asyncio.gather(*streams)
            for body in bodies:
                assert deltas(body) == [f" {number}" for number in range(tokens)]
                assert body.endswith(b"data: [DONE]\n\n")
            assert await refused
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 0
            assert not any("cut off" in line for line in gateway.stderr)
            assert sum(record["status"] == 200 for record in gateway.records) == STREAMS
            assert len(gateway.providers["a"].bill.entries) == STREAMS

    run(main())


async def _gets_nothing_new(wire: Wire) -> None:
    """An old connection may be closed, or get the answer that the gateway is not ready."""
    with contextlib.suppress(CutOff, OSError):
        assert (await wire.ask("GET", "/readyz")).status == 503


async def _is_refused(gateway: Gateway) -> bool:
    try:
        return (await ask(gateway.base_url, "GET", "/readyz")).status == 503
    except (CutOff, OSError):
        return True


def test_request_in_progress_during_the_drain_is_answered() -> None:
    """Whole requests wait for their answers when the signal arrives."""

    async def main() -> None:
        settings = Settings(models=("sim-1",), first_token_ms=1000)
        async with serving(providers={"a": settings}, models=MODELS, as_process=True) as gateway:
            process = gateway.process
            assert process is not None
            requests = [asyncio.create_task(ask(gateway.base_url, "POST", CHAT, chat())) for _ in range(20)]
            await until(
                lambda: len(gateway.providers["a"].bill.entries) == 20, "all requests have reached the provider"
            )
            process.send_signal(signal.SIGTERM)
            for received in await asyncio.gather(*requests):
                assert received.status == 200
                assert received.headers["connection"] == "close"
            async with asyncio.timeout(PATIENCE_S):
                assert await process.wait() == 0

    run(main())


async def _cut_streams(gateway: Gateway, signals: int) -> None:
    """Open streams that would take minutes, and waiting requests. Send the signals, and check that each ends with the
    reason and is incomplete."""
    process = gateway.process
    assert process is not None
    begun = asyncio.Semaphore(0)
    streams = [asyncio.create_task(_stream(gateway, begun, 10_000)) for _ in range(20)]
    await _all_begun(begun, 20)
    waiting = [asyncio.create_task(ask(gateway.base_url, "POST", CHAT, chat(max_tokens=10_000))) for _ in range(5)]
    await until(lambda: len(gateway.providers["a"].bill.entries) == 25, "all requests have reached the provider")
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        await until(lambda: "draining" in "".join(gateway.stderr), "the gateway drains")
    for body in await asyncio.gather(*streams):
        assert b"[DONE]" not in body, "a cut stream looks complete"
        *_, last = body.removesuffix(b"\n\n").split(b"\n\n")
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "shutting_down"
    for answer in await asyncio.gather(*waiting):
        assert answer.status == 503
        assert answer.error()["code"] == "shutting_down"
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
    async with asyncio.timeout(PATIENCE_S):
        assert await process.wait() == 0
    assert any("25 requests were cut off" in line for line in gateway.stderr), gateway.stderr
    gateway.stderr.clear()
    entries = gateway.providers["a"].bill.entries
    await until(
        lambda: [entry.outcome for entry in entries] == ["cancelled"] * 25,
        "the provider has detected the end of all streams",
    )
    assert sorted((one["status"], one["code"]) for one in gateway.records) == sorted(
        [(200, "shutting_down")] * 20 + [(503, "shutting_down")] * 5
    )
    charged = [(one["attempts"][0]["outcome"], one["attempts"][0]["usage_source"]) for one in gateway.records]
    assert sorted(charged) == [("shutting_down", "estimated")] * 25


def test_response_stream_that_outlasts_the_drain_ends_in_its_own_format() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        delta = b'data: {"type":"response.output_text.delta","delta":"x","sequence_number":4}\n\n'
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + delta)
        await peer.wait_closed()

    async def main() -> None:
        async with serving_script(script) as fake:
            given = {"a": {"base_url": f"{fake.origin}/v1"}}
            server = {"drain_s": 1}
            async with serving(provider_settings=given, server=server, as_process=True) as gateway:
                assert gateway.process is not None
                async with AsyncOpenAI(base_url=gateway.base_url, api_key="unused", max_retries=0) as sdk:
                    stream = await sdk.responses.create(model="a/m", input="x", stream=True, store=False)
                    assert (await anext(stream)).type == "response.output_text.delta"
                    gateway.process.send_signal(signal.SIGTERM)
                    with pytest.raises(openai.APIError) as caught:
                        async for _ in stream:
                            pass
                assert caught.value.code == "shutting_down"
                async with asyncio.timeout(PATIENCE_S):
                    assert await gateway.process.wait() == 0
                gateway.stderr.clear()
            await fake.stop()

    run(main())


def test_second_signal_ends_open_requests_with_an_error() -> None:
    async def main() -> None:
        server = {"drain_s": 2 * PATIENCE_S}
        async with serving(providers={"a": _provider(20)}, models=MODELS, server=server, as_process=True) as gateway:
            started_at = monotonic()
            await _cut_streams(gateway, 2)
            assert monotonic() - started_at < PATIENCE_S

    run(main())


def test_requests_that_outlast_the_drain_end_with_an_error() -> None:
    async def main() -> None:
        server = {"drain_s": 1}
        async with serving(providers={"a": _provider(20)}, models=MODELS, server=server, as_process=True) as gateway:
            await _cut_streams(gateway, 1)

    run(main())
