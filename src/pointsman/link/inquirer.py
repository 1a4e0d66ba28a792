"""The admin process's end of the connection to control."""

import asyncio
from typing import TypeVar

import msgspec
from msgspec import Struct

from pointsman.domain.audit import Actor
from pointsman.link.frames import FROM_CONTROL, FrameReader, Inquiry, Reply, encode

ANSWER_S = 5.0  # while control is away, the supervisor holds its socket, so connecting does not fail

Item = TypeVar("Item")
_ENCODER = msgspec.msgpack.Encoder()


class AwayError(Exception):
    """Control did not answer. The message has the reason."""


class _Answer(Struct):
    """The parts that have arrived."""

    parts: list[bytes]
    is_whole: asyncio.Future[None]


class Inquirer(asyncio.Protocol):
    """Sends inquiries to control. Connects with the first one, and reconnects after the connection was lost."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._transport: asyncio.Transport | None = None
        self._connecting = asyncio.Lock()
        self._reader = FrameReader()
        self._answers: dict[int, _Answer] = {}
        self._number = 0

    async def ask(self, inquiry: Struct, item: type[Item], within_s: float = ANSWER_S) -> list[Item]:
        """Return all items of the answer. Raises `AwayError`."""
        return await self.ask_for(Actor(), inquiry, item, within_s)

    async def ask_for(self, actor: Actor, inquiry: Struct, item: type[Item], within_s: float = ANSWER_S) -> list[Item]:
        """Ask on behalf of a caller, which the audit log names."""
        self._number += 1
        number = self._number
        answer = self._answers[number] = _Answer([], asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(within_s):
                transport = await self._connected()
                transport.write(encode(Inquiry(number, _ENCODER.encode(inquiry), actor)))
                await answer.is_whole
        except TimeoutError:
            raise AwayError("the control process does not answer") from None
        except OSError:
            raise AwayError("the control process is away") from None
        finally:
            del self._answers[number]
        decoder = msgspec.msgpack.Decoder(list[item])  # type: ignore[valid-type]
        return [one for part in answer.parts for one in decoder.decode(part)]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _connected(self) -> asyncio.Transport:
        async with self._connecting:
            if self._transport is None:
                loop = asyncio.get_running_loop()
                self._reader = FrameReader()
                transport, _ = await loop.create_unix_connection(lambda: self, self._path)
                self._transport = transport
            return self._transport

    # Called by the event loop.

    def data_received(self, data: bytes) -> None:
        for body in self._reader.feed(data):
            frame = FROM_CONTROL.decode(body)
            answer = self._answers.get(frame.number) if isinstance(frame, Reply) else None
            if answer is None or not isinstance(frame, Reply) or answer.is_whole.done():
                continue
            if frame.failure is not None:
                answer.is_whole.set_exception(AwayError(frame.failure))
                continue
            answer.parts.append(frame.items)
            if frame.is_last:
                answer.is_whole.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        for answer in self._answers.values():
            if not answer.is_whole.done():
                answer.is_whole.set_exception(ConnectionResetError())
