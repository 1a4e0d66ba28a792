"""Answers of real providers, through a gateway: in unusual formats, and without content."""

import asyncio
import json
from time import monotonic
from typing import Any

import pytest

from fakes.origin import FakeOrigin, Peer
from fakes.origin import serving as serving_script
from integration.gateway import chat, run, serving


def event(content: str | None = None, finish: str | None = None, **delta: Any) -> bytes:
    delta = delta if content is None else {"content": content, **delta}
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


SSE = b"content-type: text/event-stream\r\n"
HELLO, STOP, DONE = event("hello"), event(finish="stop"), b"data: [DONE]\n\n"
WHOLE = json.dumps({"choices": [{"index": 0, "message": {"content": "b"}, "finish_reason": "stop"}]}).encode()
GOOD = {
    "heartbeats": (SSE, b"data:\n\n" + HELLO + b"data:\n\nevent: ping\n\n" + STOP + DONE),
    "as text": (b"content-type: text/plain\r\n", HELLO + STOP + DONE),
    "as json": (b"content-type: application/json\r\n", HELLO + STOP + DONE),
    "without a type": (b"", HELLO + STOP + DONE),
    "one unreadable": (SSE, HELLO + b"data: nonsense\n\n" + STOP + DONE),
    "halves of a pair": (SSE, event("\ud83d") + event("\ude00") + HELLO + STOP + DONE),
    "an image of 9 MB": (SSE, event(images=[{"image_url": {"url": "A" * 9_000_000}}]) + HELLO + STOP + DONE),
    "no [DONE]": (SSE, HELLO + STOP),
}
NO_ANSWER = {
    "a lone [DONE]": (SSE, DONE),
    "an error for a finish": (SSE, event(finish="error") + DONE),
    "two unreadable": (SSE, b"data: nonsense\n\n" * 2 + HELLO + STOP + DONE),
    "a page": (b"content-type: text/html\r\n", b"<html></html>"),
    "nothing": (SSE, b""),
    "no choices": (b"content-type: application/json\r\n", b'{"choices":[]}'),
    "an empty object": (b"content-type: application/json\r\n", b"{}"),
}


def answer(head: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


async def ask_before(first: bytes, body: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[Any, Any]:
    """Return the client's answer and the record, if the first provider sends `first` and the second one is healthy."""

    async def odd(peer: Peer) -> None:
        while await peer.request():
            peer.send(first)

    async def well(peer: Peer) -> None:
        while request := await peer.request():
            is_stream = b'"stream":true' in request
            if b"/responses" in request:
                peer.send(answer(SSE, b'data: {"type":"response.completed","response":{"id":"b"}}\n\n'))
            else:
                peer.send(answer(SSE, event("b") + STOP + DONE) if is_stream else answer(b"", WHOLE))

    async with serving_script(odd) as one, serving_script(well) as other:
        given = {"a": {"base_url": f"{one.origin}/v1"}, "b": {"base_url": f"{other.origin}/v1"}}
        async with serving(provider_settings=given, models={"chat": ["a/m", "b/m"]}) as gateway:
            received = await gateway.ask(body, path=path)
            (record,) = await gateway.wait_for_records(1)
            await one.stop()
            await other.stop()
    return received, record


@pytest.mark.parametrize("name", GOOD)
def test_good_answer_in_an_unusual_format_is_served(name: str) -> None:
    received, record = run(ask_before(answer(*GOOD[name]), chat(stream=True)))
    assert (received.status, received.ended) == (200, "complete")
    assert received.headers["x-pointsman-provider"] == "a"
    assert received.body.endswith(STOP + DONE)
    assert HELLO in received.body
    assert b"data:\n" not in received.body
    assert record["attempts"][0].get("events_left_out", 0) == (1 if name == "one unreadable" else 0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("name", NO_ANSWER)
def test_answer_without_content_fails_over(name: str, stream: bool) -> None:
    received, record = run(ask_before(answer(*NO_ANSWER[name]), chat(stream=stream)))
    assert (received.status, received.headers["x-pointsman-provider"]) == (200, "b")
    assert [attempt["outcome"] for attempt in record["attempts"]][1:] == ["ok"]


@pytest.mark.parametrize(
    "sent",
    [
        b'event: error\ndata: {"type":"error","code":"server_error","message":"x"}\n\n',
        (
            b'data: {"type":"response.created"}\n\n'
            b'data: {"type":"response.failed","response":{"error":{"message":"x"}}}\n\n'
        ),
        b'data: {"type":"response.created"}\n\n',
    ],
)
def test_response_that_fails_before_any_output_fails_over(sent: bytes) -> None:
    body = {"model": "chat", "input": "x", "stream": True, "store": False}
    received, record = run(ask_before(answer(SSE, sent), body, "/v1/responses"))
    assert (received.status, received.headers["x-pointsman-provider"]) == (200, "b")
    assert len(record["attempts"]) == 2
    assert received.headers["x-accel-buffering"] == "no"


def serving_of(fake: FakeOrigin) -> Any:
    return serving(provider_settings={"a": {"base_url": f"{fake.origin}/v1"}})


@pytest.mark.parametrize("heartbeat", [b"", b": beat\n\n", b"data:\n\n"])
def test_finished_stream_ends_soon_if_its_provider_does_not_close(heartbeat: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        sent = HELLO + STOP
        peer.send(b"HTTP/1.1 200 OK\r\n", SSE, b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(sent), sent))
        while True:
            await asyncio.sleep(0.2)
            if heartbeat:
                peer.send(b"%x\r\n%b\r\n" % (len(heartbeat), heartbeat))

    async def main() -> None:
        async with serving_script(script) as fake, serving_of(fake) as gateway:
            began_at = monotonic()
            received = await gateway.ask(chat("a/m", stream=True))
            assert received.ended == "complete"
            assert received.body.endswith(DONE)
            assert 1.5 < monotonic() - began_at < 40, "the finished stream waited for its stall limit of 60 s"
            (record,) = await gateway.wait_for_records(1)
            assert record["attempts"][0]["outcome"] == "ok"
            await fake.stop()

    run(main())
