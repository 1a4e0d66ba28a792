"""A control plane on a real port, for commands that call it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.clock import PATIENCE_S
from fakes.control import CONFIG, ControlPlane, control_plane
from pointsman.admin.app import make_app
from pointsman.admin.listener import server_of


@contextmanager
def served(folder: Path, fill: Callable[[ControlPlane], object], models: str = "") -> Iterator[str]:
    """Serve a control plane with the records that `fill` writes into its journal. `models` is that part of its
    configuration. Yield its address."""
    ready = threading.Event()
    address: list[str] = []
    stopping: list[Callable[[], None]] = []

    async def main() -> None:
        async with control_plane(folder, config=models + CONFIG) as plane:
            fill(plane)
            await plane.ingest()
            app = make_app(plane.services, frozenset())
            server = server_of(app, port=0)
            serving = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.005)
            address.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
            stopping.append(lambda: setattr(server, "should_exit", True))
            ready.set()
            await serving

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield address[0]
    finally:
        stopping[0]()
        thread.join(PATIENCE_S)
