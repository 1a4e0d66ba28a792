"""Money over many random histories: workers that reserve and settle, control that leases, late journals, broken
connections, dead processes, changing limits. Spent plus leased amounts never exceed a limit, and when everything is
quiet no amount is held without an owner.

The frames between workers and control, and the journals, are queues here; ledgers and lease book are the real ones.
"""

from collections import defaultdict, deque
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec import Struct

from pointsman.domain.leases import NO_SHARE, LeaseRequest, Return, Share
from pointsman.domain.limits import Level, Limit, Metric, Period
from pointsman.money.leases import CORRECTIONS, LeaseTable
from pointsman.money.ledger import Ledger, Reservation, Window

START = 1_764_000_000.0
SHAPES: dict[str, tuple[Level, str, Metric, Period]] = {
    "usd": ("virtual_key", "virtual_key:k", "usd", Period("minute")),
    "tokens": ("team", "team:t", "tokens", Period("hour")),
    "requests": ("customer", "customer:c", "requests", Period("day")),
    "attempts": ("provider", "provider:p", "requests", Period("minute")),
}
ACCOUNTS = (("usd",), ("usd", "tokens", "requests"), ("tokens", "attempts"), tuple(SHAPES))
Message = tuple[str, Any]
Spot = tuple[str, int]  # a window of a counter


def limits_of(amounts: dict[str, int]) -> dict[str, Limit]:
    limits = [limit_of(name, amount) for name, amount in amounts.items()]
    return {limit.counter: limit for limit in limits}


def limit_of(shape: str, amount: int) -> Limit:
    level, owner, metric, period = SHAPES[shape]
    return Limit(level=level, owner=owner, metric=metric, period=period, amount=amount)


class Entry(Struct):
    """A journal record: an intent, or the outcome of one. `amounts` are the amounts by counter."""

    attempt: str
    is_outcome: bool
    amounts: dict[Spot, int]


class Worker:
    def __init__(self, epoch: int, slot: int, limits: dict[str, Limit]) -> None:
        self.epoch, self.slot = epoch, slot
        self.ledger = Ledger(NO_SHARE)
        self.share: Share | None = None
        self.limits = limits
        self.open: dict[str, dict[Spot, int]] = {}
        self.journal: deque[Entry] = deque()
        self.unread: dict[str, dict[Spot, int]] = {}  # intents that control has read without their outcome
        self.up: deque[Message] = deque()
        self.down: deque[Message] = deque()
        self.is_dead = self.is_draining = False

    def hello(self) -> None:
        """Connect to control, also after a break; frames in flight are lost."""
        self.up.clear()
        self.down.clear()
        self.up.append(("hello", (self.ledger.share if self.share else None, self.ledger.holdings())))
        if self.is_draining:
            self.up.append(("draining", None))

    def windows(self) -> dict[Spot, Window]:
        windows = [*(counter.window for counter in self.ledger._counters.values()), *self.ledger._past.values()]
        return {(window.counter.name, window.start): window for window in windows}


WHO = st.integers(0, 11)  # one of the workers


