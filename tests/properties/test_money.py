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
WindowKey = tuple[str, int]  # a window of a counter


def limits_of(amounts: dict[str, int]) -> dict[str, Limit]:
    limits = [limit_of(name, amount) for name, amount in amounts.items()]
    return {limit.counter: limit for limit in limits}


def limit_of(shape: str, amount: int) -> Limit:
    level, owner, metric, period = SHAPES[shape]
    return Limit(level=level, owner=owner, metric=metric, period=period, amount=amount)


class Entry(Struct):
    """A journal record: an intent, or the outcome of one. `amounts` are the amounts by counter."""

    attempt_id: str
    is_outcome: bool
    amounts: dict[WindowKey, int]


class Worker:
    def __init__(self, epoch: int, slot: int, limits: dict[str, Limit]) -> None:
        self.epoch, self.slot = epoch, slot
        self.ledger = Ledger(NO_SHARE)
        self.share: Share | None = None
        self.limits = limits
        self.open: dict[str, dict[WindowKey, int]] = {}
        self.journal: deque[Entry] = deque()
        self.unread: dict[str, dict[WindowKey, int]] = {}  # intents that control has read without their outcome
        self.to_control: deque[Message] = deque()
        self.to_worker: deque[Message] = deque()
        self.is_dead = self.is_draining = False

    def hello(self) -> None:
        """Connect to control, also after a break; frames in flight are lost."""
        self.to_control.clear()
        self.to_worker.clear()
        self.to_control.append(("hello", (self.ledger.share if self.share else None, self.ledger.holdings())))
        if self.is_draining:
            self.to_control.append(("draining", None))

    def windows(self) -> dict[WindowKey, Window]:
        windows = [*(counter.window for counter in self.ledger._counters.values()), *self.ledger._past.values()]
        return {(window.counter.name, window.start): window for window in windows}


WORKER_INDEX = st.integers(0, 11)  # one of the workers


