"""Runs long work for one request in a thread beside the loop, so that other requests are served meanwhile.

The interpreter switches between the two every few milliseconds, and after each call into C. So the loop waits no longer
than for the longest such call, which bounds on input keep short (`wire.bounds`). Small work stays in the loop: a round
trip to the thread takes some 50 microseconds.
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
    """One thread, which is started when it is first needed."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[[Unpack[A]], T], *arguments: *A) -> T:
        """Return the result of `function`, or raise its exception."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "beside")
        loop = asyncio.get_running_loop()
        done: Waiter[Future[T]] = Waiter()

        def tell(future: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop has ended, so no request waits
                loop.call_soon_threadsafe(done.set, future)

        self._thread.submit(function, *arguments).add_done_callback(tell)
        return (await done).result()

    def close(self) -> None:
        """Stop the thread, and cancel calls that have not begun."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
