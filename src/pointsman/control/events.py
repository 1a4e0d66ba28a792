"""Events of the gateway, for pages and programs that follow them."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from time import time

from pointsman.control.inquiries.events import LiveEvent

KEPT = 1000

Notify = Callable[[str, Mapping[str, object]], None]
"""Publishes an event of a kind, with data for JSON."""


class EventLog:
    """The newest events. Their numbers grow over restarts too, because they begin with the time."""

    def __init__(self) -> None:
        self._number = int(time() * 1e6)
        self._events: deque[LiveEvent] = deque(maxlen=KEPT)
        self._changed = asyncio.Event()

    def publish(self, kind: str, data: Mapping[str, object]) -> None:
        """Add an event."""
        self._number += 1
        self._events.append(LiveEvent(number=self._number, at=time(), kind=kind, data=dict(data)))
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, number: int | None, within_s: float) -> list[LiveEvent]:
        """Return the events after a number, or those from now on. Wait for the first one, at most this long. If events
        after the number are no longer known, a `reset` comes first."""
        if number is None or number > self._number:
            number = self._number
        oldest = self._events[0].number if self._events else self._number + 1
        found = [LiveEvent(number=oldest - 1, at=time(), kind="reset", data={})] if number < oldest - 1 else []
        found += [one for one in self._events if one.number > number]
        if not found:
            changed = self._changed
            try:
                async with asyncio.timeout(within_s):
                    await changed.wait()
            except TimeoutError:
                pass
            found = [one for one in self._events if one.number > number]
        return found
