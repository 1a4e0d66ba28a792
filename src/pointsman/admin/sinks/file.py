"""Records as lines of JSON in a file, which is rotated by size."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from pointsman.admin.delivery import DeliveryError, Sent
from pointsman.admin.following import Message
from pointsman.control.inquiries.sinks import SinkState


class FileSink:
    """Appends to a file that only its owner can read. A message is in it as a whole, on the disk, or not at all; only a
    loss of power may leave a part of the last one. Former files have the suffixes `.1`, `.2` and so on, the newest
    first."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def encode(self, lines: Sequence[bytes]) -> tuple[bytes, int]:
        return b"".join(line + b"\n" for line in lines), len(lines)

    async def send(self, message: Message) -> Sent:
        try:
            await asyncio.to_thread(self._append, message.body)
        except OSError as error:
            raise DeliveryError(f"{self._path} cannot be written: {error.strerror}") from None
        return Sent("accepted")

    async def test(self) -> None:
        """Create the file if there is none."""
        try:
            await asyncio.to_thread(self._append, b"")
        except OSError as error:
            raise DeliveryError(f"{self._path} cannot be written: {error.strerror}") from None

    async def close(self) -> None:
        """Nothing is open between two messages, so another program may move the file."""

    def _append(self, data: bytes) -> None:
        fd = self._opened()
        try:
            size = os.fstat(fd).st_size
            if size and size + len(data) > self._max_bytes:
                os.close(fd)
                self._rotate()
                fd = self._opened()
                size = 0
            if data and size and os.pread(fd, 1, size - 1) != b"\n":  # the end of a message that a loss of power cut
                data = b"\n" + data
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(fd, rest) :]
                os.fdatasync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        finally:
            os.close(fd)

    def _opened(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _rotate(self) -> None:
        if not self._keep:
            self._path.unlink(missing_ok=True)
            return
        for number in range(self._keep - 1, 0, -1):
            former = self._former(number)
            if former.exists():
                former.replace(self._former(number + 1))
        self._path.replace(self._former(1))

    def _former(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _open(state: SinkState) -> FileSink:
    return FileSink(Path(state.path), state.max_bytes, state.keep)


OPEN = _open
