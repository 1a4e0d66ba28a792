"""Counts the instructions of one request by Python function, by single steps of the processor.

    python -m bench.functions --json docs/measurements/functions.json

The worker of a whole gateway runs alone, with all features on, as in `bench.gateway`, and steps through a few requests
to a model with adaptive routing over four targets. Its clock advances with each reading (`_slow_clock`). The
instructions of C functions count for the function that calls them. Those of the kernel and of the event loop are not
counted. It needs gcc.
"""

import argparse
import ctypes
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.gateway import ADAPTIVE, DEGRADED, PLAIN, STREAM
from bench.instructions import Client, compiled, count_within, running, serve, work

_NAME, _COUNTS = "stepper", "counts.tsv"
_TOGGLE = signal.SIGRTMIN + 5
_READING_S = 20e-6  # a request reads the clock about 25 times
_WARM = 1500  # each key is seen often enough that its head, its terms and most orders are remembered
UNIQUE = "bench-unique"  # requests for `PLAIN` with such a header
_TITLES = {
    PLAIN: "weighted over two targets",
    ADAPTIVE: "adaptive over four targets under heavy traffic",
    STREAM: "a stream of 53 events",
    DEGRADED: "weighted over two targets, one of them degraded",
    UNIQUE: "weighted over two targets, a header unique per request",
}
_PACKAGE = f"{Path('src', 'pointsman')}/"


def _slow_clock() -> Callable[[], float]:
    """Return a clock that advances with each reading. A stepped request takes seconds, but reads the clock as often as
    any other. So the worker sees about 2,000 requests a second, and learns as it would from them."""
    began_at, readings = time.monotonic(), itertools.count()
    return lambda: began_at + next(readings) * _READING_S


def _start_worker() -> None:
    """Run a child of the supervisor that steps through the functions that the event loop calls for a request."""
    time.monotonic = _slow_clock()  # before any module of the worker imports it
    folder = os.environ["TOOL_FOLDER"]
    library = ctypes.PyDLL(f"{folder}/{_NAME}.so")
    library.stepper_install(f"{folder}/{_COUNTS}".encode(), _TOGGLE)
    count_within(library.stepper_begin, library.stepper_end)
    work()


def _wrapped(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "bench.functions", *arguments[-2:]]


def _find(folder: Path) -> int:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            found = words[1:4] == [b"-m", b"bench.functions", b"worker"]
            if found and f"TOOL_FOLDER={folder}".encode() in (path / "environ").read_bytes():
                return int(path.name)
        except OSError:
            continue
    raise RuntimeError("no worker runs")


class Counts:
    """The instructions of one request, by function and by line, in whole instructions."""

    def __init__(self, lines: Iterable[str], requests: int) -> None:
        own, total, by_line = Counter[str](), Counter[str](), Counter[str]()
        for text in lines:
            own_count, total_count, line, file, name = text.split("\t")
            if file.endswith("bench/instructions.py"):
                continue
            place = f"{file.partition(_PACKAGE)[2] or Path(file).name}:{name}"
            own[place] += int(own_count)
            total[place] += int(total_count)
            if int(line) >= 0:
                by_line[f"{place}:{line}"] += int(own_count)
        self.all = sum(own.values()) // requests
        self.own = {name: count // requests for name, count in own.most_common()}
        self.total = {name: count // requests for name, count in total.most_common()}
        self.by_line = {name: count // requests for name, count in by_line.most_common()}


def _step(client: Client, pid: int, folder: Path, model: str, count: int) -> Counts:
    is_unique, model = model == UNIQUE, PLAIN if model == UNIQUE else model
    client.ask(model, _WARM, unique=is_unique)
    counts = folder / _COUNTS
    counts.unlink(missing_ok=True)
    os.kill(pid, _TOGGLE)
    client.ask(model, count, unique=is_unique)
    os.kill(pid, _TOGGLE)
    while not counts.exists() or not counts.read_text().endswith("end\n"):
        time.sleep(0.05)
    return Counts(counts.read_text().splitlines()[:-1], count)


def measure(models: Iterable[str], count: int) -> dict[str, Counts]:
    """Return the counts by model."""
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
        folder = Path(name)
        compiled(folder, _NAME)
        with running(folder, "bench.functions") as client:
            pid = _find(folder)
            return {model: _step(client, pid, folder, model, count) for model in models}


def main() -> int:
    if sys.argv[1:2] == ["serve"]:
        serve(_wrapped)
        return 0
    if sys.argv[1:2] == ["worker"]:
        _start_worker()
    parser = argparse.ArgumentParser(prog="python -m bench.functions")
    parser.add_argument("--models", nargs="+", default=[ADAPTIVE], choices=_TITLES)
    parser.add_argument("--requests", type=int, default=5)
    parser.add_argument("--least", type=int, default=1000, help="the instructions of the least function in the file")
    parser.add_argument("--lines", type=int, default=0, metavar="N", help="print the N dearest lines too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    given = parser.parse_args()
    missing = [tool for tool in ("nginx", "gcc") if shutil.which(tool) is None]
    if missing:
        print("skipped: this needs " + ", ".join(missing))
        return 0
    figures = {}
    for model, counts in measure(given.models, given.requests).items():
        shown = {name: count for name, count in counts.own.items() if count >= given.least}
        figures[_TITLES[model]] = {
            "all": counts.all,
            "functions": {name: [count, counts.total[name]] for name, count in shown.items()},
            "others": counts.all - sum(shown.values()),
        }
        print(f"{_TITLES[model]}: {counts.all:,} instructions")
        for name, count in shown.items():
            print(f"{count:9,} {counts.total[name]:9,}  {name}")
        for name, count in list(counts.by_line.items())[: given.lines]:
            print(f"{count:9,}  {name}")
    if given.json:
        given.json.write_text(json.dumps({"instructions": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
