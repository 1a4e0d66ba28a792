"""The used amounts that decisions read, over the same random histories as in `test_money`.

A known amount is never above the limit, and is never below the worker's own spending and reservations. When everything
is quiet, each worker knows exactly the amount that all have spent and reserved.
"""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from pointsman.domain.leases import UsedElsewhere
from pointsman.money.leases import CORRECTIONS
from pointsman.money.usage import UsedAmounts, _used
from pointsman.money.usage_table import KEPT_S, PATIENCE_S, UsageTable
from properties.test_money import SHAPES, WORKER_INDEX, Money, Worker, limit_of

ACTIONS = ("reserve", "reserve", "settle", "read", "tick", "up", "up", "down", "down", "all", "wait")
STEPS = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.integers(1, 300))


class UsedMoney(Money):
    def start(self, slot: int) -> None:
        super().start(slot)
        epoch, worker = list(self.all.items())[-1]
        usage = self.usages()[epoch] = UsedAmounts(worker.ledger)
        usage.share(lambda: self._send_changes(worker))

    def usages(self) -> dict[int, UsedAmounts]:
        """The knowledge of each worker, by epoch."""
        found: dict[int, UsedAmounts] = self.__dict__.setdefault("all_usages", {})
        return found

    def up(self) -> set[int]:
        """The workers that control has welcomed over their present connection."""
        found: set[int] = self.__dict__.setdefault("all_up", set())
        return found

    def usage_of(self, worker: Worker) -> UsedAmounts:
        return self.usages()[worker.epoch]

    def _new_lease_table(self) -> None:
        super()._new_lease_table()
        self.table = UsageTable(self.leases)

    # Actions.

    @rule(index=WORKER_INDEX, kind=st.sampled_from(sorted(SHAPES)))
    def read_amount(self, index: int, kind: str) -> None:
        worker = self.one_of(index, self.living())
        if worker is not None:
            self.usage_of(worker).used(worker.limits[limit_of(kind, 0).counter], self.now)

    @rule(index=WORKER_INDEX)
    def tick_of_a_worker(self, index: int) -> None:
        worker = self.one_of(index, self.living())
        if worker is not None:
            self.usage_of(worker).tick()
            self._send_changes(worker)

    @rule()
    def tick_of_control(self) -> None:
        if self.knows_all():
            self._send_amounts(self.table.amounts(self.now))

    @rule(steps=st.lists(STEPS, min_size=10, max_size=40))
    def work(self, steps: list[tuple[str, int, int]]) -> None:
        """Many actions in a row, so that a history has enough spending between two faults."""
        for action, index, amount in steps:
            if action == "reserve":
                self.reserve(index, ("usd", "tokens", "requests"), [(amount, amount)], 1)
            elif action == "settle":
                self.settle(index, [amount % 100], again=False)
            elif action == "read":
                self.read_amount(index, ("usd", "tokens", "requests")[amount % 3])
            elif action == "tick":
                self.tick_of_a_worker(index)
                self.tick_of_control()
            elif action == "up":
                self.deliver_up(index, 2)
            elif action == "down":
                self.deliver_down(index, 2)
            elif action == "all":
                self._exchange()
            elif amount > 270:  # rarely: the windows of minutes begin again
                self.pass_time(61.0)
            self.known_amounts_are_within_the_limit()

    @rule(index=WORKER_INDEX)
    def break_line(self, index: int) -> None:
        worker = self.one_of(index, self.living())
        super().break_line(index)
        if worker is not None:
            self._lose(worker)

    @rule(index=WORKER_INDEX)
    def kill(self, index: int) -> None:
        worker = self.one_of(index, self.living())
        super().kill(index)
        if worker is not None and worker.is_dead:
            self._lose(worker)

    @rule()
    def restart_control(self) -> None:
        super().restart_control()
        self.up().clear()

    def _lose(self, worker: Worker) -> None:
        self.up().discard(worker.epoch)
        self._unwanted(self.table.lost(worker.epoch, self.now))

    # Frames.

    def _send_changes(self, worker: Worker) -> None:
        changes = self.usage_of(worker).changes() if worker.epoch in self.up() else None
        if changes is not None:
            worker.to_control.append(("usage", changes))

    def _send_amounts(self, amounts: dict[int, list[UsedElsewhere]]) -> None:
        for epoch, some in amounts.items():
            self._check_lower_bound(epoch, some)
            self.all[epoch].to_worker.append(("usage", ([], [], some)))

    def _check_lower_bound(self, epoch: int, amounts: list[UsedElsewhere]) -> None:
        for one in amounts:
            read, _ = self.leases.used_by((one.counter, one.window))
            assert one.amount >= sum(read.values()) - read.get(epoch, 0), "ingested spending was left out"

    def _unwanted(self, names: list[str]) -> None:
        for epoch in self.connected if names else ():
            if epoch in self.all:
                self.all[epoch].to_worker.append(("usage", ([], names, [])))

    def _control(self, worker: Worker, kind: str, body: Any) -> None:
        table, epoch = self.table, worker.epoch
        if kind == "usage":
            self._unwanted(table.drop(epoch, body.drop))
            wanted = table.watch(epoch, body.watch, self.now)
            table.reported(epoch, body.used)
            for other in self.connected if wanted else ():
                self.all[other].to_worker.append(("usage", (wanted, [], [])))
            if table.is_awaited and self.knows_all():
                self._send_amounts(table.first_amounts(self.now))
            return
        before = {other: len(one.to_worker) for other, one in self.all.items()}
        super()._control(worker, kind, body)
        if kind == "hello":
            worker.to_worker.insert(before[epoch], ("welcome", None))
            worker.to_worker.insert(before[epoch] + 1, ("usage", (table.connected(epoch, self.now), [], [])))
        elif kind == "ask":
            for other, length in before.items():
                queue = self.all[other].to_worker
                grants = [grant for name, body in list(queue)[length:] if name == "granted" for grant in body]
                amounts = table.amounts_for(other, [grant.counter for grant in grants if grant.granted])
                self._check_lower_bound(other, amounts)
                queue.insert(length, ("usage", ([], [], amounts)))

    def _worker(self, worker: Worker, kind: str, body: Any) -> None:
        usage = self.usage_of(worker)
        usage.heard()
        if kind == "welcome":
            self.up().add(worker.epoch)
            usage.connected()
            self._send_changes(worker)
        elif kind == "usage":
            wanted, unwanted, amounts = body
            usage.wanted(wanted, unwanted)
            usage.take(amounts)
            if wanted:
                self._send_changes(worker)
        else:
            if kind == "recall":
                self._send_changes(worker)
            if kind == "snapshot":
                self._send_changes(worker)
                usage.forget_limits()
            super()._worker(worker, kind, body)

    # Invariants.

    @invariant()
    def known_amounts_are_within_the_limit(self) -> None:
        for worker in self.living() if hasattr(self, "now") else ():
            usage = self.usage_of(worker)
            for counter in list(usage._watched):
                limit = worker.limits[counter]
                known = usage.used(limit, self.now)
                if known is not None:
                    start = limit.period.window(self.now)[0]
                    here = _used(worker.ledger.counters, counter, start)
                    # A correction lowers the amount, and no worker knows whose spending it concerns.
                    corrected = self.store.get((counter, start, CORRECTIONS), 0)
                    assert here + corrected <= known <= self.highest_limits[counter], (counter, here, known)

    def teardown(self) -> None:
        """Deliver everything, and compare with the spending."""
        if not hasattr(self, "now"):
            return
        self._quiet()
        assert self.knows_all()
        for _ in range(2):
            for worker in self.living():
                for limit in worker.limits.values():
                    self.usage_of(worker).used(limit, self.now)
                self._send_changes(worker)
            self._exchange()
            self.now += max(PATIENCE_S, KEPT_S) + 0.01
            self._send_amounts(self.table.amounts(self.now))
            self._quiet()
        for worker in self.living():
            for counter, limit in worker.limits.items():
                window = counter, limit.period.window(self.now)[0]
                reserved = sum(amounts.get(window, 0) for one in self.all.values() for amounts in one.open.values())
                assert self.usage_of(worker).used(limit, self.now) == max(self.spent.get(window, 0) + reserved, 0)
        super().teardown()


@pytest.mark.parametrize(
    "examples", [pytest.param(60, id="few"), pytest.param(2000, id="many", marks=[pytest.mark.slow, pytest.mark.long])]
)
def test_used_amounts_are_exact_when_all_is_quiet_and_never_above_the_limit(examples: int) -> None:
    run_state_machine_as_test(
        UsedMoney,
        settings=settings(
            max_examples=examples, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
