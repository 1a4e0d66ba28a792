"""The table of the states of health: every pair, and random outcomes."""

import re
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.routing import NOW, endpoint, failure
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.holds import Held, Hold
from pointsman.domain.plans import Health
from pointsman.domain.snapshots import HealthLimits
from pointsman.domain.targets import candidate
from pointsman.routing import health
from pointsman.routing.fault_news import BreakerNews, FaultNews
from pointsman.routing.faults import Faults
from pointsman.routing.health_states import TRANSITIONS, Event, after

PAGE = Path(__file__).parents[3] / "docs/decisions/0055-health-states-and-holds.md"
STATES: tuple[Health, ...] = get_args(Health)
EVENTS: tuple[Event, ...] = get_args(Event)
LIMITS = HealthLimits(failures=2, max_block_s=8.0, max_block_hanging_s=8.0)
A = candidate(endpoint("a", "k"), "m")
NAME = "a/m"
KEY = ("a", "k", None)


def test_every_pair_has_its_new_state_or_cannot_happen() -> None:
    assert set(TRANSITIONS) == set(STATES)
    for state in STATES:
        for event in EVENTS:
            if event in TRANSITIONS[state]:
                assert after(state, event) in STATES
            else:
                with pytest.raises(KeyError):
                    after(state, event)


def test_page_has_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    found = {state: dict(re.findall(r"(\w+) → `(\w+)`", text)) for state, text in rows}
    assert found == TRANSITIONS


class Subject:
    """One operation of a target, and its key."""

    def __init__(self) -> None:
        self.now = NOW
        self.served_at = 0.0
        self.in_use = 1
        self.faults = Faults(lambda: None)

    @property
    def state(self) -> Health:
        return health.state_of(self.faults.conditions.get(NAME), self.now)

    @property
    def key_state(self) -> Health:
        block = self.faults.key_blocks.get(KEY)
        return "healthy" if block is None else block.health(self.now)

    def attempt(self, kind: Kind | None) -> None:
        self.faults.begin(NAME, A, A.keys[0], self.now)
        self.faults.finish(
            NAME,
            A,
            A.keys[0],
            None if kind is None else failure(kind),
            self.now,
            began_at=self.now,
            limits=LIMITS,
            in_use=self.in_use,
            served_at=self.served_at,
        )

    def fail(self) -> None:
        self.attempt(failures.UPSTREAM_ERROR)

    def serve(self) -> None:
        self.attempt(None)

    def trip(self) -> None:
        while self.state != "failed":
            self.fail()

    def wait(self) -> None:
        self.now = self.faults.conditions[NAME].blocked_until

    def recover(self) -> None:
        self.trip()
        self.wait()

    def warn(self) -> None:
        self.faults.learn(FaultNews([BreakerNews(NAME, "opened", self.now + 5, "down")]), self.now, LIMITS)

    def hear_of_success(self) -> None:
        self.faults.learn(FaultNews([BreakerNews(NAME, "served")]), self.now, LIMITS)

    def pace(self, *, is_poor: bool) -> None:
        self.faults.note_pace(NAME, is_poor, self.now, "slow")

    def force_in(self) -> None:
        self.faults.hold([Held(Hold("a", "in"), inf)], self.now)

    def fail_frozen(self) -> None:
        self.force_in()
        self.fail()


INTO: dict[Health, Callable[[Subject], None]] = {
    "healthy": lambda subject: None,
    "degraded": Subject.fail,
    "failed": Subject.trip,
    "recovering": Subject.recover,
}


def once_more(subject: Subject) -> None:
    """Fail as often as opens the breaker."""
    if subject.state == "failed":
        subject.wait()
    subject.fail()
    subject.trip()


HAPPENS: dict[Event, Callable[[Subject], None]] = {
    "success": Subject.serve,
    "slow": lambda subject: subject.pace(is_poor=True),
    "warned": Subject.warn,
    "trip": once_more,
}
ONLY: dict[tuple[Health, Event], Callable[[Subject], None]] = {
    ("healthy", "failure"): Subject.fail,
    ("degraded", "failure"): Subject.fail_frozen,
    ("failed", "failure"): Subject.fail,
    ("failed", "due"): Subject.hear_of_success,
    ("failed", "cleared"): Subject.force_in,
    ("recovering", "due"): Subject.hear_of_success,
    ("recovering", "cleared"): Subject.force_in,
}


