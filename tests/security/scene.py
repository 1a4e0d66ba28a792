"""A running gateway with its console, and an attacker with sockets of its own.

One gateway serves all attacks of a file: an attack that fails changes nothing.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from msgspec import Struct

from fakes.clock import PATIENCE_S
from integration.gateway import ADMIN_TOKEN, Gateway, serving
from pointsman.simulate import Settings
from pointsman.simulate.answers import Request

T = TypeVar("T")
CLIENT_KEY = "pm-key-of-a-client-0123456789abcdef"
PROVIDER_KEY = "sk-of-the-provider-which-nobody-may-see"
ADMIN = {"authorization": f"Bearer {ADMIN_TOKEN}"}
PASSWORD = "a long enough password"
SECTIONS: dict[str, Any] = {
    "models": {"chat": ["up/sim-1"]},
    "provider_settings": {"up": {"keys": {"only": "env.UP_KEY"}}},
    "governance": {
        "teams": {"research": {}, "other": {}},
        "virtual_keys": {"client": {"value": "env.CLIENT_KEY", "team": "research"}},
    },
    "server": {"trusted_proxies": ["127.0.0.1"]},  # wrong keys of a proxy are not throttled
}


class Reply(Struct):
    """The answer of an attacked server: status 0 if there is none."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Scene:
    """The gateway, and the means of an attacker: raw requests to the public address and to the console."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self.gateway = gateway
        self._loop = loop
        self.console = int(gateway.console_url.rpartition(":")[2])
        self.folder = Path(gateway.config_file).parent

    @property
    def received(self) -> list[Request]:
        """The requests that reached the provider."""
        return list(self.gateway.providers["up"].requests)

    def send(self, port: int, data: bytes) -> Reply:
        """Send bytes, and read until the connection ends."""
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            connection.sendall(data)
            found = b""
            while chunk := connection.recv(65536):
                found += chunk
        head, _, body = found.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(": ") for line in lines]
        status = int(first.split()[1]) if first.startswith("HTTP/") else 0
        return Reply(status, {name.lower(): value for name, _, value in pairs}, body.decode("utf-8", "replace"))

    def ask(
        self, port: int, target: str, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request. A header in `headers` replaces the usual one."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        usual = {"host": f"127.0.0.1:{port}", "connection": "close", "content-type": "application/json"}
        sent = {**usual, "content-length": str(len(data)), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return self.send(port, f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + data)

    def chat(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        """Send a chat with the client's key."""
        body = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], **fields}
        sent = {"authorization": f"Bearer {CLIENT_KEY}", **(headers or {})}
        return self.ask(self.gateway.port, "/v1/chat/completions", "POST", body, sent)

    def admin(
        self, path: str, method: str = "GET", body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Call the admin API, as the admin unless `headers` say otherwise."""
        return self.ask(self.console, f"/api/v1/{path}", method, body, headers if headers is not None else ADMIN)

    def token(self, name: str, *roles: str) -> dict[str, str]:
        """Make a service token with roles such as `member@team:research`. Return its header."""
        given = [{"role": one.partition("@")[0], "scope": one.partition("@")[2] or "*"} for one in roles]
        made = self.admin("tokens", "POST", {"name": name, "roles": given, "days": 1})
        assert made.status == 201, made.body
        return {"authorization": f"Bearer {made.json['token']}"}

    def key(self, name: str, **settings: Any) -> str:
        """Make a virtual key, and return its value."""
        made = self.admin("keys", "POST", {"name": name, "settings": settings})
        assert made.status == 201, made.body
        return str(made.json["key"])

    def stored(self) -> str:
        """Return all that the gateway has written to its folder."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return "".join(path.read_bytes().decode("latin-1") for path in files)


@contextmanager
def attacked() -> Iterator[Scene]:
    """Serve a gateway on a loop in a thread, so that attacks need none."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    environ = {"UP_KEY": PROVIDER_KEY, "CLIENT_KEY": CLIENT_KEY}
    providers = {"up": Settings(models=("sim-1",), keys={PROVIDER_KEY: ""})}
    context = serving(providers=providers, as_process=True, environ=environ, is_alone=False, **SECTIONS)
    try:
        gateway = do(context.__aenter__())
        try:
            scene = Scene(gateway, loop)
            do(_ready(gateway))
            yield scene
        finally:
            do(context.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ready(gateway: Gateway) -> None:
    """Wait until control has its store, and knows the keys in it."""
    async with asyncio.timeout(PATIENCE_S):
        while (await gateway.admin("/api/v1/keys/nobody", "DELETE")).status != 404:
            await asyncio.sleep(0.05)


@contextmanager
def trap() -> Iterator[tuple[int, list[bytes]]]:
    """Listen on a port as a server of the attacker. Yield the port, and the data that arrive there."""
    arrived: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        ending = threading.Event()

        def accept() -> None:
            while not ending.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1.0)
                    arrived.append(connection.recv(65536))

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], arrived
        finally:
            ending.set()
            thread.join()
