"""A worker's part in the virtual keys that are made by API: it drops changed ones, and relays requests for children."""

import asyncio
from collections.abc import Callable, Sequence

from pointsman.link.frames import FromWorker, KeyMade, KeysChanged, KeysTaken, MakeKey

MAKE_S = 5.0  # control writes the store, the file of keys, and waits for the workers

OnKeys = Callable[[Sequence[bytes] | None, Sequence[str]], None]
OnMade = Callable[[KeyMade], None]
AWAY = KeyMade(0, code="control_unavailable", message="control is away, so no key can be made now; retry later")
SILENT = KeyMade(0, code="control_unavailable", message="control does not answer; retry later")


class KeyConnection:
    """The part of the connection that is about virtual keys. `send` takes a frame, and drops it if there is no
    connection. `on_changed` gets the digests of changed keys, or `None` for all, and the names of those whose limits
    have changed."""

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, tuple[OnMade, asyncio.TimerHandle]] = {}
        self._number = 0
        self._is_up = False
        self.on_changed: OnKeys | None = None

    def make(self, parent: str, body: bytes, on_made: OnMade) -> None:
        """Request a child of a key. `on_made` is called once, later."""
        if not self._is_up:
            self._loop.call_soon(on_made, AWAY)
            return
        self._number += 1
        number = self._number
        self._send(MakeKey(number, parent, body))
        self._pending[number] = (on_made, self._loop.call_later(MAKE_S, self._answer, number, SILENT))

    def connected(self) -> None:
        """Handle a new connection. Changes may have been missed before."""
        self._is_up = True
        self._change(None, ())

    def disconnected(self) -> None:
        """Handle the loss of the connection."""
        self._is_up = False
        for number in list(self._pending):
            self._answer(number, AWAY)

    def received(self, frame: KeysChanged | KeyMade) -> None:
        """Handle a frame."""
        if isinstance(frame, KeyMade):
            self._answer(frame.number, frame)
            return
        self._change(frame.digests, frame.limited)
        self._send(KeysTaken(frame.number))

    def _change(self, digests: Sequence[bytes] | None, limited: Sequence[str]) -> None:
        if self.on_changed is not None:
            self.on_changed(digests, limited)

    def _answer(self, number: int, answer: KeyMade) -> None:
        on_made, timer = self._pending.pop(number, (None, None))
        if on_made is not None and timer is not None:
            timer.cancel()
            on_made(answer)
