"""The exchange of health: each second, at once if urgent, and all of it for a newcomer."""

from collections.abc import Callable

import pytest

from fakes.worlds import PROVIDERS
from pointsman.domain import failures
from pointsman.domain.failures import Failure, Scope
from pointsman.domain.snapshots import Routing
from pointsman.engine.live import Live
from pointsman.simulate.worlds.agenda import Agenda
from pointsman.simulate.worlds.exchange import Exchange
from pointsman.simulate.worlds.fleet import NAME, snapshot_of

SNAPSHOT = snapshot_of(PROVIDERS, Routing())
TARGET = SNAPSHOT.models[NAME].targets[0]
REJECTED = Failure(failures.CREDENTIAL_REJECTED, "the key is revoked", status=401, scope=Scope.KEY)


def reject_key(live: Live, agenda: Agenda) -> None:
    """Let an attempt end with a rejected key."""
    live.begin(TARGET, agenda.now, is_retry=False, key=TARGET.keys[0])
    live.finish(TARGET, TARGET.keys[0], REJECTED, agenda.now)


def connected(count: int, ends_at: float = 100.0) -> tuple[Agenda, Exchange, list[Live]]:
    agenda = Agenda()
    exchange, every = Exchange(agenda, ends_at), [Live(SNAPSHOT) for _ in range(count)]
    for one in every:
        exchange.connect(one)
    return agenda, exchange, every


def seen(agenda: Agenda, every: list[Live], at: float) -> list[bool]:
    """Return whether each worker knows of a blocked key at a time."""
    found: list[bool] = []
    note: Callable[[], None] = lambda: found.extend(bool(one.key_blocks) for one in every)  # noqa: E731
    agenda.at(at, note)
    agenda.play()
    return found


@pytest.mark.parametrize(("at", "expected"), [(0.51, [True, False, False]), (0.53, [True, True, True])])
def test_rejected_key_is_known_to_all_at_once(at: float, expected: list[bool]) -> None:
    agenda, _, every = connected(3)
    agenda.at(0.5, reject_key, every[0], agenda)
    assert seen(agenda, every, at) == expected


def test_newcomer_learns_all_that_the_first_one_knows() -> None:
    agenda, exchange, every = connected(1)
    reject_key(every[0], agenda)
    fresh = Live(SNAPSHOT)
    exchange.connect(fresh)
    assert fresh.key_blocks


def test_lost_worker_neither_sends_nor_learns() -> None:
    agenda, exchange, every = connected(3)
    exchange.disconnect(every[0])
    agenda.at(0.5, reject_key, every[0], agenda)
    agenda.at(5.0, reject_key, every[1], agenda)
    assert seen(agenda, every, 4.0) == [True, False, False]
    assert [bool(one.key_blocks) for one in every] == [True, True, True]


def test_worker_that_is_left_alone_shares_nothing() -> None:
    agenda, exchange, every = connected(2)
    exchange.disconnect(every[1])
    reject_key(every[0], agenda)
    assert every[0].faults.take_news() is None


def test_exchange_ends_with_the_run() -> None:
    agenda, _, _ = connected(2, ends_at=10.0)
    agenda.play()
    assert 9.0 <= agenda.now < 10.0
