"""Streams of every pair of dialects, however they arrive, and with errors inside them."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.anthropic import stream_of
from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.dialects import (
    DIALECTS,
    ERRORS,
    PATHS,
    QUESTION,
    STREAMS,
    TOLD,
    TYPES,
    Dialect,
    sdks,
)
from integration.gateway import run, serving
from integration.wire import connect, request

SEED = 17
SECRET = "the account of Jane"
BODIES: dict[Dialect, dict[str, Any]] = {
    "chat": {"messages": QUESTION},
    "messages": {"messages": QUESTION, "max_tokens": 4000},
    "responses": {"input": QUESTION, "store": False},
}


def events_of(stream: bytes) -> Iterator[bytes]:
    yield from (event + b"\n\n" for event in stream.removesuffix(b"\n\n").split(b"\n\n"))


def fragments_of(stream: bytes) -> Iterator[bytes]:
    rng, at = random.Random(SEED), 0
    while at < len(stream):
        size = rng.randrange(1, 60)
        yield stream[at : at + size]
        at += size


def commented(stream: bytes) -> Iterator[bytes]:
    yield from (b": keep-alive\n\n" + event for event in events_of(stream))


def with_crlf(stream: bytes) -> Iterator[bytes]:
    yield from fragments_of(stream.replace(b"\n", b"\r\n"))


ARRIVALS = {
    "events": events_of,
    "fragments": fragments_of,
    "fragments with CRLF": with_crlf,
    "events between comments": commented,
}


@pytest.mark.parametrize("theirs", DIALECTS)
@pytest.mark.parametrize("arrival", ARRIVALS)
def test_stream_is_the_same_however_it_arrives(theirs: Dialect, arrival: str) -> None:
    async def script(peer: Peer) -> None:
        while await peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in ARRIVALS[arrival](STREAMS[theirs]):
                peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                await peer.drain()
                await asyncio.sleep(0.0002)
            peer.send(b"0\r\n\r\n")

    async def main() -> None:
        async with serving_script(script) as fake:
            given = {"a": {"type": TYPES[theirs], "base_url": f"{fake.origin}/v1"}}
            models = {"chat": ["a/m-1"]}
            async with (
                serving(provider_settings=given, models=models, is_alone=False) as gateway,
                sdks(gateway) as client,
            ):
                for ours in DIALECTS:
                    assert await client.stream(ours) == TOLD, ours

    run(main())


def failing(dialect: Dialect) -> tuple[bytes, bytes]:
    """Return the beginning of a stream with content, and an error event of its provider."""
    at = {"chat": b'"content":"both', "messages": b'"text": "both', "responses": b'"delta": "both'}[dialect]
    stream = STREAMS[dialect]
    begun = stream[: stream.find(b"\n\n", stream.find(at)) + 2]
    if dialect == "chat":
        return begun, b"data: %b\n\n" % json.dumps({"error": {"message": SECRET, "code": 500}}).encode()
    if dialect == "messages":
        return begun, stream_of({"type": "error", "error": {"type": "overloaded_error", "message": SECRET}})
    error = {"code": "server_error", "message": SECRET}
    response = {"id": "resp_1", "status": "failed", "output": [], "error": error}
    return begun, stream_of({"type": "response.failed", "sequence_number": 99, "response": response})


@pytest.mark.parametrize("theirs", DIALECTS)
@pytest.mark.parametrize("ours", DIALECTS)
def test_error_inside_a_stream_is_reported_in_the_dialect_of_the_client(ours: Dialect, theirs: Dialect) -> None:
    begun, error = failing(theirs)
    proceed = asyncio.Event()

    async def script(peer: Peer) -> None:
        while await peer.request():
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            peer.send(head, b"%x\r\n%b\r\n" % (len(begun), begun))
            await proceed.wait()  # otherwise the stream could still move to another provider
            peer.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(error), error))

    async def main() -> None:
        async with serving_script(script) as fake:
            given = {"a": {"type": TYPES[theirs], "base_url": f"{fake.origin}/v1"}}
            async with (
                serving(provider_settings=given, models={"chat": ["a/m-1"]}, is_alone=False) as gateway,
                connect(gateway.base_url) as wire,
                sdks(gateway) as client,
            ):
                body = json.dumps({"model": "chat", "stream": True, **BODIES[ours]}).encode()
                wire.write(request("POST", f"/v1{PATHS[ours]}", body))
                received = await wire.head()
                async for piece in wire.pieces(received):
                    received.body += piece
                    if b"both" in received.body:
                        proceed.set()
                assert received.status == 200
                assert SECRET.encode() not in received.body
                assert not any(end in received.body for end in (b"[DONE]", b"message_stop", b"response.completed"))
                assert received.headers["x-request-id"].encode() in received.body
                proceed.clear()
                asyncio.get_running_loop().call_later(0.2, proceed.set)
                with pytest.raises(ERRORS, match="the provider returned an error with status 200"):
                    await client.stream(ours)

    run(main())
