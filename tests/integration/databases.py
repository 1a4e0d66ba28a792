"""PostgreSQL for tests: a database on an existing server, a proxy that can fail, or a whole server.

The existing server is named in the environment, or listens at the usual port.
"""

import asyncio
import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fakes.clock import PATIENCE_S

VARIABLE = "POINTSMAN_TEST_POSTGRES_URL"
_CANDIDATES = (
    "postgresql://postgres@127.0.0.1:5432/postgres",
    "postgresql://postgres:postgres@127.0.0.1:5432/postgres",
)


async def _server() -> str | None:
    given = os.environ.get(VARIABLE)
    for url in [given] if given else _CANDIDATES:
        try:
            connection = await asyncpg.connect(url, timeout=10)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            continue
        await connection.close()
        return url
    return None


@contextlib.asynccontextmanager
async def database() -> AsyncIterator[str]:
    """Yield the address of an empty database. Skip the test if there is no server."""
    server = await _server()
    if server is None:
        pytest.skip(f"no PostgreSQL: neither {VARIABLE} nor 127.0.0.1:5432 answers")
    name = f"pointsman_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        # Bounded, so that a failed test cannot block all others.
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)", timeout=30)
        await connection.close(timeout=10)


@contextlib.asynccontextmanager
async def pooler(url: str) -> AsyncIterator[str]:
    """Yield the address of a database behind PgBouncer, which gives each transaction one of two sessions. Skip the test
    if PgBouncer is not installed."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: there is no pgbouncer")
    parts = urlsplit(url)
    with socket.socket() as probe, tempfile.TemporaryDirectory(prefix="pointsman-pool-") as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = f"host={parts.hostname} port={parts.port or 5432} user={parts.username}"
        server += f" password={parts.password}" if parts.password else ""
        file = Path(folder) / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n* = {server}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\n"
            "auth_type=any\npool_mode=transaction\ndefault_pool_size=2\n"
        )
        account: dict[str, Any] = {}
        if os.geteuid() == 0:  # PgBouncer refuses to run as root
            user = pwd.getpwnam("postgres")
            account = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
            file.chmod(0o644)
        account |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([program, "-q", file], cwd=folder, **account)
        try:
            through = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}"))
            async with asyncio.timeout(PATIENCE_S):
                while not await _answers(through):
                    await asyncio.sleep(0.05)
            yield through
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    await connection.close()
    return True


class Proxy:
    """A proxy to a database, whose connections can fail.

    The field `state` is one of:

    - `open`: all data passes.
    - `frozen`: connections are accepted, but no data passes.
    - `reset`: all connections are cut, old and new.
    - `refusing`: old connections are cut, and new ones are refused.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.state: Literal["open", "frozen", "reset", "refusing"] = "open"
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

    def refuse(self) -> None:
        self.state = "refusing"
        if self._server is not None:
            self._server.close()
        self.cut()

    async def restore(self) -> None:
        """Return to `open`."""
        if self.state == "refusing":
            await self.start()
        self.thaw()

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


class Server:
    """A PostgreSQL server for one test, in its own folder, which can be stopped and started."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._log = folder / "log"
        self._port = port
        # PostgreSQL refuses to run as root, and requires its own files.
        self._account = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def make(self) -> None:
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync")

    def start(self) -> None:
        options = f"-c port={self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run("pg_ctl", "start", "--wait", f"--log={self._log}", f"--options={options}")

    def stop(self) -> None:
        """Stop at once, like a crash: uncommitted data is lost."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    def _run(self, program: str, *arguments: str) -> None:
        account: dict[str, Any] = {}
        if self._account is not None:
            account = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        subprocess.run(
            [self._programs / program, f"--pgdata={self._data}", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._data.parent,
            **account,
        )


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """Yield a running server. Skip the test if PostgreSQL's programs are not installed."""
    given = shutil.which("initdb")
    found = Path(given) if given else max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    if found is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pointsman-pg-") as folder:
        server = Server(found.parent, Path(folder), port)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
