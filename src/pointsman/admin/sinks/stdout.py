"""Records as lines of JSON on the standard output."""

import asyncio
import os
import select
from collections.abc import Sequence

from pointsman.admin.delivery import DeliveryError, Sent
from pointsman.admin.following import Message
from pointsman.control.inquiries.sinks import SinkState

WAIT_S = 1.0  # for a reader that is slow
_FD = 1


class StdoutSink:
    """Writes to a pipe or a terminal. If its reader stops, nothing is written until it reads again."""

    def __init__(self, fd: int = _FD) -> None:
        self._fd = fd
        self._rest = b""  # of the message whose beginning was written
        self._name = ""

    def encode(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        return b"".join(line + b"\n" for line in lines), len(lines)

    async def send(self, message: Message) -> Sent:
        if message.name != self._name:
            self._name, self._rest = message.name, message.body
        await asyncio.to_thread(self._write)
        return Sent("accepted")

    async def test(self) -> None:
        """Test nothing: any process has a standard output."""

    async def close(self) -> None:
        """Keep it open for the rest of the process."""

    def _write(self) -> None:
        """Write in pieces that a pipe which has room takes at once, so that no thread waits for ever."""
        while self._rest:
            if not select.select([], [self._fd], [], WAIT_S)[1]:
                raise DeliveryError("the reader of the standard output is too slow")
            try:
                self._rest = self._rest[os.write(self._fd, self._rest[: select.PIPE_BUF]) :]
            except OSError as error:
                raise DeliveryError(f"the standard output cannot be written: {error.strerror}") from None


def _open(state: SinkState) -> StdoutSink:  # noqa: ARG001 -- all are opened alike
    return StdoutSink()


OPEN = _open
