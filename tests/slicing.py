"""Selection of some of the slow tests for CI. A seed determines the selection.

    pytest -m "slow and not real" --slice 30 --slice-seed 7 --slice-minutes 12

draws one case of every slow test and further cases at random, 30 in total or as many as there are tests. No case begins
after the given minutes; the remaining ones are reported as skipped. The seed is printed, so that a failure can be
repeated.
"""

import os
import random
from collections.abc import Iterable, Iterator
from time import monotonic

import pytest

SEED = "POINTSMAN_SLICE_SEED"  # so that every process of pytest-xdist draws the same cases


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("slice")
    group.addoption("--slice", type=int, metavar="N", help="draw so many cases of the slow tests")
    group.addoption("--slice-seed", type=int, metavar="SEED", help="draw the same cases again")
    group.addoption("--slice-minutes", type=float, metavar="M", default=12.0, help="begin no case after so long")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--slice") is None:
        return
    seed = config.getoption("--slice-seed")
    if seed is None:
        seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(2**32))
    os.environ[SEED] = str(seed)
    config.pluginmanager.register(_Slice(config.getoption("--slice"), seed, config.getoption("--slice-minutes") * 60))


class _Slice:
    def __init__(self, count: int, seed: int, length_s: float) -> None:
        self._count = count
        self._seed = seed
        self._length_s = length_s
        self._ends_at = monotonic() + length_s

    def pytest_report_header(self) -> str:
        return f"slice: {self._count} slow cases drawn with --slice-seed {self._seed}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(f"this slice again: make test-slice SEED={self._seed}")

    @pytest.hookimpl(trylast=True)  # runs after the marks were evaluated
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        drawn = list(draw((item.nodeid for item in items), self._count, self._seed))
        kept = set(drawn)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
        by_name = {item.nodeid: item for item in items}
        items[:] = [by_name[name] for name in drawn]

    def pytest_runtest_setup(self) -> None:
        if monotonic() > self._ends_at:
            pytest.skip(f"the {self._length_s / 60:g} minutes of the slice are over")


def draw(names: Iterable[str], count: int, seed: int) -> Iterator[str]:
    """Draw one case of each test in random order, then others at random, up to `count` in total or one per test."""
    rng = random.Random(seed)
    shuffled = sorted(names)
    rng.shuffle(shuffled)
    firsts: dict[str, str] = {}
    for name in shuffled:
        firsts.setdefault(name.partition("[")[0], name)
    yield from firsts.values()
    taken = set(firsts.values())
    yield from [name for name in shuffled if name not in taken][: max(0, count - len(firsts))]
