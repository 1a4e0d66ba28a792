"""Breakers and key blocks with the orders of operators, and the record of their transitions."""

import pytest

from fakes.routing import NOW, endpoint, failure
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.holds import Held, Hold
from pointsman.domain.targets import candidate
from pointsman.routing import faults as module
from pointsman.routing.faults import Faults
from pointsman.routing.health import FIRST_BLOCK_S, LIMITS

ALPHA = endpoint("alpha", "k1", "k2")
A = candidate(ALPHA, "m")
KEY = ("alpha", "k1", None)


class State:
    def __init__(self) -> None:
        self.changes = 0
        self.faults = Faults(self.change)

    def change(self) -> None:
        self.changes += 1

    def attempt(self, kind: Kind | None, now: float = NOW) -> None:
        self.faults.begin(A.id, A, ALPHA.keys[0], now)
        fault = None if kind is None else failure(kind)
        self.faults.finish(
            A.id, A, ALPHA.keys[0], fault, now, began_at=now, limits=LIMITS, in_use=1, served_at=0.0
        )  # fmt: skip

    def trip(self, now: float = NOW) -> None:
        for _ in range(LIMITS.failures):
            self.attempt(failures.UPSTREAM_ERROR, now)

    def hold(self, *holds: Hold, until: float = NOW + 60) -> None:
        self.faults.hold([Held(one, until) for one in holds], NOW)


def test_last_transition_is_kept_with_its_time_and_reason() -> None:
    state = State()
    assert state.faults.standing(A.id, NOW) is None
    state.trip(NOW + 1)
    standing = state.faults.standing(A.id, NOW + 1)
    assert standing is not None
    assert (standing.state, standing.since, standing.reason) == ("failed", NOW + 1, "said upstream_error")
    over = state.faults.standing(A.id, NOW + 5)
    assert over is not None
    assert (over.state, over.since) == ("recovering", NOW + 1 + FIRST_BLOCK_S)
    assert over.reason == "the block is over; before it: said upstream_error"
    state.attempt(None, NOW + 6)
    healthy = state.faults.standing(A.id, NOW + 6)
    assert healthy is not None
    assert (healthy.state, healthy.since) == ("healthy", NOW + 6)


def test_transitions_of_keys_are_kept_too() -> None:
    state = State()
    state.attempt(failures.CREDENTIAL_REJECTED)
    standing = state.faults.standing(KEY, NOW)
    assert standing is not None
    assert (standing.state, standing.reason) == ("failed", "said upstream_credential_rejected")
    state.attempt(None, NOW + 1)
    standing = state.faults.standing(KEY, NOW + 1)
    assert standing is not None
    assert standing.state == "healthy"


def test_kept_transitions_are_bounded_and_end_with_their_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STANDINGS", 2)
    faults = Faults(lambda: None)
    for number in range(3):
        faults.note_pace(f"alpha/m{number}", True, NOW, "slow")
    assert list(faults.standings) == ["alpha/m1", "alpha/m2"]
    faults.keep({"beta"}, set())
    assert (faults.standings, faults.conditions) == ({}, {})


def test_held_key_is_blocked_whatever_attempts_show() -> None:
    state = State()
    state.attempt(failures.CREDENTIAL_REJECTED)
    state.hold(Hold("alpha:k1", reason="leaked"))
    assert state.changes
    block = state.faults.key_blocks[KEY]
    assert block.failure.kind is failures.OPERATOR_HOLD
    assert "leaked" in block.failure.message
    state.attempt(None, NOW + 1)
    state.attempt(failures.CREDENTIAL_REJECTED, NOW + 2)
    assert state.faults.key_blocks[KEY] is block
    assert block.is_blocked(NOW + 59)
    assert not block.is_blocked(NOW + 60), "the hold is over"
    state.hold()
    assert KEY not in state.faults.key_blocks


def test_key_may_be_blocked_once_its_hold_is_over() -> None:
    state = State()
    state.hold(Hold("alpha:k1"))
    state.attempt(failures.CREDENTIAL_REJECTED, NOW + 61)
    assert state.faults.key_blocks[KEY].failure.kind is failures.CREDENTIAL_REJECTED


def test_target_that_is_forced_in_never_fails() -> None:
    state = State()
    state.trip()
    state.hold(Hold("alpha/m", "in"))
    assert state.faults.conditions[A.id].health(NOW) == "degraded"
    for _ in range(3):
        state.trip()
    assert state.faults.conditions[A.id].health(NOW) == "degraded"
    state.attempt(failures.UPSTREAM_ERROR, NOW + 61)
    assert state.faults.conditions[A.id].health(NOW + 61) == "failed", "the hold is over"
    state.hold(Hold("alpha/m", "in"))
    state.hold()
    state.attempt(failures.UPSTREAM_ERROR)
    assert state.faults.conditions[A.id].health(NOW) == "failed"


def test_rejection_does_not_block_a_key_that_is_forced_in_but_its_quota_does() -> None:
    state = State()
    state.attempt(failures.CREDENTIAL_REJECTED)
    state.hold(Hold("alpha:k1", "in"))
    assert state.faults.key_blocks == {}
    state.attempt(failures.CREDENTIAL_REJECTED)
    assert state.faults.key_blocks == {}
    state.attempt(failures.UPSTREAM_RATE_LIMITED)
    assert list(state.faults.key_blocks) == [("alpha", "k1", "m")]


def test_hold_of_a_key_outlasts_a_configuration_without_it() -> None:
    state = State()
    state.hold(Hold("alpha:k1"))
    state.faults.keep({"alpha"}, set())
    assert state.faults.key_blocks[KEY].failure.kind is failures.OPERATOR_HOLD


def test_same_orders_change_nothing() -> None:
    state = State()
    state.hold(Hold("alpha"))
    changes = state.changes
    state.hold(Hold("alpha"))
    assert state.changes == changes


def test_answers_of_a_target_that_stays_slow_change_nothing() -> None:
    state = State()
    state.faults.note_pace(A.id, True, NOW, "slow")
    changes = state.changes
    for number in range(3):
        state.attempt(None, NOW + number)
        state.faults.begin_answer(A.id, NOW + number)
    assert state.changes == changes
    assert state.faults.conditions[A.id].is_slow
