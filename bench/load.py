"""Load generators that complement `wrk`, and the streaming upstream: `python -m bench.load rate|streams|upstream …`.

They use raw sockets on uvloop, because their cost must be small against the measured one. Results are one JSON object
on standard output.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import sys
from collections import deque
from pathlib import Path
from time import monotonic

import uvloop
from bench.workload import HEADERS

EVENTS = 53  # events of a stream without [DONE]
GAP_S = 0.002
_FIRST_WORD = b' word0"'  # the first content of a stream


class Requests:
    """Cycles through bodies and keys."""

    def __init__(self, port: int, bodies: Path, keys: Path, *, unique: bool) -> None:
        self._keys = keys.read_bytes().split()
        self._tails = [
            HEADERS.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            for body in bodies.read_bytes().splitlines()
        ]
        self._head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer " % port
        self._unique = unique
        self._count = 0

    def next(self) -> bytes:
        """Return one request as bytes."""
        self._count += 1
        key, tail = self._keys[self._count % len(self._keys)], self._tails[self._count % len(self._tails)]
        extra = b"X-Request-Id: %d\r\n" % self._count if self._unique else b""
        return b"%b%b\r\n%b%b" % (self._head, key, extra, tail)


class Tally:
    """Results of the requests. Latencies are in seconds from the due time of a request."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.first: list[float] = []  # the times to the first content of streams
        self.errors = 0
        self.is_over = False  # lost connections are no errors any more

    def report(self, duration_s: float) -> dict[str, float]:
        """Return the figures in the form of `wrk`."""
        cuts, first = _percentiles(self.latencies), _percentiles(self.first)
        return {
            "requests": len(self.latencies),
            "errors": self.errors,
            "duration_s": duration_s,
            "p50_us": cuts[49] * 1e6,
            "p99_us": cuts[98] * 1e6,
            "ttft_p50_us": first[49] * 1e6,
            "ttft_p99_us": first[98] * 1e6,
        }


def _percentiles(seconds: list[float]) -> list[float]:
    return statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99


class Client(asyncio.Protocol):
    """One connection. It adds itself to `idle` after every answer with a Content-Length."""

    def __init__(self, tally: Tally, idle: "deque[Client]") -> None:
        self._tally = tally
        self._idle = idle
        self._buffer = b""
        self._due_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._idle.append(self)

    def ask(self, request: bytes, due_at: float) -> None:
        """Send a request that was due at `due_at`."""
        self._due_at = due_at
        self._buffer = b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._tally.latencies.append(monotonic() - self._due_at)
            if not head.startswith(b"HTTP/1.1 200"):
                self._tally.errors += 1
            self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio sets the name
        self._tally.errors += not self._tally.is_over


async def fixed_rate(
    requests: Requests, port: int, rate: float, connections: int, duration_s: float, tls: ssl.SSLContext | None
) -> Tally:
    """Send on a schedule, regardless of answers. A slow answer delays only itself, unless all connections wait. Late
    requests still count from their due time; those that could not be sent within 5 seconds are errors. Requests fall
    due at ticks of about 1 ms, the resolution of the loop's timers."""
    loop = asyncio.get_running_loop()
    tally, idle = Tally(), deque[Client]()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(tally, idle), "localhost" if tls else "127.0.0.1", port, ssl=tls)
    started_at = monotonic()
    scheduled = 0
    due = deque[float]()
    while (now := monotonic()) < started_at + duration_s:
        while scheduled < (now - started_at) * rate:
            due.append(now)
            scheduled += 1
        while idle and due:
            idle.popleft().ask(requests.next(), due.popleft())
        await asyncio.sleep(0.001)
    while (due or len(idle) < connections) and monotonic() < started_at + duration_s + 5:
        while idle and due:
            idle.popleft().ask(requests.next(), due.popleft())
        await asyncio.sleep(0.001)
    tally.errors += connections - len(idle) + len(due)
    tally.is_over = True
    for client in idle:
        client.transport.abort()
    return tally


class StreamClient(asyncio.Protocol):
    """Requests one stream after another; `latencies` are whole durations. A stream may have other events than the
    upstream sent if `is_lenient`."""

    def __init__(self, requests: Requests, tally: Tally, ended: asyncio.Event, *, is_lenient: bool) -> None:
        self._is_lenient = is_lenient
        self._has_content = False
        self._requests = requests
        self._tally = tally
        self._ended = ended
        self._started_at = 0.0
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._received.clear()
        self._has_content = False
        self._started_at = monotonic()
        self._transport.write(self._requests.next())

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._has_content and _FIRST_WORD in self._received:
            self._has_content = True
            self._tally.first.append(monotonic() - self._started_at)
        if not data.endswith(b"0\r\n\r\n"):
            return
        self._tally.latencies.append(monotonic() - self._started_at)
        is_whole = self._has_content and b"data: [DONE]" in self._received
        if not is_whole or not (self._is_lenient or self._received.count(b"data: {") == EVENTS):
            self._tally.errors += 1
        if not self._ended.is_set():
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio sets the name
        if not self._ended.is_set():
            self._tally.errors += 1


