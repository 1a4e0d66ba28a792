"""Time limits for many connections with one timer.

Every object under a limit has its own `deadline`, a plain attribute that the hot path moves by an assignment. The
objects are in a heap, ordered by the time at which each is checked next. If the deadline was moved later, the check
puts the object back with its present deadline. So a request that finishes in time costs the timer nothing.
"""

import asyncio
import heapq
import logging
import math
from collections.abc import Callable
from time import monotonic
from typing import Protocol

NEVER = math.inf

_logger = logging.getLogger(__name__)


class Expiring(Protocol):
    """An object under a time limit. `deadline` is in monotonic seconds, or `NEVER`. `watched_until` is for `Deadlines`
    alone and starts as `NEVER`."""

    deadline: float
    watched_until: float

    def expired(self, now: float) -> None:
        """Act on a deadline that has passed. It may set a new one without a call of `watch`. If it sets none or raises,
        it is not checked again until `watch` is called. Other objects are not affected."""


class Deadlines:
    """Calls `expired` on each watched object within `resolution_s` after its deadline. Deadlines are times of
    `clock`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, resolution_s: float = 0.05, clock: Callable[[], float] = monotonic
    ) -> None:
        self.clock = clock
        self._loop = loop
        self._resolution_s = resolution_s
        self._heap: list[tuple[float, int, Expiring]] = []
        self._sequence = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, item: Expiring) -> None:
        """Check `item` no later than at its present deadline. This is cheap if an earlier check is already planned."""
        if item.deadline >= item.watched_until:
            return
        item.watched_until = item.deadline
        self._sequence += 1
        heapq.heappush(self._heap, (item.deadline, self._sequence, item))
        if self._timer is None:
            self._timer = self._loop.call_later(self._resolution_s, self._tick)

    def close(self) -> None:
        """Stop the timer; nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._heap.clear()

    def _tick(self) -> None:
        now = self.clock()
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, item = heapq.heappop(heap)
            if item.watched_until != due:
                continue  # superseded by an earlier entry
            item.watched_until = NEVER
            if item.deadline <= now:
                try:
                    item.expired(now)
                except Exception:  # a failing object must not keep the others from expiring
                    _logger.exception("the handler of an expired deadline raised an exception")
            if now < item.deadline < NEVER:  # a deadline in the past would be due again and again in this loop
                self.watch(item)
        self._timer = self._loop.call_later(self._resolution_s, self._tick) if heap else None
