"""Canaries are compared with their control."""

import random
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import endpoint, failure
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.targets import Arm, Guard, candidate
from pointsman.routing.canaries import Aborted, Canaries

GUARD = Guard(0.05, 1.5, 50)
CONTROL = Arm("chat", "a/m", "control", 90.0)
TRIAL = Arm("chat", "b/m", "trial", 10.0, GUARD)
FAILED = failure()


class Traffic:
    """Requests at both, of which one in `share` goes to the canary."""

    def __init__(self, trial: Arm = TRIAL, seed: int = 1, share: int = 10) -> None:
        self.canaries = Canaries()
        self.trial, self.share = trial, share
        self.rng = random.Random(seed)
        self.now = 0.0

    def send(
        self,
        count: int,
        *,
        errors: tuple[float, float] = (0.0, 0.0),
        took_s: tuple[float, float] = (0.5, 0.5),
        kind: Kind = failures.UPSTREAM_ERROR,
    ) -> Aborted | None:
        """Send requests; the pairs are of the control and of the canary. Stop at an abort."""
        for number in range(count):
            is_trial = number % self.share == 0
            self.now += 0.1
            has_failed = self.rng.random() < errors[is_trial]
            first_s = took_s[is_trial] * self.rng.lognormvariate(0.0, 0.35)
            found = self.canaries.observe(
                self.trial if is_trial else CONTROL,
                failure(kind) if has_failed else None,
                None if has_failed else first_s,
                self.now,
            )
            if found is not None:
                return found
        return None


def test_canary_that_fails_is_aborted_once_with_its_reason() -> None:
    traffic = Traffic()
    found = traffic.send(2000, errors=(0.01, 0.5))
    assert found is not None
    assert (found.arm, found.until) == (TRIAL, inf)
    assert "% of its attempts failed, against " in found.reason
    assert found.reason.endswith("% of the control's; 5.0% more are allowed")
    assert traffic.canaries.aborted == {TRIAL: found}
    assert traffic.send(2000, errors=(0.01, 0.5)) is None


def test_slow_canary_is_aborted_with_the_ratio() -> None:
    found = Traffic().send(2000, took_s=(0.5, 1.5))
    assert found is not None
    assert found.reason.startswith("its first bytes take ")
    assert found.reason.endswith(" times as long as the control's; 1.5 times are allowed")


@pytest.mark.parametrize(
    "kind", [failures.UPSTREAM_MODEL_MISSING, failures.CREDENTIAL_REJECTED, failures.UPSTREAM_REFUSED]
)
def test_every_failure_of_the_target_counts(kind: Kind) -> None:
    assert Traffic().send(2000, errors=(0.0, 1.0), kind=kind) is not None


@pytest.mark.parametrize("kind", [failures.UPSTREAM_RATE_LIMITED, failures.CLIENT_GONE])
def test_rate_limits_and_clients_that_disconnect_do_not_count(kind: Kind) -> None:
    assert Traffic().send(5000, errors=(0.0, 0.9), kind=kind) is None


def test_nothing_is_aborted_before_enough_attempts() -> None:
    traffic = Traffic()
    traffic.send(100)  # the control is known
    assert traffic.send(390, errors=(0.0, 1.0)) is None
    assert traffic.send(600, errors=(0.0, 1.0)) is not None


@pytest.mark.parametrize("seed", range(12))
def test_canary_like_its_control_is_not_aborted(seed: int) -> None:
    assert Traffic(seed=seed).send(20_000, errors=(0.03, 0.03), took_s=(0.5, 0.55)) is None


@pytest.mark.parametrize("seed", range(6))
def test_outage_of_both_aborts_nothing(seed: int) -> None:
    traffic = Traffic(seed=seed)
    for errors in ((0.0, 0.0), (0.8, 0.8), (0.0, 0.0), (0.5, 0.5), (0.0, 0.0)):
        assert traffic.send(3000, errors=errors, took_s=(0.5, 0.5)) is None


def test_canary_that_gets_worse_later_is_aborted() -> None:
    traffic = Traffic()
    assert traffic.send(20_000) is None
    assert traffic.send(2000, errors=(0.0, 0.4)) is not None


def test_bounds_that_are_not_set_abort_nothing() -> None:
    assert Traffic(replace(TRIAL, guard=Guard(None, 1.5))).send(3000, errors=(0.0, 0.9)) is None
    assert Traffic(replace(TRIAL, guard=Guard(0.05, None))).send(3000, took_s=(0.5, 5.0)) is None


def test_aborted_canary_is_compared_afresh_after_its_time() -> None:
    traffic = Traffic(replace(TRIAL, guard=replace(GUARD, resume_after_s=60.0)))
    found = traffic.send(2000, errors=(0.0, 0.5))
    assert found is not None
    assert found.until == traffic.now + 60
    traffic.now += 61
    assert traffic.send(300, errors=(0.0, 1.0)) is None  # too few attempts so far
    assert traffic.canaries.aborted == {}
    assert traffic.send(2000, errors=(0.0, 0.5)) is not None


def test_new_configuration_forgets_only_canaries_with_other_settings() -> None:
    traffic = Traffic()
    assert traffic.send(2000, errors=(0.0, 0.5)) is not None
    item = candidate(endpoint("b"), "m")
    traffic.canaries.keep([replace(item, arm=TRIAL), replace(item, arm=CONTROL)])
    assert traffic.canaries.aborted.keys() == {TRIAL}
    traffic.canaries.keep([replace(item, arm=replace(TRIAL, weight=5.0)), replace(item, arm=CONTROL)])
    assert traffic.canaries.aborted == {}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.one_of(st.none(), st.floats(0, 1e6))), max_size=300))
def test_any_attempts_are_compared_without_an_error(attempts: list[tuple[bool, bool, float | None]]) -> None:
    canaries = Canaries()
    arm = replace(TRIAL, guard=Guard(0.0, 1.0, 10, resume_after_s=0.5))
    for number, (is_trial, has_failed, first_s) in enumerate(attempts):
        canaries.observe(arm if is_trial else CONTROL, FAILED if has_failed else None, first_s, number / 10)
