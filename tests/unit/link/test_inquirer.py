"""Inquiries over a real socket, with and without answers."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from fakes.clock import PATIENCE_S
from fakes.origin import run
from pointsman.control.inquiries.state import StateInquiry
from pointsman.link.frames import FROM_WORKER, FrameReader, Inquiry, Reply, encode
from pointsman.link.inquirer import AwayError, Inquirer

ASK = StateInquiry()
Answering = Callable[[Inquiry, asyncio.StreamWriter], Awaitable[None]]


async def control(path: Path, answer: Answering) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        while data := await reader.read(1000):
            for body in frames.feed(data):
                frame = FROM_WORKER.decode(body)
                assert isinstance(frame, Inquiry)
                await answer(frame, writer)
        writer.close()

    return await asyncio.start_unix_server(serve, str(path))


def part(number: int, items: list[int], *, is_last: bool) -> bytes:
    return encode(Reply(number, msgspec.msgpack.encode(items), is_last))


def test_interleaved_answers_are_assembled(tmp_path: Path) -> None:
    async def main() -> None:
        inquiries: list[Inquiry] = []

        async def answer(inquiry: Inquiry, writer: asyncio.StreamWriter) -> None:
            inquiries.append(inquiry)
            if len(inquiries) == 2:
                one, two = (inquiry.number for inquiry in inquiries)
                writer.write(
                    part(one, [1], is_last=False) + part(two, [10], is_last=True) + part(one, [2], is_last=True)
                )

        server = await control(tmp_path / "link", answer)
        line = Inquirer(str(tmp_path / "link"))
        one, two = await asyncio.gather(line.ask(ASK, int), line.ask(ASK, int))
        assert (one, two) == ([1, 2], [10])
        line.close()
        server.close()

    run(main())


def test_lost_connection_fails_the_inquiry_and_the_next_reconnects(tmp_path: Path) -> None:
    async def main() -> None:
        path, count = tmp_path / "link", 0

        async def answer(inquiry: Inquiry, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            count += 1
            if count == 1:
                writer.close()
            else:
                writer.write(part(inquiry.number, [count], is_last=True))

        line = Inquirer(str(path))
        with pytest.raises(AwayError, match="the control process is away"):
            await line.ask(ASK, int)
        server = await control(path, answer)
        with pytest.raises(AwayError, match="the control process is away"):
            await line.ask(ASK, int)
        assert await line.ask(ASK, int) == [2]
        line.close()
        server.close()

    run(main())


def test_timeouts_and_failures_raise_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        numbers: list[int] = []

        async def answer(inquiry: Inquiry, writer: asyncio.StreamWriter) -> None:
            numbers.append(inquiry.number)
            if len(numbers) == 2:
                writer.write(part(numbers[0], [1], is_last=True))  # nobody waits for it any more
                writer.write(encode(Reply(inquiry.number, b"", True, "it cannot")))

        server = await control(tmp_path / "link", answer)
        line = Inquirer(str(tmp_path / "link"))
        with pytest.raises(AwayError, match="the control process does not answer"):
            await line.ask(ASK, int, 0.05)
        with pytest.raises(AwayError, match="it cannot"):
            await line.ask(ASK, int, PATIENCE_S)
        line.close()
        server.close()

    run(main())
