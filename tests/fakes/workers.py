"""Workers in this process, and clients of them."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from textwrap import indent

from fakes.configuration import compiled
from fakes.serving import Answer, Peer, post, until
from pointsman.config.snapshot_file import Compiled
from pointsman.runtime.worker import Worker

GET = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def chat_request(body: bytes) -> bytes:
    """Build a chat request to `localhost`. A gateway that requires no key rejects other host names."""
    return post(body, target=b"/v1/chat/completions").replace(b"Host: a", b"Host: localhost")


def configured(name: str = "chat", port: int = 9, server: str = "") -> Compiled:
    """Compile a configuration with one provider at `port`, whose model `m` has a public name."""
    return compiled(
        f"server:\n  listen: 127.0.0.1:0\n  drain_s: 5\n{indent(server, '  ')}\n"
        "console: {listen: 127.0.0.1:0}\n"
        f"providers:\n  local: {{type: vllm, base_url: 'http://127.0.0.1:{port}/v1'}}\n"
        f"models: {{{name}: [local/m]}}\n"
        "governance: {require_key: false}\n"
    )


@asynccontextmanager
async def running_worker(configuration: Compiled) -> AsyncIterator[Worker]:
    """Run a worker. At the end, stop it and check that no task is left."""
    before, threshold = asyncio.all_tasks(), gc.get_threshold()
    log_fd = os.open(os.devnull, os.O_WRONLY)
    worker = Worker(configuration.snapshot, configuration.settings, log_fd)
    await worker.start()
    try:
        yield worker
    finally:
        worker.plane.server.shut_down_now()
        await worker.stop()
        os.close(log_fd)
        gc.unfreeze()
        gc.set_threshold(*threshold)
        await until(lambda: asyncio.all_tasks() == before)


async def connect(port: int, context: ssl.SSLContext | None = None) -> Peer:
    name = "localhost" if context is not None else None
    return Peer(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name))


async def get(port: int, path: str) -> Answer:
    peer = await connect(port)
    answer = await peer.ask(GET.format(path).encode())
    peer.finish()
    return answer
