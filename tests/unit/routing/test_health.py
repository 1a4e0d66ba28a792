"""The breaker of a provider and model, and the blocks of its keys: every transition of the table."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, endpoint, failure
from pointsman.domain import failures
from pointsman.domain.failures import Fault, Kind, Scope
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.plans import Health
from pointsman.domain.snapshots import HealthLimits
from pointsman.domain.targets import candidate
from pointsman.routing.health import (
    CREDENTIAL_BLOCK_S,
    EVIDENCE_S,
    FIRST_BLOCK_S,
    HANGING_S,
    LIMITS,
    MAX_CREDENTIAL_BLOCK_S,
    MAX_PROBE_S,
    MAX_QUOTA_BLOCK_S,
    MAX_RETRY_AFTER_S,
    MAX_UNSUPPORTED_S,
    MODELS_OF_A_KEY,
    PROBE_S,
    QUOTA_BLOCK_S,
    RACE_S,
    TRIAL_S,
    UNSUPPORTED_S,
    Condition,
    KeyBlock,
    KeyName,
    begin,
    block_after_start,
    block_key,
    block_of,
    block_of_whole_key,
    blocks_key,
    covers_whole_key,
    is_forgotten,
    observe,
    subject,
)

DEAD = failure(failures.UPSTREAM_ERROR)
LIMITED = failure(failures.UPSTREAM_RATE_LIMITED)
REJECTED = failure(failures.CREDENTIAL_REJECTED)
LACKING = failure(failures.UPSTREAM_UNSUPPORTED)
HARMLESS = [kind for kind in failures.KINDS.values() if kind.fault is not Fault.PROVIDER and kind is not LACKING.kind]


def failed(times: int, now: float = NOW) -> Condition:
    condition: Condition | None = None
    for _ in range(times):
        condition = observe(condition, DEAD, now)
    assert condition is not None
    return condition


DEGRADED = failed(1)
FAILED = failed(LIMITS.failures)
AFTER = NOW + FIRST_BLOCK_S  # when the block of FAILED is over
ON_TRIAL = begin(FAILED, AFTER)


@pytest.mark.parametrize(
    ("condition", "now", "health", "is_blocked"),
    [
        (Condition(), NOW, "healthy", False),
        (DEGRADED, NOW, "degraded", False),
        (failed(LIMITS.failures - 1), NOW, "degraded", False),
        (FAILED, NOW, "failed", True),
        (FAILED, AFTER - 0.001, "failed", True),
        (FAILED, AFTER, "recovering", False),
        (ON_TRIAL, AFTER, "recovering", True),
        (ON_TRIAL, AFTER + TRIAL_S - 0.001, "recovering", True),
        (ON_TRIAL, AFTER + TRIAL_S, "recovering", False),
    ],
)
def test_condition_has_its_health_at_each_time(
    condition: Condition, now: float, health: Health, is_blocked: bool
) -> None:
    assert condition.health(now) is health
    assert condition.is_blocked(now) is is_blocked


@pytest.mark.parametrize(
    ("condition", "now", "after"),
    [
        (None, NOW, "degraded"),
        (DEGRADED, NOW, "degraded"),
        (failed(LIMITS.failures - 1), NOW, "failed"),
        (FAILED, NOW, "failed"),
        (FAILED, AFTER, "failed"),
        (ON_TRIAL, AFTER, "failed"),
    ],
)
def test_provider_failure_changes_the_condition(condition: Condition | None, now: float, after: Health) -> None:
    result = observe(condition, DEAD, now)
    assert result is not None
    assert result.health(now) is after


@pytest.mark.parametrize("condition", [None, DEGRADED, FAILED, ON_TRIAL])
def test_success_resets_every_condition(condition: Condition | None) -> None:
    assert observe(condition, None, AFTER) is None


@pytest.mark.parametrize("kind", HARMLESS, ids=lambda kind: kind.code)
def test_other_failures_do_not_change_the_breaker(kind: Kind) -> None:
    condition: Condition | None = None
    for _ in range(10 * LIMITS.failures):
        condition = observe(condition, failure(kind), NOW)
    assert condition is None
    still = observe(FAILED, failure(kind), NOW)
    assert still is not None
    assert still.health(NOW) == "failed"
    assert observe(DEGRADED, failure(kind), NOW) == DEGRADED


def test_inconclusive_trial_allows_the_next_one() -> None:
    condition = observe(ON_TRIAL, failure(failures.CLIENT_GONE), AFTER + 1)
    assert condition is not None
    assert not condition.is_blocked(AFTER + 1)
    assert condition.health(AFTER + 1) == "recovering"


def test_only_a_recovering_candidate_begins_a_trial() -> None:
    for condition, now in ((DEGRADED, NOW), (FAILED, NOW)):
        assert begin(condition, now) == condition
    assert begin(FAILED, AFTER).trial_until == AFTER + TRIAL_S


def test_races_may_try_a_blocked_candidate_now_and_then() -> None:
    hanging = Condition(3, 6, NOW + 60, failed_at=NOW)
    assert not hanging.may_race(NOW + RACE_S - 0.1)
    assert hanging.may_race(NOW + RACE_S)
    begun = begin(hanging, NOW + RACE_S)
    assert not begun.may_race(NOW + RACE_S + 1)
    assert begun.may_race(NOW + 2 * RACE_S)
    assert begun.is_blocked(NOW + 2 * RACE_S)
    short = Condition(3, 1, NOW + 1, failed_at=NOW)
    assert short.may_race(NOW + 1)
    assert not begin(short, NOW + 1).may_race(NOW + 2)  # a trial is in progress
    assert not Condition(3, 6, NOW + 60, is_lacking=True, failed_at=NOW).may_race(NOW + 50)
    assert not Condition(1, failed_at=NOW).may_race(NOW + 50)


def test_failures_during_a_block_do_not_extend_it() -> None:
    condition: Condition | None = FAILED
    for _ in range(50):
        condition = observe(condition, DEAD, NOW + 0.5)
    assert condition is not None
    assert condition.blocked_until == FAILED.blocked_until
    assert condition.blocks == 1


SLOW = failure(failures.COMMIT_TIMEOUT)


@pytest.mark.parametrize(
    ("failed_with", "took_s", "limits", "expected"),
    [
        (DEAD, 0.0, LIMITS, [1, 2, 4, 8, 15, 15, 15]),
        (failure(failures.CONNECT_FAILED), 0.0, LIMITS, [1, 2, 4, 8, 15, 15, 15]),
        (DEAD, HANGING_S, LIMITS, [1, 2, 4, 8, 16, 30, 30]),
        (SLOW, 2.0, LIMITS, [1, 2, 4, 8, 16, 30, 30]),
        (DEAD, 0.0, HealthLimits(max_block_s=3, max_block_hanging_s=5), [1, 2, 3, 3, 3, 3, 3]),
        (SLOW, 0.0, HealthLimits(max_block_s=3, max_block_hanging_s=5), [1, 2, 4, 5, 5, 5, 5]),
        (DEAD, 0.0, HealthLimits(max_block_s=0.5), [0.5] * 7),
    ],
)
def test_block_doubles_with_each_failed_trial_up_to_its_limit(
    failed_with: failures.Failure, took_s: float, limits: HealthLimits, expected: list[float]
) -> None:
    condition: Condition | None = Condition(limits.failures - 1)
    now, blocks = NOW, []
    for _ in expected:
        assert condition is not None
        condition = observe(begin(condition, now), failed_with, now, took_s, limits)
        assert condition is not None
        blocks.append(condition.blocked_until - now)
        now = condition.blocked_until
    assert blocks == expected


@pytest.mark.parametrize("number", [1, 2, 5])
def test_number_of_failures_that_opens_the_breaker_is_configurable(number: int) -> None:
    condition: Condition | None = None
    for times in range(1, number + 1):
        condition = observe(condition, DEAD, NOW, 0.0, HealthLimits(failures=number))
        assert condition is not None
        assert condition.is_blocked(NOW) is (times == number)


def test_failure_of_attempt_scope_opens_no_breaker() -> None:
    unknown = replace(DEAD, scope=Scope.ATTEMPT)
    condition: Condition | None = None
    for _ in range(10 * LIMITS.failures):
        condition = observe(condition, unknown, NOW)
    assert condition is None


def test_server_that_reports_a_missing_operation_is_blocked_at_once() -> None:
    certain = replace(LACKING, scope=Scope.OPERATION)
    condition, now = observe(None, certain, NOW), NOW
    assert condition is not None
    assert condition.is_lacking
    assert condition.is_blocked(NOW + UNSUPPORTED_S - 1)
    for _ in range(6):
        now = condition.blocked_until
        condition = observe(begin(condition, now), certain, now)
        assert condition is not None
    assert condition.blocked_until - now == MAX_UNSUPPORTED_S
    assert observe(condition, None, now) is None, "the server restarted with the operation"


def test_server_that_seems_to_lack_an_operation_is_blocked_after_several_failures() -> None:
    condition: Condition | None = None
    for times in range(1, LIMITS.failures + 1):
        condition = observe(condition, LACKING, NOW)
        assert condition is not None
        assert condition.is_blocked(NOW) is (times == LIMITS.failures)


def test_each_operation_has_its_own_health() -> None:
    assert subject(M, "chat") == "p/m"
    assert subject(M, "embedding") == "p/m\tembedding"
    assert len({subject(M, operation) for operation in OPERATIONS}) == len(OPERATIONS)


def test_outage_of_weeks_does_not_overflow() -> None:
    condition: Condition | None = FAILED
    block: KeyBlock | None = None
    now = NOW
    for _ in range(3000):
        now += MAX_CREDENTIAL_BLOCK_S
        condition = observe(condition, DEAD, now)
        block = block_key(block, REJECTED, now)
    assert condition is not None
    assert condition.blocked_until == now + LIMITS.max_block_s
    assert block is not None
    assert block.until == now + MAX_CREDENTIAL_BLOCK_S


@pytest.mark.parametrize(
    ("rejection", "first_s", "longest_s"),
    [(LIMITED, QUOTA_BLOCK_S, MAX_QUOTA_BLOCK_S), (REJECTED, CREDENTIAL_BLOCK_S, MAX_CREDENTIAL_BLOCK_S)],
)
def test_rejected_key_is_blocked_for_longer_each_time(
    rejection: failures.Failure, first_s: float, longest_s: float
) -> None:
    block, now, blocks = None, NOW, []
    for _ in range(9):
        block = block_key(block, rejection, now)
        assert block is not None
        assert block.failure is rejection
        blocks.append(block.until - now)
        now = block.until
    assert blocks == [min(first_s * 2**times, longest_s) for times in range(9)]


def test_concurrent_rejections_count_once() -> None:
    block = None
    for _ in range(100):
        block = block_key(block, REJECTED, NOW, NOW - 1)
    assert block is not None
    assert (block.until, block.count) == (NOW + CREDENTIAL_BLOCK_S, 1)


@pytest.mark.parametrize(
    ("retry_after_s", "block_s"),
    [(30, 30), (0.2, 0.2), (1e9, MAX_RETRY_AFTER_S), (0, QUOTA_BLOCK_S), (-5, QUOTA_BLOCK_S), (None, QUOTA_BLOCK_S)],
)
def test_retry_after_is_honored_up_to_a_limit(retry_after_s: float | None, block_s: float) -> None:
    block = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, retry_after_s), NOW)
    assert block is not None
    assert block.until == NOW + block_s


def test_older_request_may_extend_a_block_but_not_shorten_it() -> None:
    long = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, 30), NOW)
    assert block_key(long, failure(failures.UPSTREAM_RATE_LIMITED, 2), NOW + 1, NOW - 1) == long
    longer = block_key(long, failure(failures.UPSTREAM_RATE_LIMITED, 40), NOW + 1, NOW - 1)
    assert longer is not None
    assert longer.until == NOW + 41


def test_newer_rejection_sets_a_new_end() -> None:
    long = block_key(None, failure(failures.UPSTREAM_RATE_LIMITED, 3000), NOW)
    newer = block_key(long, failure(failures.UPSTREAM_RATE_LIMITED, 20), NOW + 10, NOW + 9)
    assert newer is not None
    assert (newer.until, newer.count) == (NOW + 30, 2)


@pytest.mark.parametrize("rejection", [LIMITED, REJECTED])
def test_success_ends_a_block_unless_it_began_before(rejection: failures.Failure) -> None:
    block = block_key(None, rejection, NOW)
    assert block_key(block, None, NOW + 29, NOW - 0.1) == block
    assert block_key(block, None, NOW + 0.2, NOW + 0.1) is None
    assert block_key(None, None, NOW) is None


@pytest.mark.parametrize("rejection", [LIMITED, REJECTED])
def test_blocked_key_is_probed_if_there_is_no_other(rejection: failures.Failure) -> None:
    block, now, probes = block_key(None, replace(rejection, retry_after_s=3600.0), NOW), NOW, []
    for _ in range(8):
        assert block is not None
        probes.append(block.retry_at - now)
        now = block.retry_at
        probed = block_after_start(block, now)
        assert probed.retry_at > now, "only one request probes at a time"
        block = block_key(probed, replace(rejection, retry_after_s=3600.0), now + 0.1, now)
        now += 0.1
    assert probes == pytest.approx([min(PROBE_S * 2**times, MAX_PROBE_S) for times in range(8)])


def test_rejected_key_gets_a_single_trial_and_a_limited_key_none() -> None:
    rejected, limited = block_key(None, REJECTED, NOW), block_key(None, LIMITED, NOW)
    assert rejected is not None
    assert limited is not None
    tried = block_after_start(rejected, rejected.until)
    assert tried.is_blocked(rejected.until + 1)
    assert tried.retry_at <= rejected.until, "a request without another key does not wait for the trial"
    assert not tried.is_blocked(rejected.until + TRIAL_S)
    ended = block_key(tried, DEAD, rejected.until + 1, rejected.until)
    assert ended is not None
    assert not ended.is_blocked(rejected.until + 1)
    assert not block_after_start(limited, limited.until).is_blocked(limited.until)


M = candidate(endpoint("p"), "m")
BLOCKS: dict[KeyName, KeyBlock] = {
    ("p", "k1", "m"): KeyBlock(until=NOW + 5, failure=LIMITED),
    ("p", "k1", None): KeyBlock(until=NOW + 9, failure=REJECTED),
    ("p", "k2", None): KeyBlock(until=NOW - 1, failure=REJECTED),
    ("q", "k3", None): KeyBlock(until=NOW + 5, failure=LIMITED),
}


def test_longer_block_of_a_key_counts() -> None:
    assert block_of(BLOCKS, M, "k1", NOW) == KeyBlock(until=NOW + 9, failure=REJECTED)
    assert block_of(BLOCKS, candidate(endpoint("p"), "other"), "k1", NOW) == KeyBlock(until=NOW + 9, failure=REJECTED)
    assert (
        block_of({("p", "k1", "m"): KeyBlock(until=NOW + 5, failure=LIMITED)}, candidate(endpoint("p"), "o"), "k1", NOW)
        is None
    )
    for key in ("k2", "k3", "k4"):
        assert block_of(BLOCKS, M, key, NOW) is None


def test_limits_cover_a_model_and_rejections_cover_the_key_by_default() -> None:
    assert [covers_whole_key(one) for one in (LIMITED, REJECTED)] == [False, True]
    assert covers_whole_key(replace(LIMITED, scope=Scope.KEY))
    assert not covers_whole_key(failure(failures.UPSTREAM_MODEL_DENIED))
    assert [blocks_key(one) for one in (LIMITED, REJECTED, DEAD)] == [True, True, False]
    assert not blocks_key(replace(REJECTED, scope=Scope.ATTEMPT))


def limited_models(count: int, since: float = NOW) -> dict[KeyName, KeyBlock]:
    return {
        ("p", "k1", f"m{number}"): KeyBlock(until=NOW + 5 + number, failure=LIMITED, count=1, since=since)
        for number in range(count)
    }


def test_several_limited_models_block_the_whole_key() -> None:
    enough = limited_models(MODELS_OF_A_KEY)
    wide = block_of_whole_key(enough, "p", "k1", NOW, 0.0)
    assert wide is not None
    assert wide.until == NOW + 5, "the block lasts until the first block of a model ends"
    assert wide.retry_at == NOW, "a guessed block does not delay a request without another key"
    assert block_of_whole_key(limited_models(MODELS_OF_A_KEY - 1), "p", "k1", NOW, 0.0) is None
    assert block_of_whole_key(enough, "p", "k2", NOW, 0.0) is None
    assert block_of_whole_key(enough, "q", "k1", NOW, 0.0) is None
    assert block_of_whole_key(enough, "p", "k1", NOW, NOW) is None, "the key has served a model since"
    assert block_of_whole_key(limited_models(MODELS_OF_A_KEY, NOW - EVIDENCE_S), "p", "k1", NOW, 0.0) is None
    assert block_of_whole_key(enough, "p", "k1", NOW + 6, 0.0) is None, "the first block is over"


def test_denied_models_do_not_block_the_whole_key() -> None:
    denied = failure(failures.UPSTREAM_MODEL_DENIED)
    blocks = {name: replace(block, failure=denied) for name, block in limited_models(9).items()}
    assert block_of_whole_key(blocks, "p", "k1", NOW, 0.0) is None


def test_block_is_forgotten_long_after_its_end() -> None:
    for rejection, kept_s in ((LIMITED, MAX_QUOTA_BLOCK_S), (REJECTED, MAX_CREDENTIAL_BLOCK_S)):
        assert not is_forgotten(KeyBlock(until=NOW, failure=rejection), NOW + kept_s)
        assert is_forgotten(KeyBlock(until=NOW, failure=rejection), NOW + kept_s + 1)


@pytest.mark.parametrize(
    "kind", [kind for kind in failures.KINDS.values() if kind.fault not in (Fault.QUOTA, Fault.CREDENTIAL)]
)
def test_other_failures_do_not_block_a_key(kind: Kind) -> None:
    block = KeyBlock(until=NOW + 5, failure=LIMITED)
    assert block_key(None, failure(kind), NOW) is None
    assert block_key(block, failure(kind), NOW) is block
