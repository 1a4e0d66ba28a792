"""Control's notices to workers that virtual keys were changed, and their requests for child keys."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from pointsman.link.frames import FromControl, KeyMade, KeysChanged, KeysTaken, MakeKey

OnMakeKey = Callable[[MakeKey], Coroutine[None, None, KeyMade]]


class KeyServer:
    """Knows the workers that take keys made by API. `send` drops frames to workers that are not connected. A worker
    that is not connected looks at the file of keys every second. `start` runs a coroutine, and `on_make_key` makes a
    child of a key."""

    def __init__(
        self, send: Callable[[int, FromControl], None], start: Callable[[Coroutine[None, None, None]], None]
    ) -> None:
        self._send = send
        self._start = start
        self.on_make_key: OnMakeKey | None = None
        self._workers: set[int] = set()  # epochs
        self._waiting: dict[int, tuple[set[int], asyncio.Event]] = {}  # by number of the change
        self._number = 0

    def connected(self, epoch: int) -> None:
        """Handle a new connection. Its worker looks at all keys anew."""
        self._workers.add(epoch)

    def lost(self, epoch: int) -> None:
        """Handle the loss of a connection."""
        self._workers.discard(epoch)
        for left, is_done in self._waiting.values():
            left.discard(epoch)
            if not left:
                is_done.set()

    def received(self, epoch: int, frame: KeysTaken | MakeKey) -> None:
        """Handle a frame: a worker has taken a change, or its client requests a child key."""
        if isinstance(frame, MakeKey):
            self._start(self._make(epoch, frame))
            return
        left, is_done = self._waiting.get(frame.number, (set[int](), None))
        left.discard(epoch)
        if not left and is_done is not None:
            is_done.set()

    async def _make(self, epoch: int, frame: MakeKey) -> None:
        if self.on_make_key is not None:
            self._send(epoch, await self.on_make_key(frame))

    async def change(self, digests: Sequence[bytes] | None, limited: Sequence[str], within_s: float) -> list[int]:
        """Notify all workers of changed keys. Return the epochs of those that have not taken the change in time."""
        self._number += 1
        number, left, is_done = self._number, set(self._workers), asyncio.Event()
        if not left:
            return []
        self._waiting[number] = (left, is_done)
        frame = KeysChanged(number, None if digests is None else list(digests), list(limited))
        try:
            for epoch in list(left):
                self._send(epoch, frame)
            async with asyncio.timeout(within_s):
                await is_done.wait()
        except TimeoutError:
            return sorted(left)
        finally:
            del self._waiting[number]
        return []
