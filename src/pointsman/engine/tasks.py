"""Coroutines that start at once and go on inside the callback that wakes them.

An `asyncio.Task` starts one turn of the loop after it was made, and goes on one turn after its future was set. Every
wait of every request would take two trips through the loop's queue. A request here waits only for its upstream, whose
bytes arrive in a callback. So the callback runs the request on, then and there. Only `Waiter` and `Bell` may be awaited
inside such a coroutine. Work that needs asyncio (resolving, connecting) happens in the transport.

Cancelling throws at once, where the coroutine waits. So a client's disconnect reaches its upstream without a detour.
"""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from inspect import CORO_CLOSED, CORO_RUNNING, getcoroutinestate
from typing import Generic, TypeVar, cast

T = TypeVar("T")
_PENDING = object()
_logger = logging.getLogger(__name__)


class Suspension:
    """The value that such a coroutine yields while it waits: it holds the task to resume."""

    task: "EagerTask | None" = None


class Waiter(Suspension, Generic[T]):
    """A value that is set later, for one coroutine."""

    _value: object = _PENDING

    def set(self, value: T) -> None:
        """Set the value and run the coroutine on. Later values are ignored."""
        if self._value is not _PENDING:
            return
        self._value = value
        task = self.task
        if task is not None:
            self.task = None
            task.resume()

    def __await__(self) -> Generator[Suspension, None, T]:
        if self._value is _PENDING:
            yield self
        return cast("T", self._value)


class Bell(Suspension):
    """Wakes one coroutine repeatedly. A ring during no wait is kept for the next wait."""

    _has_rung = False

    def ring(self) -> None:
        """Run the coroutine on."""
        self._has_rung = True
        task = self.task
        if task is not None:
            self.task = None
            task.resume()

    def _wake(self) -> None:
        task = self.task
        if task is not None:
            self.task = None
            task.resume()

    def __await__(self) -> Generator[Suspension, None, bool]:
        """Wait. Return whether it rang; if not, the time is over."""
        if not self._has_rung:
            yield self
        has_rung, self._has_rung = self._has_rung, False
        return has_rung

    async def within(self, delay_s: float) -> bool:
        """Wait for at most `delay_s` seconds. Return whether it rang."""
        timer = asyncio.get_running_loop().call_later(delay_s, self._wake)
        try:
            return await self
        finally:
            timer.cancel()


class EagerTask:
    """Runs a coroutine that awaits only `Waiter`s and `Bell`s. Exceptions that leave the coroutine are logged."""

    def __init__(self, coroutine: Coroutine[Suspension, None, None], error: type[Exception]) -> None:
        """`error` is the type of exception that `cancel` throws into the coroutine."""
        self._coroutine = coroutine
        self._steps = coroutine.__await__()
        self._error = error
        self._waiter: Suspension | None = None
        self._is_cancelled = False  # and the coroutine has not been notified yet

    @property
    def is_done(self) -> bool:
        return getcoroutinestate(self._coroutine) == CORO_CLOSED

    def resume(self) -> None:
        """Run up to the first wait, or on to the next one."""
        steps = self._steps
        try:
            waiter = None if self._is_cancelled else next(steps, None)  # `send` would end with a costly exception
            while self._is_cancelled:
                self._is_cancelled = False
                waiter = steps.throw(self._error)
            if waiter is not None:
                waiter.task = self
                self._waiter = waiter
        except StopIteration:
            pass
        except Exception:
            # The top of a background task: no caller could handle it.
            self._coroutine.close()
            _logger.exception("a request ended with an internal error")

    def cancel(self) -> None:
        """Throw into the coroutine where it waits; if it is running, at its next wait."""
        state = getcoroutinestate(self._coroutine)
        if state == CORO_CLOSED:
            return
        self._is_cancelled = True
        if state != CORO_RUNNING:
            if self._waiter is not None:
                self._waiter.task = None
            self.resume()
