"""A client that records every byte and the end of a connection, and can disconnect in any way."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable
from typing import Any, Literal, cast

import httptools

from fakes.clock import PATIENCE_S

Ended = Literal["complete", "eof", "reset", "silence", "malformed"]
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Answer:
    """One answer as received. `ended` is the reason why reading stopped."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._is_complete = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended: Ended = "silence"

    def feed(self, data: bytes) -> bool:
        """Parse bytes. Return true if the answer is complete."""
        self._parser.feed_data(data)
        return self._is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        self._is_complete = self.status != 100

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of all events."""
        return [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line]

    @property
    def is_done(self) -> bool:
        """True if the stream ended like a complete one."""
        return self.ended == "complete" and self.events[-1:] == ["[DONE]"]

    @property
    def text(self) -> str:
        """The content, streamed or not."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            return "".join(choice["message"]["content"] for choice in self.json["choices"])
        chunks = [json.loads(event) for event in self.events if event != "[DONE]"]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)

    def __repr__(self) -> str:
        return f"<{self.status} {self.ended} {self.headers} {self.body[:500]!r}>"


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int, receive_buffer: int | None = None) -> "Client":
        """Connect. `receive_buffer` is the size of the kernel's buffer in bytes, for tests that need a small one."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:  # also a cancellation: nothing else would close the socket
            sock.close()
            raise
        limit = 2**16 if receive_buffer is None else receive_buffer
        return cls(*await asyncio.open_connection(sock=sock, limit=limit))

    def send(
        self,
        body: Any = None,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """Send one request; `length` announces a length other than that of the body."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {
            "host": "gateway",
            "content-type": "application/json",
            "content-length": str(len(data) if length is None else length),
            **(headers or {}),
        }
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(head.encode() + b"\r\n" + data)

    async def receive(
        self, quiet_s: float = PATIENCE_S, stop: Callable[[Answer], bool] | None = None, answer: Answer | None = None
    ) -> Answer:
        """Read until the answer is complete, the connection ends, nothing arrives for `quiet_s`, or `stop` returns
        true. Continues with `answer` if its beginning was read before."""
        answer = answer or Answer()
        while True:
            try:
                async with asyncio.timeout(quiet_s):
                    data = await self.reader.read(65536)
            except TimeoutError:
                break
            except ConnectionResetError:
                answer.ended = "reset"
                break
            if not data:
                answer.ended = "eof"
                break
            try:
                is_complete = answer.feed(data)
            except httptools.HttpParserError:
                answer.ended = "malformed"
                break
            if is_complete:
                answer.ended = "complete"
                break
            if stop is not None and stop(answer):
                break
        return answer

    async def ask(self, body: Any = None, *, quiet_s: float = PATIENCE_S, **how: Any) -> Answer:
        self.send(body, **how)
        return await self.receive(quiet_s)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self.writer.wait_closed()

    def finish(self) -> None:
        """Disconnect with FIN: close only the sending side."""
        with contextlib.suppress(OSError):
            self.writer.write_eof()

    def reset(self) -> None:
        """Disconnect with RST."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None:  # the other side may have been faster
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
        cast("asyncio.Transport", self.writer.transport).abort()