class Money(RuleBasedStateMachine):
    @initialize(size=st.integers(1, 3))
    def begin(self, size: int) -> None:
        self.now = START
        self.size = size
        self.amounts = {"usd": 1000, "tokens": 3000, "requests": 40, "attempts": 12}
        self.limits = limits_of(self.amounts)
        # The highest amount that each limit ever had.
        self.highest_limits = {name: limit.amount for name, limit in self.limits.items()}
        self.all: dict[int, Worker] = {}
        self.connected: set[int] = set()
        self.epochs = count(1)
        self.serial = count(1)
        self.store: dict[tuple[str, int, int], int] = defaultdict(int)
        self.spent: dict[WindowKey, int] = defaultdict(int)
        self.retired: list[Worker] = []  # dead workers whose journal is read to the end
        self._new_lease_table()
        for slot in range(size):
            self.start(slot)
        self._quiet()

    def start(self, slot: int) -> None:
        epoch = next(self.epochs)
        worker = self.all[epoch] = Worker(epoch, slot, self.limits)
        worker.hello()

    def living(self) -> list[Worker]:
        return [worker for worker in self.all.values() if not worker.is_dead]

    def one_of(self, index: int, workers: list[Worker]) -> Worker | None:
        return workers[index % len(workers)] if workers else None

    # Actions of workers.

    @rule(
        index=WORKER_INDEX,
        kinds=st.sampled_from(ACCOUNTS),
        sizes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 900)), min_size=1, max_size=8),
        ordinal=st.integers(1, 2),
    )
    def reserve(self, index: int, kinds: tuple[str, ...], sizes: list[tuple[int, int]], ordinal: int) -> None:
        worker = self.one_of(index, self.living())
        if worker is None:
            return
        names = [limit_of(kind, 0).counter for kind in kinds]
        for nano, tokens in sizes:
            account = worker.ledger.account(tuple(worker.limits[name] for name in names))
            attempt = f"{worker.epoch}-{next(self.serial)}"
            before = {window_key: (one.reserved, one.settled) for window_key, one in worker.windows().items()}
            found = worker.ledger.reserve(account, attempt, nano, tokens, ordinal, self.now)
            if not isinstance(found, Reservation):
                after = {window_key: (one.reserved, one.settled) for window_key, one in worker.windows().items()}
                assert all(after.get(window_key) == held for window_key, held in before.items() if held[0]), (
                    "a rejected reservation reserved a part"
                )
                worker.to_control.append(("ask", [short.lease_request() for short in found]))
                continue
            assert worker.ledger.reserve(account, attempt, nano, tokens, ordinal, self.now) is found
            amounts = {}
            for window in found.windows:
                limit = window.counter.limit
                assert limit.period.window(found.at) == (window.start, window.end), (
                    "control would charge another window"
                )
                amounts[limit.counter, window.start] = found.amounts[window.kind]
            worker.open[attempt] = amounts
            worker.journal.append(Entry(attempt, False, amounts))

    @rule(index=WORKER_INDEX, parts=st.lists(st.integers(0, 100), min_size=1, max_size=6), again=st.booleans())
    def settle(self, index: int, parts: list[int], again: bool) -> None:
        worker = self.one_of(index, [worker for worker in self.living() if worker.open])
        if worker is not None:
            for attempt_id, part in zip(list(worker.open), parts, strict=False):
                self._settle(worker, attempt_id, part, again=again)

    def _settle(self, worker: Worker, attempt_id: str, part: int, *, again: bool) -> None:
        held = worker.ledger._open[attempt_id]
        nano, tokens = held.nano * part // 100, held.tokens * part // 100
        used = {}
        for window in held.windows:
            used[window.counter.name, window.start] = (nano, tokens, held.amounts[2], held.amounts[3])[window.kind]
        for _ in range(1 + again):
            worker.ledger.settle(attempt_id, nano, tokens)
        worker.open.pop(attempt_id)
        worker.journal.append(Entry(attempt_id, True, used))

    @rule(index=WORKER_INDEX)
    def break_line(self, index: int) -> None:
        worker = self.one_of(index, self.living())
        if worker is not None:
            worker.hello()
            self.connected.discard(worker.epoch)

    @rule(index=WORKER_INDEX)
    def replace(self, index: int) -> None:
        """Start another worker. The old one finishes its requests."""
        worker = self.one_of(index, [worker for worker in self.living() if not worker.is_draining])
        if worker is not None and len(self.all) < 6:
            self.start(worker.slot)
            worker.is_draining = True
            worker.share = NO_SHARE
            worker.ledger.reshare(NO_SHARE)
            worker.to_control.append(("draining", None))

    @rule(index=WORKER_INDEX)
    def kill(self, index: int) -> None:
        worker = self.one_of(index, self.living())
        if worker is not None and len(self.all) < 6:
            worker.is_dead = True
            worker.to_control.clear()
            worker.to_worker.clear()
            self.connected.discard(worker.epoch)
            self.start(worker.slot)

    # Delivery of messages.

    @rule(index=WORKER_INDEX, most=st.integers(1, 5))
    def deliver_up(self, index: int, most: int) -> None:
        worker = self.one_of(index, [worker for worker in self.living() if worker.to_control])
        for _ in range(min(most, len(worker.to_control) if worker is not None else 0)):
            assert worker is not None
            kind, body = worker.to_control[0]
            if kind == "ask" and not self.knows_all():
                return
            worker.to_control.popleft()
            self._control(worker, kind, body)

    @rule(index=WORKER_INDEX, most=st.integers(1, 5))
    def deliver_down(self, index: int, most: int) -> None:
        worker = self.one_of(index, [worker for worker in self.living() if worker.to_worker])
        for _ in range(min(most, len(worker.to_worker) if worker is not None else 0)):
            assert worker is not None
            self._worker(worker, *worker.to_worker.popleft())

    @rule()
    def deliver_all(self) -> None:
        self._exchange()

    @rule(index=WORKER_INDEX, most=st.integers(1, 20))
    def read(self, index: int, most: int) -> None:
        worker = self.one_of(index, list(self.all.values()))
        if worker is not None:
            self._read(worker, most)

    def _read(self, worker: Worker, most: int) -> None:
        """Let control read a part of a journal, from the store's position. A dead worker's journal is read to the end,
        and then its open intents are charged."""
        self._ready()
        for _ in range(min(most, len(worker.journal))):
            entry = worker.journal.popleft()
            if entry.is_outcome:
                del worker.unread[entry.attempt_id]
                self._charge(worker, entry.amounts)
            else:
                worker.unread[entry.attempt_id] = entry.amounts
        if worker.is_dead and not worker.journal:
            for amounts in worker.unread.values():
                self._charge(worker, amounts)
            self._reshare(self.leases.retire(worker.epoch, self.now))
            self.retired.append(self.all.pop(worker.epoch))

    # Events outside the workers.

    @rule(seconds=st.sampled_from((0.01, 1.0, 20.0, 61.0, 3700.0)))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart_control(self) -> None:
        """Start a new control process without state. It learns of the store, the limits and the workers in any
        order."""
        self._new_lease_table()
        self.connected.clear()
        for worker in self.living():
            worker.hello()

    def _new_lease_table(self) -> None:
        self.leases = LeaseTable(self.size, knows_all=False)
        self.retired = []
        self.is_restored = self.is_configured = False

    @rule(most=st.integers(0, 10), again=st.booleans())
    def read_store(self, most: int, again: bool) -> None:
        """Read a part of the store, and then all of it. This may be repeated later."""
        rows = [(*key, amount) for key, amount in self.store.items()]
        if not self.is_restored:
            self.leases.restore(rows[:most])
        if again or not self.is_restored:
            self.leases.restore(rows)
        self.is_restored = True

    @rule(which=st.integers(0, 50), percent=st.integers(0, 100), again=st.booleans())
    def reconcile(self, which: int, percent: int, again: bool) -> None:
        """Lower the cost of some spending in a window."""
        window_keys = sorted(window_key for window_key, amount in self.spent.items() if amount > 0)
        if not window_keys:
            return
        window_key = window_keys[which % len(window_keys)]
        less = self.spent[window_key] * percent // 100
        self.spent[window_key] -= less
        self.store[*window_key, CORRECTIONS] -= less
        for _ in range(1 + again):
            self.leases.corrected(*window_key, self.store[*window_key, CORRECTIONS])

    @rule()
    def configure(self) -> None:
        self.leases.configure(self.limits)
        self.is_configured = True

    @rule(index=WORKER_INDEX, percent=st.integers(0, 100), parts=st.integers(1, 3))
    def lose_commits(self, index: int, percent: int, parts: int) -> None:
        """Roll the store back; a journal is then read again from the store's position."""
        worker = self.one_of(index, [*self.all.values(), *self.retired])
        if worker is None:
            return
        self._ready()
        whole = {key: amount for key, amount in self.store.items() if key[2] == worker.epoch}
        kept = {key: amount * percent // 100 for key, amount in whole.items()}
        self.leases.restore([(*key, amount) for key, amount in kept.items() if amount], {worker.epoch})
        for part in range(parts):
            for (counter, window, epoch), amount in whole.items():
                left = amount - kept[counter, window, epoch]
                self.leases.charge(
                    epoch, counter, window, left // parts if part else left - left // parts * (parts - 1)
                )
        if worker.is_dead and worker.epoch not in self.all:
            self._reshare(self.leases.retire(worker.epoch, self.now))

    @rule(index=WORKER_INDEX)
    def deliver_frames_of_dead_workers(self, index: int) -> None:
        """Deliver frames that a worker sent before it was killed, after its journal was read to the end."""
        worker = self.one_of(index, self.retired)
        if worker is not None:
            holdings = worker.ledger.holdings()
            assert self.leases.hello(worker.epoch, worker.slot, worker.share, holdings, self.now) == NO_SHARE
            requests = [LeaseRequest(one.counter, one.window, 1, one.opened) for one in holdings]
            grants, recalls = self.leases.ask(worker.epoch, requests)
            assert not any(grant.granted for grant in grants)
            assert not recalls
            self.leases.give_back(worker.epoch, [Return(one.counter, one.window, 1, one.opened) for one in holdings])

    @rule(kind=st.sampled_from(sorted(SHAPES)), percent=st.sampled_from((10, 50, 150, 400)))
    def edit(self, kind: str, percent: int) -> None:
        self.amounts = {**self.amounts, kind: min(max(4, self.amounts[kind] * percent // 100), 10_000)}
        self.limits = limits_of(self.amounts)
        self.configure()
        for name, limit in self.limits.items():
            self.highest_limits[name] = max(self.highest_limits[name], limit.amount)
        for worker in self.living():
            worker.to_worker.append(("snapshot", self.limits))

    # Handling of messages by control and workers.

    def knows_all(self) -> bool:
        """Return true if control has all facts that it needs for leasing."""
        # Dead workers count until their journals are read.
        if not self.leases._knows_all and self.all.keys() <= self.connected:
            self._reshare(self.leases.know_all(self.now))
        return self.leases._knows_all and self.is_restored and self.is_configured

    def _ready(self) -> None:
        """Give control the positions of the store and a configuration."""
        if not self.is_restored:
            self.read_store(0, False)
        if not self.is_configured:
            self.configure()

    def _control(self, worker: Worker, kind: str, body: Any) -> None:
        leases, epoch = self.leases, worker.epoch
        if kind == "hello":
            share = leases.hello(epoch, worker.slot, body[0], body[1], self.now)
            self.connected.add(epoch)
            worker.to_worker.append(("share", share))
            worker.to_worker.append(("snapshot", self.limits))
            self.knows_all()
        elif kind == "draining":
            self._reshare(leases.draining(epoch, self.now))
        elif kind == "return":
            leases.give_back(epoch, body)
        else:
            grants, recalls = leases.ask(epoch, body)
            worker.to_worker.append(("granted", grants))
            for other, window_keys in recalls.items():
                if other in self.connected and other in self.all and not self.all[other].is_dead:
                    self.all[other].to_worker.append(("recall", window_keys))
            living = {other for other in self.connected if other in self.all and not self.all[other].is_dead}
            for other, ahead in leases.lease_ahead(epoch, grants, living).items():
                self.all[other].to_worker.append(("granted", ahead))

    def _worker(self, worker: Worker, kind: str, body: Any) -> None:
        ledger = worker.ledger
        if kind == "share":
            worker.share = NO_SHARE if worker.is_draining else body
            ledger.reshare(worker.share)
        elif kind == "granted":
            ledger.granted(body)
        elif kind == "recall":
            worker.to_control.append(("return", ledger.recall(body)))
        else:
            worker.limits = body
            returns = ledger.reconfigure(body, self.now)
            if returns:
                worker.to_control.append(("return", returns))

    def _reshare(self, shares: list[tuple[int, Share]]) -> None:
        for epoch, share in shares:
            if epoch in self.connected and epoch in self.all and not self.all[epoch].is_dead:
                self.all[epoch].to_worker.append(("share", share))

    def _charge(self, worker: Worker, amounts: dict[WindowKey, int]) -> None:
        for (counter, window), amount in amounts.items():
            self.store[counter, window, worker.epoch] += amount
            self.spent[counter, window] += amount
            self.leases.charge(worker.epoch, counter, window, amount)

    # Invariants.

    @invariant()
    def never_over_a_limit(self) -> None:
        if not hasattr(self, "now"):
            return
        pending: dict[WindowKey, int] = defaultdict(int)
        for worker in self.all.values():
            uncharged: dict[str, dict[WindowKey, int]] = dict(worker.unread)
            for entry in worker.journal:
                uncharged[entry.attempt_id] = entry.amounts
            for amounts in uncharged.values():
                for window_key, amount in amounts.items():
                    pending[window_key] += amount
        for window_key in {*pending, *self.spent}:
            assert self.spent[window_key] + pending[window_key] <= self.highest_limits[window_key[0]], (
                f"{window_key} is overspent"
            )

    @invariant()
    def settled_and_reserved_within_the_granted_amount(self) -> None:
        for worker in getattr(self, "all", {}).values():
            for window in worker.windows().values():
                assert window.reserved >= 0
                assert window.settled >= 0
                assert window.free == window.granted - window.reserved - window.settled >= 0

    @invariant()
    def spent_and_leased_within_the_limit(self) -> None:
        for found in (
            self.leases.status() if hasattr(self, "leases") and self.is_restored and self.is_configured else ()
        ):
            assert found.posted == self.spent[found.counter, found.window]
            assert found.posted + found.leased <= self.highest_limits[found.counter]

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
        window_keys = [(found.counter, found.window) for found in self.leases.status()]
        for worker in self.all.values():
            assert not worker.ledger.open_attempts
            assert not worker.ledger._past, "an ended window without reservations is kept"
            assert all(not window.reserved for window in worker.windows().values()), (
                "a reservation without an attempt is left"
            )
            worker.to_worker.append(
                ("recall", [window_key for window_key in window_keys if self._is_current(worker, window_key)])
            )
        self._quiet()
        for found in self.leases.status():
            # Messages on ended windows may be lost with a connection, because nothing is leased from them any more.
            if self.limits[found.counter].period.window(found.window)[1] > self.now:
                assert not found.leased, "control counts a lease that no worker has"

    def _is_current(self, worker: Worker, window_key: WindowKey) -> bool:
        counter = worker.ledger._counters.get(window_key[0])
        return counter is None or counter.window.start <= window_key[1]

    def _exchange(self) -> None:
        """Deliver all frames in flight."""
        while any(worker.to_control or worker.to_worker for worker in self.living()):
            for worker in self.living():
                for _ in range(len(worker.to_worker)):
                    self._worker(worker, *worker.to_worker.popleft())
                for _ in range(len(worker.to_control)):
                    kind, body = worker.to_control.popleft()
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


def test_random_histories_keep_the_limits() -> None:
    run_state_machine_as_test(Money, settings=QUICK)


@pytest.mark.slow
def test_many_long_histories_keep_the_limits() -> None:
    run_state_machine_as_test(Money, settings=settings(QUICK, max_examples=1500, stateful_step_count=100))
