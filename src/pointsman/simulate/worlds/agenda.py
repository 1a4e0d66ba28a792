"""The events of a run and its clock. Events of the same time happen in the order in which they were entered."""

import heapq
from collections.abc import Callable


class Agenda:
    """The events that are due. `now` is the simulated time in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0

    def at(self, when: float, call: Callable[..., None], *given: object) -> None:
        """Enter a call for a time."""
        self._count += 1
        heapq.heappush(self._events, (when, self._count, call, given))

    def play(self) -> None:
        """Make all calls, and those that they enter."""
        events = self._events
        while events:
            self.now, _, call, given = heapq.heappop(events)
            call(*given)
