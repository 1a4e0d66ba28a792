"""The breaker of a provider and model, and the blocks of its keys: every transition of the table."""

import pytest

from fakes.routing import NOW, failure
from pointsman.domain import failures
from pointsman.domain.failures import Fault, Kind
from pointsman.domain.plans import Health
from pointsman.routing.health import (
    CREDENTIAL_BLOCK_S,
    FIRST_BLOCK_S,
    MAX_BLOCK_S,
    MAX_CREDENTIAL_BLOCK_S,
    MAX_QUOTA_BLOCK_S,
    MAX_RETRY_AFTER_S,
    QUOTA_BLOCK_S,
    THRESHOLD,
    TRIAL_S,
    Condition,
    KeyBlock,
    begin,
    block_key,
    observe,
)

DEAD = failure(failures.UPSTREAM_ERROR)
LIMITED = failure(failures.UPSTREAM_RATE_LIMITED)
REJECTED = failure(failures.CREDENTIAL_REJECTED)
HARMLESS = [kind for kind in failures.KINDS.values() if kind.fault is not Fault.PROVIDER]


def failed(times: int, now: float = NOW) -> Condition:
    condition: Condition | None = None
    for _ in range(times):
        condition = observe(condition, DEAD, now)
    assert condition is not None
    return condition


DEGRADED = failed(1)
FAILED = failed(THRESHOLD)
AFTER = NOW + FIRST_BLOCK_S  # when the block of FAILED is over
ON_TRIAL = begin(FAILED, AFTER)


@pytest.mark.parametrize(
    ("condition", "now", "health", "is_blocked"),
    [
        (Condition(), NOW, Health.HEALTHY, False),
        (DEGRADED, NOW, Health.DEGRADED, False),
        (failed(THRESHOLD - 1), NOW, Health.DEGRADED, False),
        (FAILED, NOW, Health.FAILED, True),
        (FAILED, AFTER - 0.001, Health.FAILED, True),
        (FAILED, AFTER, Health.RECOVERING, False),
        (ON_TRIAL, AFTER, Health.RECOVERING, True),
        (ON_TRIAL, AFTER + TRIAL_S - 0.001, Health.RECOVERING, True),
        (ON_TRIAL, AFTER + TRIAL_S, Health.RECOVERING, False),
    ],
)
def test_the_states(condition: Condition, now: float, health: Health, is_blocked: bool) -> None:
    assert condition.health(now) is health
    assert condition.is_blocked(now) is is_blocked


@pytest.mark.parametrize(
    ("condition", "now", "after"),
    [
        (None, NOW, Health.DEGRADED),
        (DEGRADED, NOW, Health.DEGRADED),
        (failed(THRESHOLD - 1), NOW, Health.FAILED),
        (FAILED, NOW, Health.FAILED),
        (FAILED, AFTER, Health.FAILED),
        (ON_TRIAL, AFTER, Health.FAILED),
    ],
)
def test_what_a_provider_failure_does(condition: Condition | None, now: float, after: Health) -> None:
    result = observe(condition, DEAD, now)
    assert result is not None
    assert result.health(now) is after


@pytest.mark.parametrize("condition", [None, DEGRADED, FAILED, ON_TRIAL])
def test_a_success_heals_from_every_state(condition: Condition | None) -> None:
    assert observe(condition, None, AFTER) is None


@pytest.mark.parametrize("kind", HARMLESS, ids=lambda kind: kind.code)
def test_no_other_failure_opens_a_breaker_or_closes_one(kind: Kind) -> None:
    condition: Condition | None = None
    for _ in range(10 * THRESHOLD):
        condition = observe(condition, failure(kind), NOW)
    assert condition is None
    still = observe(FAILED, failure(kind), NOW)
    assert still is not None
    assert still.health(NOW) is Health.FAILED
    assert observe(DEGRADED, failure(kind), NOW) == DEGRADED


def test_a_trial_that_ends_without_saying_anything_lets_the_next_one_in() -> None:
    condition = observe(ON_TRIAL, failure(failures.CLIENT_GONE), AFTER + 1)
    assert condition is not None
    assert not condition.is_blocked(AFTER + 1)
    assert condition.health(AFTER + 1) is Health.RECOVERING