@pytest.mark.parametrize("event", HAPPENS)
@pytest.mark.parametrize("state", STATES)
def test_event_moves_a_target_to_the_state_of_the_table(state: Health, event: Event) -> None:
    subject = Subject()
    INTO[state](subject)
    assert subject.state == state
    HAPPENS[event](subject)
    assert subject.state == after(state, event)


@pytest.mark.parametrize(("state", "event"), ONLY)
def test_event_of_some_states_moves_a_target_to_the_state_of_the_table(state: Health, event: Event) -> None:
    subject = Subject()
    INTO[state](subject)
    ONLY[state, event](subject)
    assert subject.state == after(state, event)


@pytest.mark.parametrize("state", STATES)
def test_pace_that_is_steady_again_ends_only_its_own_label(state: Health) -> None:
    slow = Subject()
    slow.pace(is_poor=True)
    assert slow.state == "degraded"
    slow.serve()
    assert slow.state == "degraded", "an answer alone does not make it fast"
    slow.pace(is_poor=False)
    assert not slow.faults.conditions
    INTO[state](slow)
    slow.pace(is_poor=True)
    slow.pace(is_poor=False)
    assert slow.state == state


def test_target_in_a_trial_that_may_not_trip_stays_in_recovery() -> None:
    subject = Subject()
    subject.recover()
    condition = health.observe(subject.faults.conditions[NAME], failure(), subject.now, limits=LIMITS, may_trip=False)
    assert health.state_of(condition, subject.now) == after("recovering", "failure")


def test_key_passes_through_the_same_table() -> None:
    subject = Subject()
    subject.attempt(failures.CREDENTIAL_REJECTED)
    assert subject.key_state == after("healthy", "trip")
    subject.attempt(failures.CREDENTIAL_REJECTED)
    assert subject.key_state == after("failed", "trip")
    subject.now = subject.faults.key_blocks[KEY].until
    assert subject.key_state == after("failed", "due")
    subject.attempt(failures.CREDENTIAL_REJECTED)
    assert subject.key_state == after("recovering", "trip")
    subject.attempt(None)
    assert subject.key_state == after("failed", "success")
    assert subject.state == "healthy"
    subject.attempt(failures.CREDENTIAL_REJECTED)
    subject.now += 10 * health.FORGOTTEN_CREDENTIAL_S
    assert subject.key_state == "recovering"
    other = Subject()
    other.faults, other.now = subject.faults, subject.now
    other.faults.finish(
        "a/n", candidate(endpoint("a", "other"), "n"), A.keys[0], failure(failures.UPSTREAM_REFUSED), other.now,
        began_at=other.now, limits=LIMITS, in_use=1, served_at=0.0,
    )  # fmt: skip
    assert subject.key_state == after("recovering", "forgotten")


STEPS = st.lists(
    st.sampled_from(["fail", "serve", "hang", "wait", "second", "warn", "heard", "poor", "steady"]), max_size=40
)


@given(STEPS)
def test_random_outcomes_follow_the_table_and_are_recorded(steps: list[str]) -> None:
    """The state changes only as the table says, and the record has each change with its time."""
    subject = Subject()
    for step in steps:
        before = subject.state
        if step in ("wait", "second"):
            condition = subject.faults.conditions.get(NAME)
            subject.now += 1.0 if step == "second" or condition is None else max(0.0, condition.blocked_until - NOW)
            assert subject.state in (before, after(before, "due") if before == "failed" else before)
            continue
        events: dict[str, tuple[Callable[[], None], set[Event]]] = {
            "fail": (subject.fail, {"failure", "trip"}),
            "hang": (lambda: subject.attempt(failures.COMMIT_TIMEOUT), {"failure", "trip"}),
            "serve": (subject.serve, {"success", "slow"}),
            "warn": (subject.warn, {"warned"}),
            "heard": (subject.hear_of_success, {"due", "success", "slow"}),
            "poor": (lambda: subject.pace(is_poor=True), {"slow"}),
            "steady": (lambda: subject.pace(is_poor=False), {"steady", "slow"}),
        }
        act, possible = events[step]
        act()
        reached = {after(before, event) for event in possible if event in TRANSITIONS[before]}
        if step in ("serve", "heard"):
            reached |= {after("healthy", "slow"), before}
        if step == "steady":
            reached |= {before}  # its failures in a row still count
        assert subject.state in reached, (step, before, subject.state)
        standing = subject.faults.standing(NAME, subject.now)
        assert (standing.state if standing is not None else "healthy") == subject.state
        if standing is not None and subject.state != before:
            assert standing.since <= subject.now
            assert standing.reason
