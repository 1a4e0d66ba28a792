"""Coroutines that start at once and resume inside the callback that wakes them.

An `asyncio.Task` starts one turn of the event loop after its creation, and resumes one turn after its future is set. So
each wait of a request would take two turns. A request waits only for its upstream, whose bytes arrive in a callback,
and here that callback resumes the request directly. Only `Waiter` and `Bell` may be awaited inside such a coroutine.
Work that needs asyncio (resolving, connecting) happens in the transport.

Cancelling throws an exception into the coroutine at once. So a client's disconnect reaches its upstream without delay.
"""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from inspect import CORO_CLOSED, CORO_RUNNING, getcoroutinestate
from typing import Generic, TypeVar, cast

T = TypeVar("T")
_PENDING = object()
_logger = logging.getLogger(__name__)


class Cancelled(Exception):  # noqa: N818 -- not an error: it ends a waiting request
    """The client disconnected, or the gateway shuts down and does not wait for the end of the answer."""


class Suspension:
    """The value that such a coroutine yields while it waits. It holds the task to resume."""

    task: "EagerTask | None" = None


class Waiter(Suspension, Generic[T]):
    """A value that is set later, for one coroutine."""

    _value: object = _PENDING

    def set(self, value: T) -> None:
        """Set the value and resume the coroutine. Later values are ignored."""
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
    """Wakes one coroutine repeatedly. A ring while the coroutine does not wait is kept for its next wait."""

    _has_rung = False

    def ring(self) -> None:
        """Resume the coroutine."""
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
        """Wait. Return whether the bell rang. If not, the time of `within` is over."""
        if not self._has_rung:
            yield self
        has_rung, self._has_rung = self._has_rung, False
        return has_rung

    async def within(self, delay_s: float) -> bool:
        """Wait for at most `delay_s` seconds. Return whether the bell rang."""
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
        """Run to the first wait, or to the next one."""
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
        except Exception:  # the top of a background task: no caller could handle it
            self._coroutine.close()
            _logger.exception("a request ended with an internal error")

    def cancel(self) -> None:
        """Throw the error into the coroutine at its present wait, or at its next one if it is running."""
        state = getcoroutinestate(self._coroutine)
        if state == CORO_CLOSED:
            return
        self._is_cancelled = True
        if state != CORO_RUNNING:
            if self._waiter is not None:
                self._waiter.task = None
            self.resume()
