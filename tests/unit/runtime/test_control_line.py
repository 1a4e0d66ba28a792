"""A worker's connection to control."""

import asyncio
import contextlib
from pathlib import Path

from fakes.origin import run
from fakes.serving import until
from fakes.workers import configured, working
from pointsman.domain.leases import Share
from pointsman.link.frames import FROM_WORKER, PROTOCOL, Ask, FrameReader, Granted, Hello, Welcome, encode


def test_a_worker_waits_until_control_can_lend_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "link"
    lends = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for frame in map(FROM_WORKER.decode, frames.feed(data)):
                    if isinstance(frame, Hello):
                        writer.write(encode(Welcome(PROTOCOL, Share(0, 1, 0.0))))
                    elif isinstance(frame, Ask):
                        await lends.wait()
                        writer.write(encode(Granted(frame.number, [])))
        writer.close()

    async def nothing_new(_path: str) -> str:
        return ""

    async def main() -> None:
        async with await asyncio.start_unix_server(control, path), working(configured()) as worker:
            waiting = asyncio.ensure_future(worker.connect(0, 1, str(path), nothing_new, 60.0))
            done, _ = await asyncio.wait((waiting,), timeout=0.2)
            assert not done
            lends.set()
            await waiting
        lends.clear()
        async with await asyncio.start_unix_server(control, path), working(configured()) as worker:
            await worker.connect(0, 1, str(path), nothing_new, 0.1)
            lends.set()

    run(main())


def test_a_worker_waits_for_the_next_control_when_one_dies_right_after_its_welcome(tmp_path: Path) -> None:
    path = tmp_path / "link"
    calls: list[bool] = []
    lends = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        calls.append(True)
        is_first = len(calls) == 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                for frame in map(FROM_WORKER.decode, frames.feed(data)):
                    if isinstance(frame, Hello):
                        writer.write(encode(Welcome(PROTOCOL, Share(0, 1, 0.0))))
                    elif isinstance(frame, Ask) and is_first:
                        writer.transport.abort()
                    elif isinstance(frame, Ask):
                        await lends.wait()
                        writer.write(encode(Granted(frame.number, [])))
        writer.close()

    async def nothing_new(_path: str) -> str:
        return ""

    async def main() -> None:
        async with await asyncio.start_unix_server(control, path), working(configured()) as worker:
            waiting = asyncio.ensure_future(worker.connect(0, 1, str(path), nothing_new, 60.0))
            await until(lambda: len(calls) == 2)
            assert not waiting.done(), "the first was no more able to lend than none"
            lends.set()
            await waiting

    run(main())
