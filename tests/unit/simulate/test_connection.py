"""Connections: reuse, pipelining, back-pressure, and disconnects."""

import json
import socket
import struct
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import pytest

from fakes.clock import SOON_S
from fakes.raw_client import RawClient
from pointsman.simulate import Settings, SimulatedProvider
from pointsman.simulate.bill import Entry

Run = Callable[[Any], Any]
Connect = Callable[[SimulatedProvider], Awaitable[RawClient]]
Settled = Callable[[SimulatedProvider], Awaitable[Entry]]

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 5}
STREAM = {**CHAT, "stream": True}


def test_connection_serves_many_requests(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider() as provider:
            client = await connect(provider)
            for body in (CHAT, STREAM, CHAT):
                assert (await client.ask(body)).ended == "complete"
            await client.close()
            assert provider.counters.connections_accepted == 1
            assert provider.counters.requests_received == 3

    run(main())


def test_pipelined_requests_are_answered_in_order(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider(Settings(token_gap_ms=2)) as provider:
            client = await connect(provider)
            for size in (1, 2, 3):
                client.send({**CHAT, "max_tokens": size})
            received = b""
            while received.count(b'"finish_reason"') < 3:
                received += await client.reader.read(65536)
            assert [entry.tokens_out for entry in provider.bill.entries] == [1, 2, 3]
            places = [received.index(b'"completion_tokens":%d' % size) for size in (1, 2, 3)]
            assert places == sorted(places)
            await client.close()

    run(main())


def test_connection_close_header_ends_the_connection(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider() as provider:
            client = await connect(provider)
            client.send(CHAT, headers={"connection": "close"})
            received = await client.receive(beyond=True)
            assert (received.ended, received.is_complete) == ("eof", True)
            assert received.headers["connection"] == "close"
            await client.close()

    run(main())


def test_expect_100_continue(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider() as provider:
            client = await connect(provider)
            body = json.dumps(CHAT).encode()
            client.writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
            )
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.writer.write(body)
            assert (await client.receive()).status == 200
            await client.close()

    run(main())


@pytest.mark.parametrize("sent", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
def test_invalid_http_gets_400(run: Run, connect: Connect, sent: bytes) -> None:
    async def main() -> None:
        async with SimulatedProvider() as provider:
            client = await connect(provider)
            client.writer.write(sent)
            received = await client.receive(beyond=True)
            assert (received.status, received.ended) == (400, "eof")
            assert provider.bill.entries == []
            await client.close()

    run(main())


def disconnect(client: RawClient, manner: str) -> None:
    """Close with FIN or with RST."""
    raw = client.writer.get_extra_info("socket")
    if manner == "rst":
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
    else:
        client.writer.write_eof()


@pytest.mark.parametrize("manner", ["fin", "rst"])
@pytest.mark.parametrize(
    ("fault", "wait_for", "phase"),
    [
        ("hang", b"", "before_answer"),
        ("slow_answer=30", b"", "before_answer"),
        ("hang_mid_stream=0", b"assistant", "before_first_token"),
        ("slow_tokens=30000", b"content", "mid_stream"),
    ],
)
def test_disconnect_is_detected_in_every_phase(
    run: Run, connect: Connect, settled: Settled, manner: str, fault: str, wait_for: bytes, phase: str
) -> None:
    async def main() -> None:
        async with SimulatedProvider() as provider:
            client = await connect(provider)
            client.send({**STREAM, "user": f"fault:{fault}"})
            if wait_for:
                await client.reader.readuntil(b"\r\n\r\n")
                await client.reader.readuntil(wait_for)
            else:
                while not provider.counters.requests_in_progress:
                    await client.receive(quiet_s=0.001)
            left_at = monotonic()
            disconnect(client, manner)
            entry = await settled(provider)
            assert (entry.outcome, entry.phase) == ("cancelled", phase)
            assert entry.peer_closed_at is not None
            assert 0 <= entry.peer_closed_at - left_at < SOON_S
            assert provider.counters.requests_in_progress == 0
            await client.close()

    run(main())


@pytest.mark.parametrize(("billing", "tokens"), [("none", 0), ("sent", 1), ("full", 5)])
def test_cancelled_calls_are_billed_by_setting(
    run: Run, connect: Connect, settled: Settled, billing: Any, tokens: int
) -> None:
    async def main() -> None:
        async with SimulatedProvider(Settings(bill_cancelled=billing)) as provider:
            client = await connect(provider)
            client.send({**STREAM, "user": "fault:slow_tokens=30000"})
            await client.reader.readuntil(b'"content":"')
            await client.reader.readuntil(b'"delta":{"content":')
            await client.close()
            entry = await settled(provider)
            assert entry.tokens_sent == 1
            expected_nano = 0 if billing == "none" else entry.tokens_in * 150 + tokens * 600
            assert entry.charged_nano == expected_nano

    run(main())


def test_slow_reader_pauses_the_stream_and_its_disconnect_is_detected(
    run: Run, connect: Connect, settled: Settled
) -> None:
    async def main() -> None:
        async with SimulatedProvider(Settings(output_tokens="max_tokens")) as provider:
            client = await connect(provider)
            client.pause()
            client.send({**STREAM, "max_tokens": 60_000})
            seen = -1
            while not provider.bill.entries or provider.bill.entries[0].tokens_sent != seen:
                seen = provider.bill.entries[0].tokens_sent if provider.bill.entries else -1
                await client.receive(quiet_s=0.02)
            assert 0 < seen < 60_000
            disconnect(client, "rst")
            entry = await settled(provider)
            assert (entry.outcome, entry.phase, entry.tokens_sent) == ("cancelled", "mid_stream", seen)
            await client.close()

    run(main())


def test_slow_reader_gets_all_data(run: Run, connect: Connect) -> None:
    async def main() -> None:
        async with SimulatedProvider(Settings(output_tokens="max_tokens", text="numbered")) as provider:
            client = await connect(provider)
            client.pause()
            client.send({**STREAM, "max_tokens": 20_000})
            assert (await client.receive(quiet_s=0.05)).raw == b""
            client.resume()
            received = await client.receive(quiet_s=1.0)
            assert received.ended == "complete"
            assert received.text == "".join(f" {number}" for number in range(20_000))
            await client.close()

    run(main())
