"""`python -m bench.relay`: the lowest cost of a gateway in Python, as a baseline.

It parses requests and answers with uvloop and llhttp, looks up a key, reads the model, picks an upstream by weight, and
sums up usage. It has no limits, errors, failover, prices, journal, log or metrics. It is for measurements only.
"""

import argparse
import asyncio
import random
from collections import deque
from hashlib import sha256
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from httptools import HttpRequestParser, HttpResponseParser


class ParsedRequest(msgspec.Struct):
    """The parsed part of a request."""

    model: str
    stream: bool = False


class Usage(msgspec.Struct):
    """The parsed part of an answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ParsedAnswer(msgspec.Struct):
    """An answer, or one event of a stream."""

    usage: Usage | None = None


_REQUEST, _ANSWER = msgspec.json.Decoder(ParsedRequest), msgspec.json.Decoder(ParsedAnswer)


class Relay:
    """State shared by all connections: idle connections by upstream port, known keys, and sums."""

    def __init__(self, upstreams: list[int], keys: set[bytes]) -> None:
        self.upstreams = upstreams
        self.idle: dict[int, deque[Upstream]] = {port: deque() for port in upstreams}
        self.keys = keys
        self.tokens_in = self.tokens_out = self.requests = 0
        self.connecting: set[asyncio.Task[None]] = set()

    def count(self, part: bytes) -> None:
        usage = _ANSWER.decode(part).usage
        if usage is not None:
            self.tokens_in += usage.prompt_tokens
            self.tokens_out += usage.completion_tokens


class Upstream(asyncio.Protocol):
    """One connection to an upstream."""

    def __init__(self, relay: Relay, port: int) -> None:
        self._relay, self._port = relay, port
        self._client: Client
        self._parser: HttpResponseParser
        self._pieces: list[bytes] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, client: "Client", message: bytes) -> None:
        self._client, self._pieces, self._rest = client, [], b""
        self._parser = HttpResponseParser(self)
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        if self._client.is_stream:
            self._client.begin(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        if not self._client.is_stream:
            self._pieces.append(body)
            return
        events = (self._rest + body).split(b"\n\n")
        self._rest = events.pop()
        for event in events:
            if b'"usage":{' in event:
                self._relay.count(event[6:])
        self._client.write(b"%x\r\n%b\r\n" % (len(body), body))

    def on_message_complete(self) -> None:
        client = self._client
        self._relay.idle[self._port].append(self)
        if client.is_stream:
            client.write(b"0\r\n\r\n")
            return
        body = b"".join(self._pieces)
        self._relay.count(body)
        status = self._parser.get_status_code()
        head = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        client.write(head % (status, len(body)) + body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the reason does not matter
        if self in self._relay.idle[self._port]:
            self._relay.idle[self._port].remove(self)


class Client(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._parser = HttpRequestParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self.is_stream = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        relay, headers, body = self._relay, self._headers, b"".join(self._pieces)
        self._headers, self._pieces = {}, []
        request = _REQUEST.decode(body)
        if sha256(headers.get(b"authorization", b"")[7:]).digest() not in relay.keys:
            self.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            return
        relay.requests += 1
        self.is_stream = request.stream
        port = random.choices(relay.upstreams, [1.0] * len(relay.upstreams))[0]
        head = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer sk-upstream\r\n"
            b"Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        message = head % len(body) + body
        if relay.idle[port]:
            relay.idle[port].pop().send(self, message)
        else:
            task = asyncio.get_running_loop().create_task(self._connect(port, message))
            relay.connecting.add(task)
            task.add_done_callback(relay.connecting.discard)

    def begin(self, status: int) -> None:
        head = b"HTTP/1.1 %d OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.write(head % status)

    async def _connect(self, port: int, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self._relay, port), "127.0.0.1", port)
        upstream.send(self, message)


async def _serve(listen: int, upstreams: list[int], keys: set[bytes]) -> None:
    relay = Relay(upstreams, keys)
    server = await asyncio.get_running_loop().create_server(lambda: Client(relay), "127.0.0.1", listen)
    await server.serve_forever()


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m bench.relay")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--upstreams", type=int, nargs="+", required=True)
    parser.add_argument("--keys", required=True, help="a file with a key a line")
    given = parser.parse_args()
    keys = {sha256(key).digest() for key in Path(given.keys).read_bytes().split()}
    uvloop.run(_serve(given.listen, given.upstreams, keys))


if __name__ == "__main__":
    main()
