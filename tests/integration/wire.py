"""A client that sends bytes and reads answers. It is strict about their end, unlike SDKs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct


class CutOff(Exception):  # noqa: N818 -- an event for the client, not an error of the test
    """The connection ended inside an answer."""


class Received(Struct):
    """One answer: `headers` by lower-case name, `lines` as received."""

    status: int
    headers: dict[str, str]
    lines: list[tuple[str, str]]
    body: bytes = b""

    def json(self) -> dict[str, object]:
        value = msgspec.json.decode(self.body)
        assert isinstance(value, dict), value
        return value

    def error(self) -> dict[str, object]:
        """The error object; asserts OpenAI's format."""
        error = self.json()["error"]
        assert isinstance(error, dict)
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str)
        assert error["message"]
        assert isinstance(error["type"], str)
        assert error["param"] is None or isinstance(error["param"], str)
        assert isinstance(error["code"], str)
        return error


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> Received:
        """Read an answer up to its body, and skip interim answers. Raise `CutOff`."""
        while True:
            try:
                raw = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError) as error:
                raise CutOff(f"before the end of the head: {error}") from None
            first, *rest = raw[:-4].decode("latin-1").split("\r\n")
            status = int(first.split(" ", 2)[1])
            if status >= 200:
                pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
                return Received(status, dict(pairs), pairs)

    async def pieces(self, received: Received, *, is_head: bool = False) -> AsyncIterator[bytes]:
        """Yield the pieces of the body. Raise `CutOff` if it is truncated."""
        if is_head or received.status in (204, 304):
            return
        try:
            if received.headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    yield (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif "content-length" in received.headers:
                left = int(received.headers["content-length"])
                while left:
                    data = await self.reader.read(min(left, 65536))
                    if not data:
                        raise CutOff(f"{left} bytes are missing")
                    left -= len(data)
                    yield data
            else:
                while data := await self.reader.read(65536):
                    yield data
        except (asyncio.IncompleteReadError, OSError) as error:
            raise CutOff(f"inside the body: {error}") from None

    async def answer(self, *, is_head: bool = False) -> Received:
        """Read a whole answer."""
        received = await self.head()
        received.body = b"".join([piece async for piece in self.pieces(received, is_head=is_head)])
        return received

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Received:
        """Send a request and read its answer."""
        self.write(request(method, path, body, headers))
        return await self.answer(is_head=method == "HEAD")

    async def is_closed(self) -> bool:
        """Read up to the end of the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except OSError:
            pass
        return True


def request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Build the bytes of a request; JSON unless `headers` name another content type."""
    lines = {"host": "gateway.test", **{name.lower(): value for name, value in (headers or {}).items()}}
    if body:
        lines.setdefault("content-type", "application/json")
    if body or method in ("POST", "PUT", "PATCH"):
        lines.setdefault("content-length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


@asynccontextmanager
async def connect(url: str, *, receive_buffer: int | None = None) -> AsyncIterator[Wire]:
    """Connect to the host and port of `url`. A small `receive_buffer` in the kernel makes a slow client noticeable
    early."""
    parts = urlsplit(url)
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setblocking(False)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await asyncio.get_running_loop().sock_connect(plain, (parts.hostname, parts.port))
    except OSError:
        plain.close()
        raise
    limit = 1 << 16 if receive_buffer is None else receive_buffer
    reader, writer = await asyncio.open_connection(sock=plain, limit=limit)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def ask(
    url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Received:
    """Send one request on a connection of its own."""
    async with connect(url) as wire:
        return await wire.ask(method, path, body, headers)


def chat(model: str = "chat", content: str = "Hello", **fields: object) -> bytes:
    """Build the body of a chat request."""
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": content}], **fields})


def deltas(events: bytes) -> list[str]:
    """Return the pieces of text in an event stream of chat chunks."""
    found = []
    for event in events.split(b"\n\n"):
        if event.startswith(b"data: {"):
            chunk = msgspec.json.decode(event[6:])
            assert "error" not in chunk, chunk
            found += [choice["delta"].get("content") for choice in chunk["choices"]]
    return [content for content in found if content]
