"""`python -m bench.token_refresh`: the delay that the renewal of tokens adds to requests.

A real gateway serves a simulated provider of Azure's type, whose key is an application of Entra ID. A simulated token
service gives tokens that live for a few seconds and takes a second for each answer. One client sends requests at a
fixed rate. Some begin while the token service is answering, and the others do not. The delay of a request is the time
from its planned start to the end of its answer.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from bench.gateway import serving

from pointsman.simulate import Settings, SimulatedProvider

RATE = 100  # requests per second
SLOW_S = 1.0  # until the token service answers
LIFE_S = 4  # of a token
BODY = json.dumps({"model": "azure/gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
REQUEST = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n{BODY}"
).encode()


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.token_refresh", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(_measure(given.seconds))
    text = json.dumps(found, indent=1)
    (given.json.write_text if given.json is not None else print)(text + "\n")
    return 0


async def _measure(for_s: float) -> dict[str, Any]:
    renewals, delays = await _run(for_s)
    during, otherwise = (_figures(found) for found in delays)
    return {
        "rate_per_s": RATE,
        "seconds": for_s,
        "token_service_s": SLOW_S,
        "renewals": renewals,
        "during_a_renewal": during,
        "otherwise": otherwise,
        "worst_added_ms": round(during["worst_ms"] - otherwise["worst_ms"], 2),
    }


def _figures(took_s: list[float]) -> dict[str, float]:
    took_s.sort()
    return {
        "requests": len(took_s),
        "p50_ms": round(took_s[len(took_s) // 2] * 1000, 2),
        "p99_ms": round(took_s[int(len(took_s) * 0.99)] * 1000, 2),
        "worst_ms": round(took_s[-1] * 1000, 2),
    }


class _TokenService:
    """A slow token service of Entra ID."""

    def __init__(self) -> None:
        self.tokens = 0
        self.is_answering = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
                self.tokens += 1
                self.is_answering = True
                await asyncio.sleep(SLOW_S)
                self.is_answering = False
                body = json.dumps({"access_token": f"token-{self.tokens}", "expires_in": LIFE_S})
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()


@contextlib.asynccontextmanager
async def _gateway(provider: str, authority: str) -> AsyncIterator[int]:
    """Run a gateway, and yield its port."""
    entra = {"tenant": "t", "client_id": "c", "client_secret": "env.BENCH_SECRET", "authority": authority}
    azure = {"base_url": provider, "serves": ["gpt-4o-mini"], "keys": {"main": {"entra": entra}}}
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
        sections = {"providers": {"azure": azure}}
        async with serving(Path(name), sections, BENCH_SECRET="a-secret-of-the-bench") as port:
            yield port


async def _run(for_s: float) -> tuple[int, tuple[list[float], list[float]]]:
    """Return the number of renewals, and the delays of requests during a renewal and of the others, in seconds."""
    service = _TokenService()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    authority = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, SimulatedProvider(Settings()) as provider, _gateway(provider.base_url, authority) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await _ask(reader, writer)  # it waits for the first token
        before, began = service.tokens, time.monotonic()
        during, otherwise = list[float](), list[float]()
        for number in range(int(for_s * RATE)):
            planned = began + number / RATE
            await asyncio.sleep(max(0.0, planned - time.monotonic()))
            found = during if service.is_answering else otherwise
            await _ask(reader, writer)
            found.append(time.monotonic() - planned)
        writer.close()
        return service.tokens - before, (during, otherwise)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise RuntimeError(f"the gateway did not answer: {head!r}")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


if __name__ == "__main__":
    sys.exit(main())
