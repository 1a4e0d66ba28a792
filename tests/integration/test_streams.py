"""Streams: every chunk once and in order, with little memory, at the client's pace, and never ended silently."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import cast

import msgspec
import pytest
import uvloop

from integration.gateway import Gateway, run, serving, until
from integration.wire import chat, connect, deltas, request
from pointsman.simulate import Settings

CHAT = "/v1/chat/completions"
MODELS = {"chat": ["a/sim-1"]}
MIB = 1 << 20
KIB_PER_STREAM = 100


@contextlib.asynccontextmanager
async def _provider_process(settings: Settings) -> AsyncIterator[str]:
    """Start a simulated provider as a process; return its base URL."""
    arguments = ("-m", "pointsman.simulate", "--settings", msgspec.json.encode(settings).decode())
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


def _rss_kib(process: int) -> int:
    """Return the memory of a process."""
    text = Path(f"/proc/{process}/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def _numbers(url: str, tokens: int) -> str:
    """Read one stream of numbered text; return its fault, if any."""
    expected = 0
    async with connect(url) as wire:
        wire.write(request("POST", CHAT, chat(stream=True, max_tokens=tokens)))
        received = await wire.head()
        if received.status != 200:
            return f"status {received.status}"
        rest, has_ended = b"", False
        async for piece in wire.pieces(received):
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                if event == b"data: [DONE]":
                    has_ended = True
                    continue
                content = event.partition(b'"content":"')[2].partition(b'"')[0]
                if content:
                    if content != b" %d" % expected:
                        return f"{content!r} came in the place of {expected}"
                    expected += 1
    return "" if has_ended and expected == tokens and not rest else f"ended at {expected}, {rest!r}"


async def _many(count: int, duration_s: float, gap_ms: float) -> None:
    """Run `count` streams at once, each of `duration_s`; report and bound the memory of the gateway."""
    tokens = int(duration_s * 1000 / gap_ms)
    settings = Settings(
        models=("sim-1",), text="numbered", output_tokens="max_tokens", token_gap_ms=gap_ms, kept_requests=1
    )
    async with _provider_process(settings) as base_url:
        given = {"a": {"base_url": base_url}}
        async with serving(models=MODELS, provider_settings=given, as_process=True) as gateway:
            assert gateway.process is not None
            pid = gateway.process.pid
            await _numbers(gateway.base_url, 1)  # excludes imports and caches of the first request
            idle = most = _rss_kib(pid)
            started_at = monotonic()
            streams = [asyncio.create_task(_numbers(gateway.base_url, tokens)) for _ in range(count)]
            while not all(stream.done() for stream in streams):
                most = max(most, _rss_kib(pid))
                await asyncio.wait(streams, timeout=0.1, return_when=asyncio.ALL_COMPLETED)
            took_s = monotonic() - started_at
            wrong = [result for result in await asyncio.gather(*streams) if result]
            assert not wrong, (len(wrong), wrong[:5])
            each = (most - idle) / count
            print(
                f"{count} streams of {tokens} tokens in {took_s:.1f} s: {most - idle} KiB above {idle} KiB idle, "
                f"{each:.1f} KiB each"
            )
            assert each <= KIB_PER_STREAM


def test_simultaneous_streams_are_complete() -> None:
    run(_many(200, 3, 50))


@pytest.mark.slow
def test_thousand_simultaneous_streams_are_complete() -> None:
    run(_many(1000, 60, 250))


def _fast(tokens: int) -> Settings:
    return Settings(models=("sim-1",), text="numbered", output_tokens=float(tokens))


@pytest.mark.parametrize("stream", [True, False])
def test_slow_client_gets_all_data_and_delays_no_other(stream: bool) -> None:
    """The client reads nothing for longer than the stall limit, then everything."""
    tokens = 60_000  # some 14 MB of events

    async def main() -> None:
        async with _provider_process(_fast(tokens)) as base_url:
            given, timeouts = {"a": {"base_url": base_url}}, {"timeouts": {"stall_s": 1.0}}
            async with (
                serving(models=MODELS, provider_settings=given, routing=timeouts, as_process=True) as gateway,
                connect(gateway.base_url, receive_buffer=16384) as wire,
            ):
                assert gateway.process is not None
                await _numbers(gateway.base_url, 1)
                idle = _rss_kib(gateway.process.pid)
                wire.write(request("POST", CHAT, chat(stream=stream)))
                received = await wire.head()
                most = 0
                for _ in range(15):
                    most = max(most, _rss_kib(gateway.process.pid))
                    await asyncio.sleep(0.1)
                body = bytearray()
                async for piece in wire.pieces(received):
                    body += piece
                if stream:
                    assert deltas(bytes(body)) == [f" {number}" for number in range(tokens)]
                    assert most - idle < 8 * 1024, f"{most - idle} KiB held for one slow client"
                else:
                    answer = msgspec.json.decode(body)
                    assert answer["choices"][0]["message"]["content"].endswith(f" {tokens - 1}")
                record = (await gateway.wait_for_records(2))[-1]
                assert (record["status"], record.get("code")) == (200, None)
                assert record["attempts"][0]["outcome"] == "ok"

    run(main())


def test_client_that_reads_in_small_portions_gets_all_data() -> None:
    """The client reads a little at a time, with pauses longer than the stall limit."""
    tokens = 40_000  # more than the kernel buffers

    async def main() -> None:
        async with (
            serving(providers={"a": _fast(tokens)}, models=MODELS, routing={"timeouts": {"stall_s": 0.5}}) as gateway,
            connect(gateway.base_url, receive_buffer=4096) as wire,
        ):
            wire.write(request("POST", CHAT, chat(stream=True)))
            received = await wire.head()
            body, pauses = bytearray(), 0
            async for piece in wire.pieces(received):
                body += piece
                if len(body) // (2 * MIB) > pauses:
                    pauses += 1
                    await asyncio.sleep(0.6)
            assert pauses >= 3
            assert deltas(bytes(body)) == [f" {number}" for number in range(tokens)]
            assert (await gateway.wait_for_records(1))[0]["attempts"][0]["outcome"] == "ok"

    run(main())


def test_client_that_reads_nothing_is_disconnected() -> None:
    async def main() -> None:
        limits = {"limits": {"timeouts": {"write_s": 0.5}}}
        async with serving(providers={"a": _fast(60_000)}, models=MODELS, server=limits) as gateway:
            async with connect(gateway.base_url, receive_buffer=4096) as wire:
                wire.write(request("POST", CHAT, chat(stream=True)))
                await wire.head()
                cast("asyncio.Transport", wire.writer.transport).pause_reading()
                bill = gateway.providers["a"].bill
                await until(lambda: bill.entries[0].outcome == "cancelled", "the provider's stream is cancelled")
            record = (await gateway.wait_for_records(1))[0]
            assert record["code"] == "client_disconnected"
            assert not gateway.live.conditions, "a slow client counted as a failure of the provider"

    run(main())


@pytest.mark.parametrize("fault", ["hang_mid_stream=5", "slow_tokens=30000"])
def test_provider_that_stalls_ends_the_stream_with_an_error(fault: str) -> None:
    async def main() -> None:
        timeouts = {"timeouts": {"stall_s": 0.5}}
        two = {"a": _fast(50), "b": _fast(50)}
        async with serving(providers=two, models={"chat": ["a/sim-1", "b/sim-1"]}, routing=timeouts) as gateway:
            gateway.providers["a"].set_fault(fault)
            started_at = monotonic()
            async with connect(gateway.base_url) as wire:
                received = await wire.ask("POST", CHAT, chat(stream=True))
            took_s = monotonic() - started_at
            assert 0.4 < took_s < 20
            *_, last, end = received.body.split(b"\n\n")
            assert end == b""
            assert last.startswith(b"data: {")
            error = msgspec.json.decode(last[6:])["error"]
            assert (error["code"], error["type"]) == ("stream_stalled", "server_error")
            assert b"[DONE]" not in received.body
            assert not gateway.providers["b"].bill.entries, "a stream that had begun was continued by another provider"
            record = (await gateway.wait_for_records(1))[0]
            assert record["code"] == "stream_stalled"
            assert record["attempts"][0]["outcome"] == "stream_stalled"

    run(main())


def test_stream_ends_at_its_limit_with_an_error() -> None:
    async def main() -> None:
        timeouts = {"timeouts": {"stall_s": 5, "stream_s": 0.5}}
        settings = Settings(models=("sim-1",), output_tokens=500, token_gap_ms=20)
        async with serving(providers={"a": settings}, models=MODELS, routing=timeouts) as gateway:
            async with connect(gateway.base_url) as wire:
                received = await wire.ask("POST", CHAT, chat(stream=True))
            assert b'"code":"stream_timeout"' in received.body.split(b"\n\n")[-2]
            await until(
                lambda: gateway.providers["a"].bill.entries[0].outcome == "cancelled",
                "the provider's stream is cancelled",
            )

    run(main())


def test_many_streams_share_one_client_connection_in_turn() -> None:
    """Connections are kept on both sides: no data of one stream appears in the next."""

    async def main() -> None:
        async with serving(providers={"a": _fast(30)}, models=MODELS) as gateway, connect(gateway.base_url) as wire:
            for number in range(200):
                received = await wire.ask("POST", CHAT, chat(stream=True, max_tokens=1 + number % 30))
                assert deltas(received.body) == [f" {index}" for index in range(1 + number % 30)]
            assert gateway.providers["a"].counters.connections_accepted == 1

    run(main())


async def _pipelined(gateway: Gateway) -> list[bytes]:
    async with connect(gateway.base_url) as wire:
        wire.write(b"".join(request("POST", CHAT, chat(stream=True, max_tokens=count)) for count in (3, 1, 7)))
        return [(await wire.answer()).body for _ in range(3)]


def test_pipelined_streams_come_in_order() -> None:
    async def main() -> None:
        async with serving(providers={"a": _fast(30)}, models=MODELS) as gateway:
            for body, count in zip(await _pipelined(gateway), (3, 1, 7), strict=True):
                assert deltas(body) == [f" {index}" for index in range(count)]

    run(main())


if __name__ == "__main__":  # a measurement: streams, seconds, milliseconds between tokens
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_many(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
