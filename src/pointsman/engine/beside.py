"""What takes long for one request, done by a thread beside the loop: others are served meanwhile.

The interpreter changes between the two every few milliseconds, and after each call of C's. So the loop waits no longer
than for the longest of these, which bounds on what is read keep short (`wire.bounds`). Small things are not worth the
way there and back, some 50 microseconds.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, TypeVarTuple, Unpack

from pointsman.engine.tasks import Waiter

T = TypeVar("T")
A = TypeVarTuple("A")


class Beside:
    """One thread, which is started when it is first needed."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def call(self, function: Callable[[Unpack[A]], T], *arguments: *A) -> T:
        """What `function` returns, or raises."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "beside")
        loop = asyncio.get_running_loop()
        done: Waiter[Future[T]] = Waiter()

        def tell(future: Future[T]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(done.set, future)

        self._thread.submit(function, *arguments).add_done_callback(tell)
        return (await done).result()

    def close(self) -> None:
        """Leave undone what was not begun."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