def test_only_a_recovering_candidate_goes_on_trial() -> None:
    for condition, now in ((DEGRADED, NOW), (FAILED, NOW)):
        assert begin(condition, now) == condition
    assert begin(FAILED, AFTER).trial_until == AFTER + TRIAL_S


def test_failures_that_arrive_during_a_block_do_not_lengthen_it() -> None:
    condition: Condition | None = FAILED
    for _ in range(50):
        condition = observe(condition, DEAD, NOW + 0.5)
    assert condition is not None
    assert condition.blocked_until == FAILED.blocked_until
    assert condition.blocks == 1


def test_the_block_doubles_with_each_failed_trial_up_to_the_longest() -> None:
    condition, now, blocks = FAILED, NOW, [FAILED.blocked_until - NOW]
    for _ in range(9):
        now = condition.blocked_until
        after = observe(begin(condition, now), DEAD, now)
        assert after is not None
        condition = after
        blocks.append(condition.blocked_until - now)
    assert blocks == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert max(blocks) == MAX_BLOCK_S


def test_an_outage_of_weeks_does_not_overflow() -> None:
    condition: Condition | None = FAILED
    block: KeyBlock | None = None
    now = NOW
    for _ in range(3000):
        now += MAX_CREDENTIAL_BLOCK_S
        condition = observe(condition, DEAD, now)
        block = block_key(block, REJECTED, now)
    assert condition is not None
    assert condition.blocked_until == now + MAX_BLOCK_S
    assert block is not None
    assert block.until == now + MAX_CREDENTIAL_BLOCK_S


@pytest.mark.parametrize(
    ("refused", "first_s", "longest_s"),
    [(LIMITED, QUOTA_BLOCK_S, MAX_QUOTA_BLOCK_S), (REJECTED, CREDENTIAL_BLOCK_S, MAX_CREDENTIAL_BLOCK_S)],
)
def test_a_refused_key_is_blocked_for_longer_each_time(
    refused: failures.Failure, first_s: float, longest_s: float
) -> None:
    block, now, blocks = None, NOW, []
    for _ in range(9):
        block = block_key(block, refused, now)
        assert block is not None
        assert block.failure is refused
        blocks.append(block.until - now)
        now = block.until
    assert blocks == [min(first_s * 2**times, longest_s) for times in range(9)]


def test_refusals_that_arrive_together_count_once() -> None:
    block = None
    for _ in range(100):
        block = block_key(block, REJECTED, NOW)
    assert block is not None
    assert block.until == NOW + CREDENTIAL_BLOCK_S


@pytest.mark.parametrize(
    ("retry_after_s", "block_s"),
    [(30, 30), (0.2, 0.2), (1e9, MAX_RETRY_AFTER_S), (0, QUOTA_BLOCK_S), (-5, QUOTA_BLOCK_S), (None, QUOTA_BLOCK_S)],
)
def test_retry_after_is_honoured_within_reason(retry_after_s: float | None, block_s: float) -> None:
    block = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, retry_after_s), NOW)
    assert block is not None
    assert block.until == NOW + block_s


def test_an_answer_to_an_older_request_may_lengthen_a_block_but_not_shorten_it() -> None:
    long = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, 30), NOW)
    assert block_key(long, failure(failures.UPSTREAM_RATE_LIMITED, 2), NOW + 1) == long
    longer = block_key(long, failure(failures.UPSTREAM_RATE_LIMITED, 40), NOW + 1)
    assert longer is not None
    assert longer.until == NOW + 41


def test_a_success_frees_a_key_only_once_its_block_is_over() -> None:
    block = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, 30), NOW)
    assert block_key(block, None, NOW + 29) == block
    assert block_key(block, None, NOW + 30) is None
    assert block_key(None, None, NOW) is None


@pytest.mark.parametrize(
    "kind", [kind for kind in failures.KINDS.values() if kind.fault not in (Fault.QUOTA, Fault.CREDENTIAL)]
)
def test_no_other_failure_touches_a_key(kind: Kind) -> None:
    block = KeyBlock(NOW + 5, LIMITED)
    assert block_key(None, failure(kind), NOW) is None
    assert block_key(block, failure(kind), NOW) is block
