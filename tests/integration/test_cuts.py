"""No truncated answer passes for a complete one: every path, cut at every byte, read by the official SDK.

A provider, or a proxy in front of it, ends the answer early without an error: HTTP reports it as complete. With
`POINTSMAN_MEASURE` set, the table is written to docs/measurements.
"""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from fakes.origin import Peer
from fakes.origin import serving as serving_script
from integration.gateway import run, serving
from pointsman.simulate.model import Turn
from pointsman.simulate.response_events import response_events

TABLE = Path(__file__).parents[2] / "docs" / "measurements" / "cuts.json"
JSON, SSE = b"application/json", b"text/event-stream"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
TEXT = "a few words \u00fc"


def dumped(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def events(*chunks: Any, done: bool = True) -> bytes:
    sent = [b"data: %b\n\n" % dumped(**chunk) for chunk in chunks]
    return b"".join(sent) + (b"data: [DONE]\n\n" if done else b"")


def chunk(index: int, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def text_chunk(index: int, text: str, finish: str | None = None) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": index, "text": text, "finish_reason": finish}]}


PART = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [PART]}],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
TURN = Turn(reasoning=[], text=["a ", "few ", "words"], calls=[], is_cut=False)
CHOICE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
MESSAGES: list[Any] = [{"role": "user", "content": "x"}]
FILE = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "a", "purpose": "batch"}
BATCH = {"id": "batch_1", "object": "batch", "status": "completed", "endpoint": "/v1/x", "input_file_id": "file-1"}
WAV = ("a.wav", b"RIFF")
Ask = Callable[[Any], Awaitable[Any]]
EXTRA = {"x-pointsman-provider": "a"}

# Path -> content type, the whole answer, and the SDK's call for it.
PATHS: dict[str, tuple[bytes, bytes, Ask]] = {
    "chat": (
        JSON,
        dumped(id="x", choices=[CHOICE], usage=USAGE),
        lambda sdk: sdk.chat.completions.create(model="a/m", messages=MESSAGES),
    ),
    "chat stream": (
        SSE,
        events(
            chunk(0, role="assistant"), chunk(0, content="a "), chunk(0, content="few"), chunk(0, "stop"), done=True
        ),
        lambda sdk: sdk.chat.completions.create(model="a/m", messages=MESSAGES, stream=True),
    ),
    "chat stream, n=2": (
        SSE,
        events(*(chunk(n, content="a") for n in (0, 1)), chunk(0, "stop"), chunk(1, content="b"), chunk(1, "stop")),
        lambda sdk: sdk.chat.completions.create(model="a/m", messages=MESSAGES, stream=True, n=2),
    ),
    "completions": (
        JSON,
        dumped(id="x", choices=[{"index": 0, "text": TEXT, "finish_reason": "stop"}], usage=USAGE),
        lambda sdk: sdk.completions.create(model="a/m", prompt="x"),
    ),
    "completions stream, two prompts": (
        SSE,
        events(text_chunk(0, "a"), text_chunk(1, "b"), text_chunk(0, "", "stop"), text_chunk(1, "c", "length")),
        lambda sdk: sdk.completions.create(model="a/m", prompt=["x", "y"], stream=True),
    ),
    "embeddings": (
        JSON,
        dumped(object="list", data=[{"index": 0, "embedding": [0.25, 0.5]}], usage={"prompt_tokens": 1}),
        lambda sdk: sdk.embeddings.create(model="a/m", input="x", encoding_format="float"),
    ),
    "responses": (JSON, dumped(**RESPONSE), lambda sdk: sdk.responses.create(model="a/m", input="x")),
    "responses stream": (
        SSE,
        b"".join(event.data for event in response_events(RESPONSE, TURN)),
        lambda sdk: sdk.responses.create(model="a/m", input="x", stream=True),
    ),
    "images": (
        JSON,
        dumped(created=1, data=[{"b64_json": "AAAA"}]),
        lambda sdk: sdk.images.generate(model="a/m", prompt="x"),
    ),
    "moderations": (
        JSON,
        dumped(id="m", model="m", results=[{"flagged": False, "categories": {}, "category_scores": {}}]),
        lambda sdk: sdk.moderations.create(model="a/m", input="x"),
    ),
    "transcriptions": (
        JSON,
        dumped(text=TEXT),
        lambda sdk: sdk.audio.transcriptions.create(model="a/m", file=WAV),
    ),
    "files": (JSON, dumped(**FILE), lambda sdk: sdk.files.retrieve("file-1", extra_headers=EXTRA)),
    "batches": (JSON, dumped(**BATCH), lambda sdk: sdk.batches.retrieve("batch_1", extra_headers=EXTRA)),
}


async def is_accepted_as_complete(sdk: AsyncOpenAI, ask: Ask) -> bool:
    try:
        answer = await ask(sdk)
        if isinstance(answer, openai.AsyncStream):
            async for _ in answer:
                pass
    except openai.APIError:
        return False
    return True


def first_whole(path: str, whole: bytes) -> int:
    """Return the length from which on the answer itself is complete; a stream may still lack its last bytes."""
    if "chat" in path or "completions" in path:
        last = max(whole.rfind(b'"stop"'), whole.rfind(b'"length"'))
        return whole.find(b"\n\n", last) if b"data:" in whole else len(whole)
    return len(whole.rstrip(b"\n")) if b"data:" in whole else len(whole)


async def sweep(stride: int) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    sent, kind = b"", JSON

    async def script(peer: Peer) -> None:
        while await peer.request():
            piece = b"%x\r\n%b\r\n" % (len(sent), sent) if sent else b""
            head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind
            peer.send(head, piece, b"0\r\n\r\n")

    async with serving_script(script) as fake:
        given = {"a": {"base_url": f"{fake.origin}/v1"}}
        health = {"max_attempts": 1, "health": {"failures": 1000}}
        async with serving(provider_settings=given, routing=health) as gateway:
            async with AsyncOpenAI(base_url=gateway.base_url, api_key="unused", max_retries=0) as sdk:
                for path, (content_type, whole, ask) in PATHS.items():
                    sent, kind = whole, content_type
                    assert await is_accepted_as_complete(sdk, ask), path
                    end = first_whole(path, whole)
                    places = sorted({*range(0, end, stride), *range(max(0, end - 3), end)})
                    silent = []
                    for at in places:
                        sent = whole[:at]
                        if await is_accepted_as_complete(sdk, ask):
                            silent.append(at)
                    assert not silent, (path, silent, whole[: silent[0]][-100:])
                    found[path] = {"bytes": len(whole), "cuts": len(places), "silent": len(silent)}
            await fake.stop()
    return found


def report(table: dict[str, dict[str, int]]) -> None:
    print(json.dumps(table, indent=1))
    if os.environ.get("POINTSMAN_MEASURE"):
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(json.dumps(table, indent=1) + "\n")


def test_every_cut_is_detected() -> None:
    report(run(sweep(41)))


@pytest.mark.slow
def test_cut_at_every_byte_is_detected() -> None:
    report(run(sweep(1)))
