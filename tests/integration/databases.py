"""A PostgreSQL for tests: one by its address in the environment or at the usual port, with a database of its own; and a
way to it that can be broken."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

VARIABLE = "POINTSMAN_TEST_POSTGRES_URL"
_CANDIDATES = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
)


async def _server() -> str | None:
    given = os.environ.get(VARIABLE)
    for url in [given] if given else _CANDIDATES:
        try:
            connection = await asyncpg.connect(url, timeout=3)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            continue
        await connection.close()
        return url
    return None


@contextlib.asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The address of an empty database. Skips the test where there is no server."""
    server = await _server()
    if server is None:
        pytest.skip(f"no PostgreSQL: neither {VARIABLE} nor 127.0.0.1:5432 answers")
    name = f"pointsman_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


class Way:
    """A proxy to a database. `state` says what becomes of connections: `open` lets all through; `frozen` takes them and
    passes nothing on; `reset` cuts every connection and refuses new ones."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.state: Literal["open", "frozen", "reset"] = "open"
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.thaw()
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.sleep(0.05)

    def freeze(self) -> None:
        self.state = "frozen"
        self._thawed.clear()

    def reset(self) -> None:
        self.state = "reset"
        self.cut()

    def thaw(self) -> None:
        self.state = "open"
        self._thawed.set()

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.state == "reset":
            writer.transport.abort()
            return
        await self._thawed.wait()
        try:
            back, there = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there}
        await asyncio.gather(self._pipe(reader, there), self._pipe(back, writer), return_exceptions=True)
        self._writers -= {writer, there}

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._thawed.wait()
                sink.write(data)
                await sink.drain()
        finally:
            sink.transport.abort()
