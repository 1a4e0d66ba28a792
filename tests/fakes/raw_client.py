"""A client that records every byte and the end of a connection. It shares only the parser with the provider."""

import asyncio
import contextlib
import gzip
import json
import math
from typing import Any, Literal, cast

import httptools

from pointsman.simulate import SimulatedProvider

Ended = Literal["complete", "eof", "reset", "silence", "malformed"]
_TURN_S = 0.01


class Received:
    """One answer as received: `raw` is every byte, `ended` the reason why reading stopped."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._body = bytearray()
        self.ended: Ended = "silence"
        self.status = 0
        self.headers: dict[str, str] = {}
        self._is_complete = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._raw += data
        if not self._is_complete:
            self._parser.feed_data(data)

    @property
    def raw(self) -> bytes:
        return bytes(self._raw)

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def is_complete(self) -> bool:
        return self._is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        self._is_complete = self.status != 100

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of all complete events."""
        body = gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body
        return [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]

    @property
    def text(self) -> str:
        """The content of all readable chunks."""
        text = ""
        for item in self.data:
            try:
                chunk = json.loads(item)
            except json.JSONDecodeError:
                continue
            text += "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
        return text


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, provider: SimulatedProvider) -> "RawClient":
        return cls(*await asyncio.open_connection("127.0.0.1", provider.port))

    def send(
        self,
        body: Any = None,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {
            "host": "provider",
            "content-type": "application/json",
            "content-length": str(len(data)),
            **(headers or {}),
        }
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(head.encode() + b"\r\n" + data)

    async def receive(self, quiet_s: float = 0.15, *, beyond: bool = False) -> Received:
        """Read until the answer is complete, the connection ends, or nothing arrives for `quiet_s`. With `beyond`,
        continue reading after the end of the answer."""
        received = Received()
        while beyond or not received.is_complete:
            try:
                data = await self._read(quiet_s)
            except ConnectionResetError:
                received.ended = "reset"
                return received
            if data is None:
                break
            if not data:
                received.ended = "eof"
                return received
            try:
                received.feed(data)
            except httptools.HttpParserError:
                received.ended = "malformed"
                return received
        received.ended = "complete" if received.is_complete else "silence"
        return received

    async def _read(self, quiet_s: float) -> bytes | None:
        """Return the next bytes, or `None` for silence. The wait consists of many turns of the loop, so that a provider
        in this loop can answer even on a slow machine."""
        reading = asyncio.ensure_future(self.reader.read(65536))
        for _ in range(math.ceil(quiet_s / _TURN_S)):
            if (await asyncio.wait((reading,), timeout=_TURN_S))[0]:
                return reading.result()
        reading.cancel()
        return None

    async def ask(self, body: Any = None, **options: Any) -> Received:
        self.send(body, **options)
        return await self.receive()

    def pause(self) -> None:
        """Stop reading from the socket."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def resume(self) -> None:
        cast("asyncio.Transport", self.writer.transport).resume_reading()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self.writer.wait_closed()
