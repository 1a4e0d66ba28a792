"""Time in tests: a manual clock for code that reads a clock, and an upper bound for all other waits."""

import asyncio
from collections.abc import Callable
from time import monotonic, thread_time

PATIENCE_S = 60.0  # bound of a wait that would never end; usual waits are shorter, but machines may be slow and busy
SOON_S = 5.0  # bound, also on slow machines, of a wait that must not depend on limits of tens of seconds


class Clock:
    """A replacement for the monotonic clock of modules. It stands still until a test moves `now`."""

    def __init__(self) -> None:
        self.now = float(int(monotonic()))  # starts at the real time, because some code still reads the real clock

    def __call__(self) -> float:
        return self.now

    async def run_until(self, condition: Callable[[], object], step_s: float = 0.01) -> float:
        """Advance the time until the condition holds, and return the time it took. In each step the loop runs
        everything that is ready."""
        began_at = self.now
        while not condition():
            self.now += step_s
            await asyncio.sleep(0.001)
        return self.now - began_at


_STANDARD_S = 0.008  # CPU seconds of `_work` on the machine for which bounds were set


def _work() -> int:
    found: dict[str, int] = {}
    for number in range(60_000):
        text = str(number % 5000)
        found[text] = found.get(text, 0) + len(text)
    return len(found)


def pace() -> float:
    """Return how much slower than usual this machine is now, in CPU time. Bounds in CPU time are multiplied by it."""
    began_at = thread_time()
    _work()
    return max(1.0, (thread_time() - began_at) / _STANDARD_S)
