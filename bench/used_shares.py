"""`python -m bench.used_shares`: the cost of knowing the used amounts of limits.

The share of one core that control spends while each worker changes 1,000 counters in every tick, with frames encoded
and decoded; the same for a worker; and the time of a decision's read. No sockets: those carry a few frames per second.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

from pointsman.domain.leases import NO_SHARE, Grant
from pointsman.domain.limits import Limit, Period
from pointsman.link.frames import FROM_CONTROL, FROM_WORKER, SharedUsage, WorkerUsage, encode
from pointsman.money.leases import LeaseTable
from pointsman.money.ledger import Ledger
from pointsman.money.usage import TICK_S, UsedAmounts
from pointsman.money.usage_table import UsageTable

NOW = 1_764_000_000.0
DAY = Period("day")
START = DAY.window(NOW)[0]
TICKS = 40


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.used_shares", description=__doc__)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = {
        "tick_s": TICK_S,
        "busy": [_measure(workers, 1000, 1000) for workers in (1, 2, 4, 8)],
        "mostly_idle": _measure(2, 10_000, 100),
    }
    text = json.dumps(found, indent=1) + "\n"
    (given.json.write_text if given.json is not None else print)(text)
    return 0


class _Worker:
    def __init__(self, limits: list[Limit]) -> None:
        self.ledger = Ledger(NO_SHARE)
        self.ledger.reconfigure({one.counter: one for one in limits}, NOW)
        self.amounts = UsedAmounts(self.ledger)
        self.amounts.share(lambda: None)
        self.amounts.connected()
        self.accounts = [self.ledger.account((one,)) for one in limits]
        self.ledger.granted([Grant(one.counter, START, 10**9, 0, 0) for one in limits])
        self.number = 0

    def spend(self, count: int) -> None:
        """Use this many counters."""
        for account in self.accounts[:count]:
            self.number += 1
            self.ledger.reserve(account, str(self.number), 5, 1, 1, NOW)
            self.ledger.settle(str(self.number), 3, 1)


def _measure(size: int, counters: int, busy: int) -> dict[str, Any]:
    limits = [
        Limit(level="virtual_key", owner=f"virtual_key:key-{number}", metric="usd", period=DAY, amount=10**12)
        for number in range(counters)
    ]
    leases = LeaseTable(size)
    leases.configure({one.counter: one for one in limits})
    table = UsageTable(leases)
    workers = {epoch: _Worker(limits) for epoch in range(1, size + 1)}
    for epoch, worker in workers.items():
        leases.join(epoch, epoch, NOW)
        table.connected(epoch, 0.0)
        for limit in limits:
            worker.amounts.used(limit, NOW)
    for worker in workers.values():
        worker.amounts.wanted([one.counter for one in limits], ())
    _cycle(table, workers, 0)
    control_s, worker_s, frame_bytes = 0.0, 0.0, 0
    for _ in range(TICKS):
        for worker in workers.values():
            worker.spend(busy)
        one = _cycle(table, workers, 1)
        control_s, worker_s, frame_bytes = control_s + one[0], worker_s + one[1], frame_bytes + one[2]
    amounts, limit = workers[1].amounts, limits[0]
    assert amounts.used(limit, NOW) == size * 3 * (TICKS if busy else 0)
    return {
        "workers": size,
        "counters": counters,
        "busy_counters": busy,
        "control_ms_per_tick": round(control_s / TICKS * 1000, 3),
        "control_percent_of_a_core": round(control_s / TICKS / TICK_S * 100, 2),
        "worker_ms_per_tick": round(worker_s / TICKS / size * 1000, 3),
        "worker_percent_of_a_core": round(worker_s / TICKS / size / TICK_S * 100, 2),
        "frame_kib_per_tick": round(frame_bytes / TICKS / 1024, 1),
        "read_ns": round(_each_ns(lambda: amounts.used(limit, NOW))),
    }


def _cycle(table: UsageTable, workers: dict[int, _Worker], now: float) -> tuple[float, float, int]:
    """Let all workers report, and control send. Return the CPU seconds of control and of the workers, and the bytes."""
    began, bodies = process_time(), {}
    for epoch, worker in workers.items():
        worker.amounts.tick()
        worker.amounts.heard()
        changes = worker.amounts.changes()
        if changes is not None:
            bodies[epoch] = encode(WorkerUsage(changes.watch, changes.drop, changes.used))
    reported = process_time()
    for epoch, body in bodies.items():
        frame = FROM_WORKER.decode(body[4:])
        assert isinstance(frame, WorkerUsage)
        table.watch(epoch, frame.watch, now)
        table.reported(epoch, frame.used)
    answers = {epoch: encode(SharedUsage([], [], some)) for epoch, some in table.amounts(now).items()}
    sent = process_time()
    for epoch, body in answers.items():
        answer = FROM_CONTROL.decode(body[4:])
        assert isinstance(answer, SharedUsage)
        workers[epoch].amounts.take(answer.used)
    ended = process_time()
    size = sum(map(len, bodies.values())) + sum(map(len, answers.values()))
    return sent - reported, reported - began + ended - sent, size


def _each_ns(call: Callable[[], object], times: int = 200_000) -> float:
    began = process_time()
    for _ in range(times):
        call()
    return (process_time() - began) / times * 1e9


if __name__ == "__main__":
    raise SystemExit(main())
