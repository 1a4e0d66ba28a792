"""A worker's connection to control."""

import asyncio
import contextlib
from pathlib import Path

from fakes.origin import run
from fakes.serving import until
from fakes.workers import configured, running_worker
from pointsman.domain.leases import Share
from pointsman.link.frames import FROM_WORKER, PROTOCOL, Ask, FrameReader, Granted, Hello, Welcome, encode


def test_worker_waits_for_leases_up_to_its_patience(tmp_path: Path) -> None:
    path = tmp_path / "link"
    can_grant = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for frame in map(FROM_WORKER.decode, frames.feed(data)):
                    if isinstance(frame, Hello):
                        writer.write(encode(Welcome(PROTOCOL, Share(0, 1, 0.0))))
                    elif isinstance(frame, Ask):
                        await can_grant.wait()
                        writer.write(encode(Granted(frame.number, [])))
        writer.close()

    async def ignore_snapshot(_path: str) -> str:
        return ""

    async def main() -> None:
        async with await asyncio.start_unix_server(control, path), running_worker(configured()) as worker:
            waiting = asyncio.ensure_future(worker.connect(0, 1, str(path), ignore_snapshot, 60.0))
            done, _ = await asyncio.wait((waiting,), timeout=0.2)
            assert not done
            can_grant.set()
            await waiting
        can_grant.clear()
        async with await asyncio.start_unix_server(control, path), running_worker(configured()) as worker:
            await worker.connect(0, 1, str(path), ignore_snapshot, 0.1)
            can_grant.set()

    run(main())


def test_worker_waits_for_the_next_control_process_if_one_dies_after_its_welcome(tmp_path: Path) -> None:
    path = tmp_path / "link"
    connections: list[bool] = []
    can_grant = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        connections.append(True)
        is_first = len(connections) == 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for frame in map(FROM_WORKER.decode, frames.feed(data)):
                    if isinstance(frame, Hello):
                        writer.write(encode(Welcome(PROTOCOL, Share(0, 1, 0.0))))
                    elif isinstance(frame, Ask) and is_first:
                        writer.transport.abort()
                    elif isinstance(frame, Ask):
                        await can_grant.wait()
                        writer.write(encode(Granted(frame.number, [])))
        writer.close()

    async def ignore_snapshot(_path: str) -> str:
        return ""

    async def main() -> None:
        async with await asyncio.start_unix_server(control, path), running_worker(configured()) as worker:
            waiting = asyncio.ensure_future(worker.connect(0, 1, str(path), ignore_snapshot, 60.0))
            await until(lambda: len(connections) == 2)
            assert not waiting.done(), "the first control process granted nothing"
            can_grant.set()
            await waiting

    run(main())
