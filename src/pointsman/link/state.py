"""A worker's questions to control about objects stored at providers, and the changes that it reports."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from pointsman.domain.leases import LeaseUnavailable
from pointsman.domain.state import Change, Record
from pointsman.link.frames import FromWorker, StateAnswer, StateChanges, StateRequest

# Control counts as silent after this time. An answer takes 1 to 10 ms. For a lease it takes up to 30 ms more, if other
# workers must return theirs first (`RECALL_S` in `control/lease_server.py`). On a machine with all cores busy, one
# answer in a hundred takes over 50 ms, so a shorter time would reject requests that fit. Nothing waits while the
# connection is down, or after a silence of `client.SILENT_S`.
ASK_S = 1.0
RECENT = 2000  # changes that are resent on a new connection: control may not have read them yet

OnAnswer = Callable[[Sequence[Record] | LeaseUnavailable], None]
AWAY, SILENT = LeaseUnavailable("control is away"), LeaseUnavailable("control does not answer")


class StateConnection:
    """The part of the connection that is about state. `send` takes a frame, and drops it if there is no connection."""

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, tuple[OnAnswer, asyncio.TimerHandle]] = {}
        self._recent: deque[Change] = deque(maxlen=RECENT)
        self._number = 0
        self.is_up = False

    def look_up(self, ids: Sequence[str], on_answer: OnAnswer) -> None:
        """Ask control. `on_answer` is called once, later."""
        if not self.is_up:
            self._loop.call_soon(on_answer, AWAY)
            return
        self._number += 1
        number = self._number
        self._send(StateRequest(number, list(ids)))
        self._pending[number] = (on_answer, self._loop.call_later(ASK_S, self._answer, number, SILENT))

    def report(self, changes: Sequence[Change]) -> None:
        """Report changes to control, now and again on each new connection."""
        self._recent.extend(changes)
        self._send(StateChanges(list(changes)))

    def connected(self) -> None:
        """Handle a new connection."""
        self.is_up = True
        if self._recent:
            self._send(StateChanges(list(self._recent)))

    def disconnected(self) -> None:
        """Handle the loss of the connection."""
        self.is_up = False
        for number in list(self._pending):
            self._answer(number, AWAY)

    def received(self, frame: StateAnswer) -> None:
        """Take an answer."""
        self._answer(frame.number, frame.unable if frame.unable is not None else frame.records)

    def _answer(self, number: int, answer: Sequence[Record] | LeaseUnavailable) -> None:
        on_answer, timer = self._pending.pop(number, (None, None))
        if on_answer is None or timer is None:
            return
        timer.cancel()
        on_answer(answer)
