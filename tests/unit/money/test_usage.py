"""A worker's knowledge of the used amounts of limits."""

import pytest

from fakes.money import limit
from pointsman.domain.leases import ALONE, NO_SHARE, Grant, Share, UsedElsewhere, UsedHere
from pointsman.domain.limits import Limit
from pointsman.money import usage as module
from pointsman.money.ledger import Ledger, Reservation
from pointsman.money.usage import KEPT_TICKS, SILENT_TICKS, UsageChanges, UsedAmounts

NOW = 1_764_000_000.0
DAY = int(NOW // 86_400) * 86_400
USD = limit("usd", 1000)
OTHER = limit("usd", 1000, name="other")


class Worker:
    """A ledger, and what decisions know."""

    def __init__(self, share: Share = NO_SHARE, *limits: Limit) -> None:
        self.ledger = Ledger(share)
        self.ledger.reconfigure({one.counter: one for one in limits or (USD, OTHER)}, NOW)
        self.amounts = UsedAmounts(self.ledger)
        self.news = 0

    def connect(self) -> None:
        def on_news() -> None:
            self.news += 1

        self.amounts.share(on_news)
        self.amounts.connected()

    def spend(self, amount: int, number: int = 1, of: Limit = USD, now: float = NOW) -> None:
        self.ledger.granted([Grant(of.counter, of.period.window(now)[0], amount, 0, 0)])
        found = self.ledger.reserve(self.ledger.account((of,)), f"a{number}", amount, 1, 1, now)
        assert isinstance(found, Reservation)

    def tell(self, amount: int, at_least: int = 0, window: int = DAY, of: Limit = USD) -> None:
        self.amounts.take([UsedElsewhere(of.counter, window, amount, at_least)])

    def used(self, now: float = NOW, of: Limit = USD) -> int | None:
        return self.amounts.used(of, now)


def test_worker_alone_reports_spent_and_reserved_amounts() -> None:
    worker = Worker(ALONE)
    assert worker.used() == 0
    worker.spend(300)
    assert worker.used() == 300
    worker.ledger.settle("a1", 100, 1)
    assert worker.used() == 100
    assert worker.used(now=NOW + 86_400) == 0
    assert worker.amounts.is_idle


def test_amount_is_unknown_until_control_answers() -> None:
    worker = Worker()
    worker.connect()
    assert worker.used() is None
    assert worker.used() is None
    assert worker.news == 1
    assert worker.amounts.changes() == UsageChanges([(USD.counter, DAY)], [], [])
    assert worker.amounts.changes() is None
    worker.tell(40)
    assert worker.used() == 40
    worker.spend(300)
    assert worker.used() == 340, "the worker knows its own part at once"


def test_worker_counts_what_only_control_knows_of_it() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.tell(40, at_least=200)
    assert worker.used() == 240
    worker.spend(300)
    assert worker.used() == 340
    worker.tell(-500)
    assert worker.used() == 0, "a correction may exceed the spending that is known here"


def test_new_window_is_unused_without_a_message() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.spend(300)
    worker.tell(40)
    tomorrow = NOW + 86_400
    assert worker.used(now=tomorrow) == 0
    worker.spend(10, 2, now=tomorrow)
    assert worker.used(now=tomorrow) == 10
    worker.tell(5, window=DAY + 86_400)
    assert worker.used(now=tomorrow) == 15
    assert worker.used(now=NOW) == 15, "a window never reopens"


def test_window_that_another_worker_opened_first_counts() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.spend(300)
    worker.tell(5, window=DAY + 86_400)
    assert worker.used() == 5


def test_amounts_are_unknown_after_silence_and_known_again_after_a_sign() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.tell(40)
    for _ in range(SILENT_TICKS - 1):
        worker.amounts.tick()
    assert worker.used() == 40
    worker.amounts.tick()
    assert worker.used() is None
    worker.amounts.heard()
    assert worker.used() == 40


def test_amounts_of_the_previous_connection_count_until_they_are_too_old() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.tell(40)
    worker.amounts.changes()
    for _ in range(3):
        worker.amounts.tick()
    worker.amounts.connected()
    assert worker.amounts.changes() == UsageChanges([(USD.counter, DAY)], [], [])
    assert worker.used() == 40
    for _ in range(SILENT_TICKS - 3):
        worker.amounts.tick()
        worker.amounts.heard()
    assert worker.used() is None, "control is alive, but has not answered over this connection"
    worker.tell(50)
    assert worker.used() == 50


def test_amounts_of_an_earlier_connection_do_not_count() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.tell(40)
    worker.amounts.connected()
    worker.amounts.connected()
    assert worker.used() is None


def test_wanted_counters_are_reported_when_they_change() -> None:
    worker = Worker()
    worker.connect()
    worker.amounts.wanted([USD.counter, OTHER.counter], [])
    assert not worker.amounts.is_idle
    found = worker.amounts.changes()
    assert found is not None
    assert found.used == [UsedHere(USD.counter, 0, 0), UsedHere(OTHER.counter, 0, 0)]
    assert worker.amounts.changes() is None
    worker.spend(300)
    assert worker.amounts.changes() == UsageChanges([], [], [UsedHere(USD.counter, DAY, 300)])
    worker.ledger.settle("a1", 100, 1)
    assert worker.amounts.changes() == UsageChanges([], [], [UsedHere(USD.counter, DAY, 100)])
    worker.amounts.wanted([], [USD.counter, OTHER.counter, "unknown"])
    worker.spend(300, 2)
    assert worker.amounts.changes() is None
    assert worker.amounts.is_idle


def test_counter_without_readers_is_forgotten() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.used(of=OTHER)
    worker.amounts.changes()
    worker.tell(40)
    worker.tell(50, of=OTHER)
    for _ in range(2 * KEPT_TICKS):
        worker.amounts.tick()
        worker.amounts.heard()
        assert worker.used() == 40
    assert worker.amounts.changes() == UsageChanges([], [OTHER.counter], [])
    worker.tell(60, of=OTHER)
    assert worker.used(of=OTHER) is None
    assert worker.amounts.changes() == UsageChanges([(OTHER.counter, DAY)], [], [])


def test_number_of_counters_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WATCHED", 100)
    limits = [limit("usd", 1000, name=str(number)) for number in range(1000)]
    worker = Worker(NO_SHARE, *limits)
    worker.connect()
    watched: set[str] = set()
    for one in limits:
        worker.amounts.tick()
        assert worker.used(of=one) is None
        worker.used(of=limits[0])
        found = worker.amounts.changes()
        assert found is not None
        watched |= {name for name, _ in found.watch}
        watched -= set(found.drop)
        assert len(watched) <= 100
    assert {limits[0].counter, limits[-1].counter} <= watched


def test_old_configuration_is_not_kept() -> None:
    worker = Worker()
    worker.connect()
    worker.used()
    worker.tell(40)
    worker.amounts.changes()
    worker.amounts.forget_limits()
    assert worker.used(of=limit("usd", 2000)) == 40, "the counter is the same"
    assert worker.amounts.changes() is None
