"""Runs long work of a request in another thread, so that the event loop serves other requests meanwhile.

The interpreter switches between the threads every few milliseconds, but only after the present call into C has
returned. Bounds on input keep these calls short (`wire.bounds`). Small work stays in the event loop, since a round trip
to the thread takes some 50 microseconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, TypeVarTuple, Unpack

from pointsman.engine.tasks import Waiter

T = TypeVar("T")
A = TypeVarTuple("A")


class BackgroundThread:
    """One thread, which starts at its first use."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[[Unpack[A]], T], *arguments: *A) -> T:
        """Return the result of `function`, or raise its exception."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "background")
        loop = asyncio.get_running_loop()
        done: Waiter[Future[T]] = Waiter()

        def notify(future: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop has ended, so no request waits
                loop.call_soon_threadsafe(done.set, future)

        self._thread.submit(function, *arguments).add_done_callback(notify)
        return (await done).result()

    def close(self) -> None:
        """Stop the thread, and cancel calls that have not begun."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
