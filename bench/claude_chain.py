"""`python -m bench.claude_chain`: the time that a failover of Claude over three clouds adds to a request.

A real gateway has chains of three providers each: Anthropic, Bedrock and Vertex AI, which a simulated server plays. The
client streams a message with thinking. Its time ends at the first event with content. In one row, only Vertex AI is a
target. In the others, Anthropic answers with 503 or breaks off before its content, then Bedrock throttles, and Vertex
AI answers. Every request uses providers of its own. So no breaker knows them, and every attempt opens a connection.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gateway import serving

ROWS = ("vertex_only", "status_503", "breaks_off")
MODEL = "claude-sonnet-4-5"
STARTED = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    },
}
EVENTS: tuple[dict[str, Any], ...] = (
    STARTED,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2lnbmVk"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
BODY = {
    "max_tokens": 4000,
    "stream": True,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "messages": [{"role": "user", "content": "hi"}],
}


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.claude_chain", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(_measure(given.rounds))
    text = json.dumps(found, indent=1)
    (given.json.write_text if given.json is not None else print)(text + "\n")
    return 0


async def _measure(rounds: int) -> dict[str, Any]:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    took_s: dict[str, list[float]] = {row: [] for row in ROWS}
    async with server:
        with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
            sections = _sections(Path(name), f"http://127.0.0.1:{port}", rounds)
            async with serving(Path(name), sections, BENCH_KEY="a-key-of-the-bench") as address:
                await _ask(address, "warm")  # it waits for the token
                for number in range(rounds):
                    for row in ROWS:
                        took_s[row].append(await _ask(address, f"{row}-{number}"))
    figures = {row: _figures(times) for row, times in took_s.items()}
    base = figures["vertex_only"]["p50_ms"]
    added = {row: round(figures[row]["p50_ms"] - base, 2) for row in ROWS[1:]}
    return {"requests_of_each": rounds, "first_content": figures, "added_p50_ms": added}


def _figures(took_s: list[float]) -> dict[str, float]:
    took_s.sort()
    at = {"p50_ms": len(took_s) // 2, "p95_ms": int(len(took_s) * 0.95), "worst_ms": -1}
    return {name: round(took_s[index] * 1000, 2) for name, index in at.items()}


def _event(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Play all providers and the token service, by the path of each request."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            path = head.split(b" ")[1]
            stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
            if path.startswith(b"/token"):
                writer.write(_whole(b"200 OK", {"access_token": "of-the-bench", "expires_in": 3600}))
            elif path.startswith(b"/status_503"):
                writer.write(_whole(b"503 No", {"type": "error", "error": {"type": "api_error", "message": "busy"}}))
            elif path.startswith(b"/model"):
                message = {"message": "Too many requests, please wait before trying again."}
                writer.write(_whole(b"429 No", message, b"x-amzn-errortype: ThrottlingException\r\n"))
            else:
                is_broken = path.startswith(b"/breaks_off")
                writer.write(stream + b"".join(map(_event, EVENTS[:1] if is_broken else EVENTS)))
                break
    writer.close()


def _whole(status: bytes, body: dict[str, Any], lines: bytes = b"") -> bytes:
    data = json.dumps(body).encode()
    kind = b"Content-Type: application/json\r\n"
    return b"HTTP/1.1 %b\r\n%b%bContent-Length: %d\r\n\r\n%b" % (status, kind, lines, len(data), data)


def _sections(folder: Path, server: str, rounds: int) -> dict[str, Any]:
    """Return the sections of a configuration with a chain of its own for each request."""
    account = folder / "account.json"
    (folder / "subject").write_text("of-the-bench")
    external = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/bench",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{server}/token",
        "credential_source": {"file": str(folder / "subject")},
    }
    account.write_text(json.dumps(external))
    vertex = {
        "type": "vertex",
        "base_url": f"{server}/v1",
        "project": "p",
        "region": "us-east5",
        "keys": {"main": {"google": f"file:{account}"}},
    }
    bedrock = {"type": "bedrock", "base_url": server, "region": "us-east-1", "keys": {"main": "env.BENCH_KEY"}}
    providers: dict[str, Any] = {"warm": vertex}
    models: dict[str, Any] = {"warm": [f"warm/{MODEL}"]}
    for number in range(rounds):
        for row in ROWS:
            name = f"{row}-{number}"
            providers[f"v-{name}"] = vertex
            chain = [f"v-{name}/{MODEL}"]
            if row != "vertex_only":
                providers[f"b-{name}"] = bedrock
                base = {"type": "anthropic", "base_url": f"{server}/{row}/v1", "keys": {"main": "env.BENCH_KEY"}}
                providers[f"a-{name}"] = base
                chain = [f"a-{name}/{MODEL}", f"b-{name}/anthropic.{MODEL}", *chain]
            models[name] = {"targets": chain, "strategy": "priority"}
    return {"providers": providers, "models": models}


async def _ask(port: int, model: str) -> float:
    """Send a request on a new connection. Return the seconds to its first content."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({**BODY, "model": model}).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    began = time.monotonic()
    writer.write(head.encode() + b"Content-Type: application/json\r\nanthropic-version: 2023-06-01\r\n\r\n" + body)
    received = b""
    while b"content_block_delta" not in received:
        data = await reader.read(65536)
        if not data:
            raise RuntimeError(f"the gateway did not answer: {received!r}")
        received += data
    took_s = time.monotonic() - began
    attempts = 3 if model.startswith(ROWS[1:]) else 1
    if b"x-pointsman-attempts: %d\r\n" % attempts not in received:
        raise RuntimeError(f"the request had other attempts than {attempts}: {received!r}")
    writer.close()
    return took_s


if __name__ == "__main__":
    sys.exit(main())
