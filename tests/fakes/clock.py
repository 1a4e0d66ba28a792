"""Time in tests: moved by hand where what is tested reads a clock, and a bound on waiting where it does not."""

import asyncio
from collections.abc import Callable
from time import monotonic, thread_time
from types import ModuleType

import pytest

PATIENCE_S = 60.0  # says only when to stop waiting, and nothing of how long it should take: machines are slow and busy
SOON_S = 5.0  # what does not wait for a limit of tens of seconds ends within this, on those as well


class Clock:
    """Stands in for the monotonic clock of modules. It stands still until a test moves `now`."""

    def __init__(self) -> None:
        self.now = float(int(monotonic()))  # what reads the real one may be handed to what reads this

    def __call__(self) -> float:
        return self.now

    @classmethod
    def of(cls, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> "Clock":
        clock = cls()
        for module in modules:
            monkeypatch.setattr(module, "monotonic", clock)
        return clock

    async def run_until(self, condition: Callable[[], object], step_s: float = 0.01) -> float:
        """Let time pass until something has come about; how much did. All that is ready in the loop has its turn
        in each step."""
        began = self.now
        while not condition():
            self.now += step_s
            await asyncio.sleep(0.001)
        return self.now - began


_STANDARD_S = 0.008  # of CPU time for `_work`, on the machine that bounds were set on


def _work() -> int:
    found: dict[str, int] = {}
    for number in range(60_000):
        text = str(number % 5000)
        found[text] = found.get(text, 0) + len(text)
    return len(found)


def pace() -> float:
    """How many times as much CPU time as usual this machine takes now. By that, a bound in CPU time grows."""
    began = thread_time()
    _work()
    return max(1.0, (thread_time() - began) / _STANDARD_S)
