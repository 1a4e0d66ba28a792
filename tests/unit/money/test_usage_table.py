"""Control's knowledge of the used amounts of limits."""

from fakes.money import limit
from pointsman.domain.leases import LeaseRequest, UsedElsewhere, UsedHere
from pointsman.domain.limits import Limit
from pointsman.money.leases import CORRECTIONS, LeaseTable
from pointsman.money.usage_table import KEPT_S, PATIENCE_S, UsageTable

NOW = 1_764_000_000.0
DAY = int(NOW // 86_400) * 86_400
TOMORROW = DAY + 86_400
USD = limit("usd", 1000)
NAME = USD.counter
T = 50.0  # monotonic


class Control:
    """A lease table with two connected workers, and the counters that they read."""

    def __init__(self, *workers: int) -> None:
        self.leases = LeaseTable(len(workers))
        self.limits: dict[str, Limit] = {NAME: USD}
        self.leases.configure(self.limits)
        self.usage = UsageTable(self.leases)
        for epoch in workers:
            self.leases.join(epoch, epoch, NOW)
            assert self.usage.connected(epoch, T) == []

    def watch(self, epoch: int, now: float = T) -> list[str]:
        return self.usage.watch(epoch, [(NAME, DAY)], now)

    def report(self, epoch: int, amount: int, window: int = DAY) -> None:
        self.usage.reported(epoch, [UsedHere(NAME, window, amount)])

    def grant(self, epoch: int, amount: int) -> int:
        grants, _ = self.leases.ask(epoch, [LeaseRequest(NAME, DAY, amount)])
        return grants[0].granted

    def amounts(self, now: float = T) -> dict[int, int]:
        """Return the amounts sent, by worker."""
        return {epoch: one.amount for epoch, (one,) in self.usage.amounts(now).items()}


def test_first_answer_waits_for_the_reports_of_all_workers() -> None:
    control = Control(1, 2)
    assert control.grant(2, 10) > 100
    assert control.watch(1) == [NAME]
    assert control.watch(1) == []
    assert control.usage.is_awaited
    assert control.usage.first_amounts(T) == {}
    assert control.usage.amounts(T) == {}
    control.report(1, 0)
    control.report(2, 7)
    assert control.usage.first_amounts(T) == {1: [UsedElsewhere(NAME, DAY, 7)]}
    assert not control.usage.is_awaited
    assert control.amounts() == {}


def test_whole_lease_of_a_silent_worker_counts_as_used() -> None:
    control = Control(1, 2)
    lease = control.grant(2, 10)
    control.watch(1)
    control.report(1, 0)
    assert control.amounts(T + PATIENCE_S - 0.01) == {}
    assert control.amounts(T + PATIENCE_S) == {1: lease}
    control.report(2, 7)
    assert control.amounts(T + PATIENCE_S) == {1: 7}


def test_only_changes_are_sent() -> None:
    control = Control(1, 2)
    control.watch(1)
    control.watch(2)
    control.report(1, 3)
    control.report(2, 7)
    assert control.amounts() == {1: 7, 2: 3}
    control.report(2, 8)
    assert control.amounts() == {1: 8}
    control.report(2, 8)
    assert control.amounts() == {}


def test_ingested_spending_above_a_report_counts() -> None:
    control = Control(1, 2)
    control.watch(1)
    control.report(1, 3)
    control.report(2, 7)
    control.leases.charge(2, NAME, DAY, 9)
    control.leases.charge(1, NAME, DAY, 5)
    control.leases.charge(99, NAME, DAY, 100)
    control.leases.charge(CORRECTIONS, NAME, DAY, -30)
    assert control.usage.amounts(T) == {1: [UsedElsewhere(NAME, DAY, 9 + 100 - 30, 5)]}


def test_reports_of_a_lost_worker_count_for_a_moment() -> None:
    control = Control(1, 2)
    lease = control.grant(2, 10)
    control.watch(1)
    control.report(1, 0)
    control.report(2, 7)
    assert control.amounts() == {1: 7}
    assert control.usage.lost(2, T) == []
    assert control.amounts(T + KEPT_S) == {}
    assert control.amounts(T + KEPT_S + 0.01) == {1: lease}
    control.leases.charge(2, NAME, DAY, 9)
    control.leases.retire(2, NOW)
    assert control.amounts(T + KEPT_S + 0.02) == {1: 9}


def test_reconnected_worker_is_given_time_to_report() -> None:
    """Its earlier report may be too high: it may have returned some of its lease over the lost connection."""
    control = Control(1, 2)
    lease = control.grant(2, 10)
    control.watch(1)
    control.report(1, 0)
    control.report(2, 7)
    control.amounts()
    control.usage.lost(2, T)
    assert control.usage.connected(2, T + 0.5) == [NAME]
    assert control.amounts(T + 0.5) == {}
    assert control.amounts(T + 0.5 + PATIENCE_S) == {1: lease}
    control.report(2, 5)
    assert control.amounts(T + 10) == {1: 5}


def test_new_worker_is_given_time_to_report() -> None:
    control = Control(1)
    control.watch(1)
    control.report(1, 0)
    control.amounts()
    control.leases.join(2, 2, NOW)
    assert control.usage.connected(2, T + 5) == [NAME]
    lease = control.grant(2, 10)
    assert control.amounts(T + 5) == {}
    assert control.amounts(T + 5 + PATIENCE_S) == {1: lease}


def test_counter_without_readers_is_dropped() -> None:
    control = Control(1, 2)
    control.watch(1)
    assert control.watch(2) == []
    assert control.usage.drop(1, [NAME, "unknown"]) == []
    assert control.usage.drop(1, [NAME]) == []
    control.report(1, 3)
    control.report(2, 7)
    assert control.amounts() == {2: 3}
    assert control.usage.lost(2, T) == [NAME]
    assert control.usage.is_idle
    control.report(1, 4)
    assert control.amounts() == {}


def test_new_window_begins_with_the_first_worker_in_it() -> None:
    control = Control(1, 2)
    control.watch(1)
    control.report(1, 3)
    control.report(2, 7)
    control.amounts()
    control.report(2, 2, TOMORROW)
    assert control.usage.amounts(T) == {1: [UsedElsewhere(NAME, TOMORROW, 2)]}
    control.report(2, 8, DAY)
    assert control.amounts() == {1: 0}, "the worker has not used the new window"


def test_window_of_another_zone_replaces_a_later_one() -> None:
    control = Control(1, 2)
    control.watch(1)
    control.report(1, 0)
    control.usage.reported(2, [UsedHere(NAME, DAY + 3600, 5)])
    assert control.usage.amounts(T) == {1: [UsedElsewhere(NAME, DAY + 3600, 5)]}
    control.report(2, 2, DAY)
    assert control.usage.amounts(T) == {1: [UsedElsewhere(NAME, DAY, 2)]}


def test_amounts_before_a_grant_are_only_for_its_worker() -> None:
    control = Control(1, 2)
    control.watch(1)
    assert control.usage.amounts_for(1, [NAME]) == [], "the first amount is not known yet"
    control.report(1, 0)
    control.report(2, 7)
    control.amounts()
    control.report(2, 3)
    assert control.usage.amounts_for(2, [NAME]) == []
    assert control.usage.amounts_for(1, [NAME, "unknown"]) == [UsedElsewhere(NAME, DAY, 3)]
    assert control.amounts() == {}


def test_counters_are_compared_in_turn() -> None:
    control = Control(1)
    names = [f"virtual_key:{number}|usd|day" for number in range(10)]
    control.usage.watch(1, [(name, DAY) for name in names], T)
    control.usage.reported(1, [UsedHere(name, DAY, 0) for name in names])
    control.usage.amounts(T, 3)
    for name in names:
        control.leases.charge(99, name, DAY, 5)
    found = [len(control.usage.amounts(T, 3).get(1, [])) for _ in range(5)]
    assert sum(found) == 10
    assert max(found) == 3