async def streams(
    requests: Requests,
    port: int,
    connections: int,
    duration_s: float,
    gap_s: float,
    tls: ssl.SSLContext | None,
    *,
    is_lenient: bool = False,
) -> Tally:
    """Keep `connections` streams running for `duration_s`, and let the last ones finish."""
    loop = asyncio.get_running_loop()
    tally, ended = Tally(), asyncio.Event()
    host = "localhost" if tls else "127.0.0.1"
    for _ in range(connections):
        await loop.create_connection(
            lambda: StreamClient(requests, tally, ended, is_lenient=is_lenient), host, port, ssl=tls
        )
        await asyncio.sleep(EVENTS * gap_s / connections)  # spread over the length of a stream
    await asyncio.sleep(duration_s)
    ended.set()
    await asyncio.sleep(EVENTS * gap_s * 2)
    return tally


class StreamUpstream(asyncio.Protocol):
    """Answers every POST with the same stream, one event per `gap_s`, and every GET with the number of streams so
    far, which is `begun[0]`."""

    def __init__(self, chunks: list[bytes], gap_s: float, begun: list[int]) -> None:
        self._chunks = chunks
        self._gap_s = gap_s
        self._begun = begun
        self._position = 0
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        if head.startswith(b"GET "):
            count = b"%d" % self._begun[0]
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(count), count))
            self._buffer = b""
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._buffer = b""
            self._position = 0
            self._begun[0] += 1
            self._step()

    def _step(self) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._chunks[self._position])
        self._position += 1
        if self._position < len(self._chunks):
            self._loop.call_later(self._gap_s, self._step)


def stream_chunks() -> list[bytes]:
    """Return the head and the events of a stream of 50 tokens, each event as one chunk."""
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "gpt-4o-mini",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }

    def event(delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**base, "choices": [choice], "usage": None}

    tokens = EVENTS - 3
    usage = {"prompt_tokens": 42, "completion_tokens": tokens, "total_tokens": 42 + tokens}
    events = [
        event({"role": "assistant", "content": ""}),
        *(event({"content": f" word{number}"}) for number in range(tokens)),
        event({}, "stop"),
        {**base, "choices": [], "usage": usage},
    ]
    data = [b"data: " + json.dumps(each, separators=(",", ":")).encode() + b"\n\n" for each in events]
    data.append(b"data: [DONE]\n\n")
    chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in data]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks[0] = head + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    return chunks


async def serve_streams(ports: list[int], gap_s: float, tls: ssl.SSLContext | None) -> None:
    """Serve until the process is stopped."""
    loop = asyncio.get_running_loop()
    chunks, begun = stream_chunks(), [0]
    servers = [
        await loop.create_server(lambda: StreamUpstream(chunks, gap_s, begun), "127.0.0.1", port, ssl=tls)
        for port in ports
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("what", choices=["rate", "streams", "upstream"])
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    parser.add_argument("--bodies", type=Path)
    parser.add_argument("--keys", type=Path)
    parser.add_argument("--unique", action="store_true")
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--duration", type=float, default=3)
    parser.add_argument("--gap", type=float, default=GAP_S, help="the seconds between two events of a stream")
    parser.add_argument("--lenient", action="store_true", help="accept streams with other events than the upstream's")
    parser.add_argument("--authority", type=Path, help="use TLS, and trust the certificates of this file")
    parser.add_argument("--certificate", type=Path, nargs=2, help="the files of the upstream's certificate and its key")
    given = parser.parse_args()
    port, tls = given.ports[0], None
    if given.authority is not None:
        tls = ssl.create_default_context(cafile=str(given.authority))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if given.what == "upstream":
            if given.certificate is not None:
                tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                tls.load_cert_chain(*given.certificate)
            runner.run(serve_streams(given.ports, given.gap, tls))
            return
        requests = Requests(port, given.bodies, given.keys, unique=given.unique)
        if given.what == "rate":
            tally = runner.run(fixed_rate(requests, port, given.rate, given.connections, given.duration, tls))
        else:
            running = streams(
                requests, port, given.connections, given.duration, given.gap, tls, is_lenient=given.lenient
            )
            tally = runner.run(running)
    json.dump(tally.report(given.duration), sys.stdout)


if __name__ == "__main__":
    main()
