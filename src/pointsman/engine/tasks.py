"""Coroutines that start at once and go on inside the callback that wakes them.

An `asyncio.Task` starts one turn of the loop after it was made and goes on one turn after its future was set: two
trips through the loop's queue for every wait of every request. A request here waits for one thing, its upstream, whose
bytes arrive in a callback; so the callback runs the request on, then and there. Nothing but `Waiter` may be awaited
inside such a coroutine: what needs asyncio (resolving, connecting) happens in the transport.

Cancelling throws at once, where the coroutine waits; a client's disconnect so reaches its upstream without a detour.
"""

import logging
from collections.abc import Coroutine, Generator
from typing import Generic, TypeVar, cast

T = TypeVar("T")
_PENDING = object()
_logger = logging.getLogger(__name__)


class Wait:
    """What such a coroutine yields while it waits: the place where its task is told to run on."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: EagerTask | None = None

    def bind(self, task: "EagerTask | None") -> None:
        self._task = task


class Waiter(Wait, Generic[T]):
    """A value that will be there later, for one coroutine."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        super().__init__()
        self._value: object = _PENDING

    def set(self, value: T) -> None:
        """Give the value and run the coroutine on. Later values are ignored."""
        if self._value is not _PENDING:
            return
        self._value = value
        task = self._task
        if task is not None:
            self._task = None
            task.resume()

    def __await__(self) -> Generator[Wait, None, T]:
        if self._value is _PENDING:
            yield self
        return cast("T", self._value)


class EagerTask:
    """Runs a coroutine that awaits only `Waiter`s. Exceptions that leave the coroutine are logged."""

    __slots__ = ("_coroutine", "_error", "_is_running", "_thrown", "_waiter", "is_done")

    def __init__(self, coroutine: Coroutine[Wait, None, None], error: type[Exception]) -> None:
        """`error` is what `cancel` throws into the coroutine."""
        self._coroutine = coroutine
        self._error = error
        self._waiter: Wait | None = None
        self._is_running = False
        self._thrown = False
        self.is_done = False

    def start(self) -> None:
        """Run up to the first wait."""
        self.resume()

    def resume(self) -> None:
        """Run on. Called by the waiter."""
        self._waiter = None
        self._is_running = True
        coroutine = self._coroutine
        try:
            while True:
                if self._thrown:
                    self._thrown = False
                    waiter = coroutine.throw(self._error)
                else:
                    waiter = coroutine.send(None)
                if not self._thrown:
                    break
            waiter.bind(self)
            self._waiter = waiter
        except StopIteration:
            self.is_done = True
        except Exception:
            # The top of a background task: nobody above could handle it.
            self.is_done = True
            _logger.exception("a request ended with an error of the gateway's own")
        except BaseException:
            self.is_done = True
            raise
        finally:
            self._is_running = False

    def cancel(self) -> None:
        """Throw into the coroutine where it waits; where it is running, at its next wait."""
        if self.is_done:
            return
        self._thrown = True
        if not self._is_running:
            waiter = self._waiter
            if waiter is not None:
                waiter.bind(None)
            self.resume()