class Money(RuleBasedStateMachine):
    @initialize(size=st.integers(1, 3))
    def begin(self, size: int) -> None:
        self.now = START
        self.size = size
        self.amounts = {"usd": 1000, "tokens": 3000, "requests": 40, "attempts": 12}
        self.limits = limits_of(self.amounts)
        self.tops = {name: limit.amount for name, limit in self.limits.items()}  # the highest there ever was
        self.all: dict[int, Worker] = {}
        self.called: set[int] = set()
        self.epochs = count(1)
        self.serial = count(1)
        self.store: dict[tuple[str, int, int], int] = defaultdict(int)
        self.spent: dict[Spot, int] = defaultdict(int)
        self.ghosts: list[Worker] = []  # dead, and read to the end
        self._new_book()
        for slot in range(size):
            self.start(slot)
        self._quiet()

    def start(self, slot: int) -> None:
        epoch = next(self.epochs)
        worker = self.all[epoch] = Worker(epoch, slot, self.limits)
        worker.hello()

    def living(self) -> list[Worker]:
        return [worker for worker in self.all.values() if not worker.is_dead]

    def one_of(self, who: int, workers: list[Worker]) -> Worker | None:
        return workers[who % len(workers)] if workers else None

    # What workers do.

    @rule(
        who=WHO,
        kinds=st.sampled_from(ACCOUNTS),
        sizes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 900)), min_size=1, max_size=8),
        ordinal=st.integers(1, 2),
    )
    def reserve(self, who: int, kinds: tuple[str, ...], sizes: list[tuple[int, int]], ordinal: int) -> None:
        worker = self.one_of(who, self.living())
        if worker is None:
            return
        names = [limit_of(kind, 0).counter for kind in kinds]
        for nano, tokens in sizes:
            account = worker.ledger.account(tuple(worker.limits[name] for name in names))
            attempt = f"{worker.epoch}-{next(self.serial)}"
            before = {spot: (one.reserved, one.settled) for spot, one in worker.windows().items()}
            found = worker.ledger.reserve(account, attempt, nano, tokens, ordinal, self.now)
            if not isinstance(found, Reservation):
                after = {spot: (one.reserved, one.settled) for spot, one in worker.windows().items()}
                assert all(after.get(spot) == held for spot, held in before.items() if held[0]), "all or none"
                worker.up.append(("ask", [short.want() for short in found]))
                continue
            assert worker.ledger.reserve(account, attempt, nano, tokens, ordinal, self.now) is found
            amounts = {}
            for window in found.windows:
                limit = window.counter.limit
                assert limit.period.window(found.at) == (window.start, window.end), "control charges the same window"
                amounts[limit.counter, window.start] = found.amounts[window.kind]
            worker.open[attempt] = amounts
            worker.journal.append(Entry(attempt, False, amounts))

    @rule(who=WHO, parts=st.lists(st.integers(0, 100), min_size=1, max_size=6), again=st.booleans())
    def settle(self, who: int, parts: list[int], again: bool) -> None:
        worker = self.one_of(who, [worker for worker in self.living() if worker.open])
        if worker is not None:
            for attempt, part in zip(list(worker.open), parts, strict=False):
                self._settle(worker, attempt, part, again=again)

    def _settle(self, worker: Worker, attempt: str, part: int, *, again: bool) -> None:
        held = worker.ledger._open[attempt]
        nano, tokens = held.nano * part // 100, held.tokens * part // 100
        used = {}
        for window in held.windows:
            used[window.counter.name, window.start] = (nano, tokens, held.amounts[2], held.amounts[3])[window.kind]
        for _ in range(1 + again):
            worker.ledger.settle(attempt, nano, tokens)
        worker.open.pop(attempt)
        worker.journal.append(Entry(attempt, True, used))

    @rule(who=WHO)
    def break_line(self, who: int) -> None:
        worker = self.one_of(who, self.living())
        if worker is not None:
            worker.hello()
            self.called.discard(worker.epoch)

    @rule(who=WHO)
    def replace(self, who: int) -> None:
        """Start another worker; this one finishes its requests."""
        worker = self.one_of(who, [worker for worker in self.living() if not worker.is_draining])
        if worker is not None and len(self.all) < 6:
            self.start(worker.slot)
            worker.is_draining = True
            worker.share = NO_SHARE
            worker.ledger.reshare(NO_SHARE)
            worker.up.append(("draining", None))

    @rule(who=WHO)
    def kill(self, who: int) -> None:
        worker = self.one_of(who, self.living())
        if worker is not None and len(self.all) < 6:
            worker.is_dead = True
            worker.up.clear()
            worker.down.clear()
            self.called.discard(worker.epoch)
            self.start(worker.slot)

    # What is on its way.

    @rule(who=WHO, most=st.integers(1, 5))
    def deliver_up(self, who: int, most: int) -> None:
        worker = self.one_of(who, [worker for worker in self.living() if worker.up])
        for _ in range(min(most, len(worker.up) if worker is not None else 0)):
            assert worker is not None
            kind, body = worker.up[0]
            if kind == "ask" and not self.knows_all():
                return
            worker.up.popleft()
            self._control(worker, kind, body)

    @rule(who=WHO, most=st.integers(1, 5))
    def deliver_down(self, who: int, most: int) -> None:
        worker = self.one_of(who, [worker for worker in self.living() if worker.down])
        for _ in range(min(most, len(worker.down) if worker is not None else 0)):
            assert worker is not None
            self._worker(worker, *worker.down.popleft())

    @rule()
    def deliver_all(self) -> None:
        self._exchange()

    @rule(who=WHO, most=st.integers(1, 20))
    def read(self, who: int, most: int) -> None:
        worker = self.one_of(who, list(self.all.values()))
        if worker is not None:
            self._read(worker, most)

    def _read(self, worker: Worker, most: int) -> None:
        """Let control read a part of a journal, from the store's position. A dead worker's journal is read to the end,
        and then its open intents are charged."""
        self._ready()
        for _ in range(min(most, len(worker.journal))):
            entry = worker.journal.popleft()
            if entry.is_outcome:
                del worker.unread[entry.attempt]
                self._charge(worker, entry.amounts)
            else:
                worker.unread[entry.attempt] = entry.amounts
        if worker.is_dead and not worker.journal:
            for amounts in worker.unread.values():
                self._charge(worker, amounts)
            self._reshare(self.book.retire(worker.epoch, self.now))
            self.ghosts.append(self.all.pop(worker.epoch))

    # The rest of the world.

    @rule(seconds=st.sampled_from((0.01, 1.0, 20.0, 61.0, 3700.0)))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart_control(self) -> None:
        """Start a new control process without state. It learns of the store, the limits and the workers in any
        order."""
        self._new_book()
        self.called.clear()
        for worker in self.living():
            worker.hello()

    def _new_book(self) -> None:
        self.book = LeaseTable(self.size, knows_all=False)
        self.ghosts = []
        self.is_restored = self.is_configured = False

    @rule(most=st.integers(0, 10), again=st.booleans())
    def read_store(self, most: int, again: bool) -> None:
        """Read a part of the store, then all of it; and again at any later time."""
        rows = [(*key, amount) for key, amount in self.store.items()]
        if not self.is_restored:
            self.book.restore(rows[:most])
        if again or not self.is_restored:
            self.book.restore(rows)
        self.is_restored = True

    @rule(which=st.integers(0, 50), percent=st.integers(0, 100), again=st.booleans())
    def reconcile(self, which: int, percent: int, again: bool) -> None:
        """Lower the cost of some spending in a window."""
        spots = sorted(spot for spot, amount in self.spent.items() if amount > 0)
        if not spots:
            return
        spot = spots[which % len(spots)]
        less = self.spent[spot] * percent // 100
        self.spent[spot] -= less
        self.store[*spot, CORRECTIONS] -= less
        for _ in range(1 + again):
            self.book.corrected(*spot, self.store[*spot, CORRECTIONS])

    @rule()
    def configure(self) -> None:
        self.book.configure(self.limits)
        self.is_configured = True

    @rule(who=WHO, percent=st.integers(0, 100), parts=st.integers(1, 3))
    def lose_commits(self, who: int, percent: int, parts: int) -> None:
        """Roll the store back; a journal is then read again from the store's position."""
        worker = self.one_of(who, [*self.all.values(), *self.ghosts])
        if worker is None:
            return
        self._ready()
        whole = {key: amount for key, amount in self.store.items() if key[2] == worker.epoch}
        kept = {key: amount * percent // 100 for key, amount in whole.items()}
        self.book.restore([(*key, amount) for key, amount in kept.items() if amount], {worker.epoch})
        for part in range(parts):
            for (counter, window, epoch), amount in whole.items():
                left = amount - kept[counter, window, epoch]
                self.book.charge(epoch, counter, window, left // parts if part else left - left // parts * (parts - 1))
        if worker.is_dead and worker.epoch not in self.all:
            self._reshare(self.book.retire(worker.epoch, self.now))

    @rule(who=WHO)
    def hear_of_the_dead(self, who: int) -> None:
        """Deliver frames that a worker sent before it was killed, after its journal was read to the end."""
        worker = self.one_of(who, self.ghosts)
        if worker is not None:
            holdings = worker.ledger.holdings()
            assert self.book.hello(worker.epoch, worker.slot, worker.share, holdings, self.now) == NO_SHARE
            wants = [LeaseRequest(one.counter, one.window, 1, one.opened) for one in holdings]
            grants, recalls = self.book.ask(worker.epoch, wants)
            assert not any(grant.granted for grant in grants)
            assert not recalls
            self.book.give_back(worker.epoch, [Return(one.counter, one.window, 1, one.opened) for one in holdings])

    @rule(kind=st.sampled_from(sorted(SHAPES)), percent=st.sampled_from((10, 50, 150, 400)))
    def edit(self, kind: str, percent: int) -> None:
        self.amounts = {**self.amounts, kind: min(max(4, self.amounts[kind] * percent // 100), 10_000)}
        self.limits = limits_of(self.amounts)
        self.configure()
        for name, limit in self.limits.items():
            self.tops[name] = max(self.tops[name], limit.amount)
        for worker in self.living():
            worker.down.append(("snapshot", self.limits))

    # Delivery of messages to control and workers.

    def knows_all(self) -> bool:
        """True if control knows everything that it needs for leasing."""
        if not self.book._knows_all and self.all.keys() <= self.called:  # the dead ones once they are read
            self._reshare(self.book.know_all(self.now))
        return self.book._knows_all and self.is_restored and self.is_configured

    def _ready(self) -> None:
        """Give control the positions of the store and a configuration."""
        if not self.is_restored:
            self.read_store(0, False)
        if not self.is_configured:
            self.configure()

    def _control(self, worker: Worker, kind: str, body: Any) -> None:
        book, epoch = self.book, worker.epoch
        if kind == "hello":
            share = book.hello(epoch, worker.slot, body[0], body[1], self.now)
            self.called.add(epoch)
            worker.down.append(("share", share))
            worker.down.append(("snapshot", self.limits))
            self.knows_all()
        elif kind == "draining":
            self._reshare(book.draining(epoch, self.now))
        elif kind == "return":
            book.give_back(epoch, body)
        else:
            grants, recalls = book.ask(epoch, body)
            worker.down.append(("granted", grants))
            for other, spots in recalls.items():
                if other in self.called and other in self.all and not self.all[other].is_dead:
                    self.all[other].down.append(("recall", spots))
            living = {other for other in self.called if other in self.all and not self.all[other].is_dead}
            for other, ahead in book.lease_ahead(epoch, grants, living).items():
                self.all[other].down.append(("granted", ahead))

    def _worker(self, worker: Worker, kind: str, body: Any) -> None:
        ledger = worker.ledger
        if kind == "share":
            worker.share = NO_SHARE if worker.is_draining else body
            ledger.reshare(worker.share)
        elif kind == "granted":
            ledger.granted(body)
        elif kind == "recall":
            worker.up.append(("return", ledger.recall(body)))
        else:
            worker.limits = body
            returns = ledger.reconfigure(body, self.now)
            if returns:
                worker.up.append(("return", returns))

    def _reshare(self, shares: list[tuple[int, Share]]) -> None:
        for epoch, share in shares:
            if epoch in self.called and epoch in self.all and not self.all[epoch].is_dead:
                self.all[epoch].down.append(("share", share))

    def _charge(self, worker: Worker, amounts: dict[Spot, int]) -> None:
        for (counter, window), amount in amounts.items():
            self.store[counter, window, worker.epoch] += amount
            self.spent[counter, window] += amount
            self.book.charge(worker.epoch, counter, window, amount)

    # What must hold.

    @invariant()
    def never_over_a_limit(self) -> None:
        if not hasattr(self, "now"):
            return
        pending: dict[Spot, int] = defaultdict(int)
        for worker in self.all.values():
            told: dict[str, dict[Spot, int]] = dict(worker.unread)
            for entry in worker.journal:
                told[entry.attempt] = entry.amounts
            for amounts in told.values():
                for spot, amount in amounts.items():
                    pending[spot] += amount
        for spot in {*pending, *self.spent}:
            assert self.spent[spot] + pending[spot] <= self.tops[spot[0]], f"{spot} is overspent"

    @invariant()
    def settled_and_reserved_within_what_is_granted(self) -> None:
        for worker in getattr(self, "all", {}).values():
            for window in worker.windows().values():
                assert window.reserved >= 0
                assert window.settled >= 0
                assert window.free == window.granted - window.reserved - window.settled >= 0

    @invariant()
    def posted_and_lent_within_the_limit(self) -> None:
        for found in self.book.status() if hasattr(self, "book") and self.is_restored and self.is_configured else ():
            assert found.posted == self.spent[found.counter, found.window]
            assert found.posted + found.leased <= self.tops[found.counter]

    def teardown(self) -> None:
        """End everything: settle attempts, deliver everything, and recall all idle amounts."""
        if not hasattr(self, "now"):
            return
        for worker in self.living():
            for attempt in list(worker.open):
                self._settle(worker, attempt, 50, again=False)
        self._quiet()
        assert self.knows_all()
        if self.now < START + 3600:
            shares = sum(Fraction(one.share.part, one.share.whole) for one in self.living() if one.share is not None)
            assert shares <= 1
        spots = [(found.counter, found.window) for found in self.book.status()]
        for worker in self.all.values():
            assert not worker.ledger.open_attempts
            assert not worker.ledger._past, "an ended window in which nothing is reserved is kept"
            assert all(not window.reserved for window in worker.windows().values()), "a phantom reservation"
            worker.down.append(("recall", [spot for spot in spots if self._is_current(worker, spot)]))
        self._quiet()
        for found in self.book.status():
            # Messages on ended windows may be lost with a connection, because nothing is leased from them any more.
            if self.limits[found.counter].period.window(found.window)[1] > self.now:
                assert not found.leased, "control takes for lent what nobody has"

    def _is_current(self, worker: Worker, spot: Spot) -> bool:
        counter = worker.ledger._counters.get(spot[0])
        return counter is None or counter.window.start <= spot[1]

    def _exchange(self) -> None:
        """Deliver all frames in flight."""
        while any(worker.up or worker.down for worker in self.living()):
            for worker in self.living():
                for _ in range(len(worker.down)):
                    self._worker(worker, *worker.down.popleft())
                for _ in range(len(worker.up)):
                    kind, body = worker.up.popleft()
                    if kind != "ask" or self.knows_all():
                        self._control(worker, kind, body)

    def _quiet(self) -> None:
        """Deliver all frames, and read all journals."""
        self._ready()
        self._exchange()
        for worker in list(self.all.values()):
            self._read(worker, 1_000_000)
        self._exchange()


QUICK = settings(max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_random_histories() -> None:
    run_state_machine_as_test(Money, settings=QUICK)


@pytest.mark.slow
def test_many_long_histories() -> None:
    run_state_machine_as_test(Money, settings=settings(QUICK, max_examples=1500, stateful_step_count=100))
