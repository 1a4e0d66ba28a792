"""State that attempts change, and the part of it that a reload keeps."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, call, endpoint, failure, snapshot
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.quotas import NO_NEED, Allowance, Quota
from pointsman.domain.snapshots import HealthLimits, Routing
from pointsman.domain.targets import Candidate, candidate
from pointsman.engine.live import Live
from pointsman.routing.health import FIRST_BLOCK_S, LIMITS, MODELS_OF_A_KEY
from pointsman.routing.retry_budget import CAPACITY

ALPHA, BETA = endpoint("alpha", "k1", "k2"), endpoint("beta")
A, B = candidate(ALPHA, "m"), candidate(BETA, "m")


def live() -> Live:
    return Live(snapshot([ALPHA, BETA]))


def attempt(state: Live, item: Candidate, kind: Kind | None, now: float = NOW, key: int = 0) -> None:
    """Begin and end one attempt."""
    state.begin(item, now, is_retry=False)
    state.finish(item, item.keys[key], None if kind is None else failure(kind), now)


def test_attempts_in_progress_are_counted_until_they_end() -> None:
    state = live()
    state.begin(A, NOW, is_retry=False)
    state.begin(A, NOW, is_retry=False)
    state.begin(B, NOW, is_retry=False)
    assert state.in_progress == {"alpha/m": 2, "beta/m": 1}
    state.finish(A, A.keys[0], None, NOW)
    state.finish(B, B.keys[0], failure(), NOW)
    assert state.in_progress == {"alpha/m": 1}
    state.finish(A, A.keys[0], failure(failures.CLIENT_GONE), NOW)
    assert state.in_progress == {}


def test_failures_change_the_health_of_one_candidate_until_a_success() -> None:
    state = live()
    states = []
    for _ in range(LIMITS.failures):
        attempt(state, A, failures.UPSTREAM_ERROR)
        states.append(state.conditions["alpha/m"].health(NOW))
    assert states == ["degraded", "degraded", "failed"]
    assert "beta/m" not in state.conditions
    later = NOW + FIRST_BLOCK_S
    assert state.conditions["alpha/m"].health(later) == "recovering"
    attempt(state, A, None, later)
    assert state.conditions == {}


def test_attempt_at_a_recovering_candidate_is_its_only_trial() -> None:
    state = live()
    for _ in range(LIMITS.failures):
        attempt(state, A, failures.UPSTREAM_ERROR)
    later = NOW + FIRST_BLOCK_S
    assert not state.conditions["alpha/m"].is_blocked(later)
    state.begin(A, later, is_retry=False)
    assert state.conditions["alpha/m"].is_blocked(later)


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (failures.UPSTREAM_RATE_LIMITED, "m"),
        (failures.CREDENTIAL_REJECTED, None),
        (failures.BALANCE_EMPTY, None),
        (failures.UPSTREAM_MODEL_DENIED, "m"),
    ],
)
def test_rejected_key_is_blocked_but_its_provider_and_other_keys_are_not(kind: Kind, model: str | None) -> None:
    state = live()
    attempt(state, A, kind, key=1)
    assert list(state.key_blocks) == [("alpha", "k2", model)]
    assert state.conditions == {}
    attempt(state, A, None, state.key_blocks["alpha", "k2", model].until, key=1)
    assert state.key_blocks == {}


def test_rate_limits_of_several_models_block_the_key_until_a_success() -> None:
    state = live()
    models = [candidate(ALPHA, f"m{number}") for number in range(MODELS_OF_A_KEY)]
    for item in models[:-1]:
        attempt(state, item, failures.UPSTREAM_RATE_LIMITED)
        assert ("alpha", "k1", None) not in state.key_blocks
    attempt(state, models[-1], failures.UPSTREAM_RATE_LIMITED)
    assert ("alpha", "k1", None) in state.key_blocks
    attempt(state, models[0], None, NOW + 0.5)
    assert set(state.key_blocks) == {("alpha", "k1", item.model) for item in models[1:]}


def test_rate_limits_of_several_models_do_not_block_a_key_that_serves() -> None:
    state = live()
    for number in range(3 * MODELS_OF_A_KEY):
        attempt(state, candidate(ALPHA, f"m{number}"), failures.UPSTREAM_RATE_LIMITED, NOW + number * 0.01)
        attempt(state, candidate(ALPHA, "good"), None, NOW + number * 0.01 + 0.005)
    assert ("alpha", "k1", None) not in state.key_blocks


def test_answer_to_a_request_from_before_a_block_does_not_end_it() -> None:
    state = live()
    for _ in range(2):
        state.begin(A, NOW, is_retry=False)
    state.finish(A, A.keys[0], failure(failures.CREDENTIAL_REJECTED), NOW + 1, began_at=NOW)
    state.finish(A, A.keys[0], None, NOW + 2, began_at=NOW)
    assert list(state.key_blocks) == [("alpha", "k1", None)]
    state.begin(A, NOW + 3, is_retry=False, key=A.keys[0])
    state.finish(A, A.keys[0], None, NOW + 4, began_at=NOW + 3)
    assert state.key_blocks == {}


def test_failure_of_one_operation_does_not_affect_another() -> None:
    state = live()
    for _ in range(LIMITS.failures):
        state.begin(A, NOW, is_retry=False, operation="embedding")
        state.finish(A, A.keys[0], failure(), NOW, operation="embedding")
    assert list(state.conditions) == ["alpha/m\tembedding"]
    attempt(state, A, None)
    assert state.conditions["alpha/m\tembedding"].is_blocked(NOW)
    state.begin(A, NOW + FIRST_BLOCK_S, is_retry=False, operation="embedding")
    assert state.conditions["alpha/m\tembedding"].is_blocked(NOW + FIRST_BLOCK_S), "on trial"
    state.finish(A, A.keys[0], None, NOW + FIRST_BLOCK_S, operation="embedding")
    assert state.conditions == {}


def test_breaker_uses_its_settings_and_the_duration_of_failures() -> None:
    routing = Routing(health=HealthLimits(failures=1, max_block_s=0.25, max_block_hanging_s=0.5))
    state = Live(replace(snapshot([ALPHA, BETA]), routing=routing))
    attempt(state, A, failures.UPSTREAM_ERROR)
    assert state.conditions["alpha/m"].blocked_until == NOW + 0.25
    state.begin(B, NOW - 60, is_retry=False)
    state.finish(B, B.keys[0], failure(), NOW, began_at=NOW - 60)
    assert state.conditions["beta/m"].blocked_until == NOW + 0.5


def test_old_blocks_are_forgotten() -> None:
    state = live()
    attempt(state, A, failures.UPSTREAM_RATE_LIMITED)
    attempt(state, B, failures.CREDENTIAL_REJECTED, NOW + 10_000)
    assert list(state.key_blocks) == [("beta", "k1", None)]


@pytest.mark.parametrize("kind", [failures.CLIENT_GONE, failures.UPSTREAM_REFUSED, failures.INTERNAL])
def test_failures_without_fault_of_the_provider_do_not_affect_its_health(kind: Kind) -> None:
    state = live()
    for _ in range(LIMITS.failures):
        attempt(state, A, kind)
    assert (state.conditions, state.key_blocks) == ({}, {})


def retries(state: Live, item: Candidate) -> int:
    """Return the number of retries that are allowed now, one after the other."""
    count = 0
    while state.may_retry(item.endpoint.name, NOW):
        state.begin(item, NOW, is_retry=True)
        count += 1
        assert count <= 2 * CAPACITY
    return count


def test_retries_at_a_provider_are_bounded_and_earned_by_requests() -> None:
    state = live()
    assert 0 < retries(state, A) <= CAPACITY
    assert not state.may_retry("alpha", NOW)
    for _ in range(10):
        state.begin(A, NOW, is_retry=False)
    assert 1 <= retries(state, A) <= 2, "a fifth of the traffic"


def test_retries_at_all_providers_are_bounded() -> None:
    items = [candidate(endpoint(f"provider{number}"), "m") for number in range(10)]
    state = Live(snapshot([item.endpoint for item in items]))
    assert 1 <= sum(retries(state, item) for item in items) <= CAPACITY
    assert not state.may_retry("fresh", NOW)


def test_empty_retry_budget_of_a_provider_does_not_affect_others() -> None:
    state = live()
    while state.may_retry("alpha", NOW):
        state.begin(A, NOW, is_retry=True)
        for _ in range(10):  # keeps the common budget full
            state.begin(B, NOW, is_retry=False)
    assert state.may_retry("beta", NOW)


def test_reload_keeps_the_state_of_remaining_targets_and_keys() -> None:
    state = live()
    for item in (A, B):
        attempt(state, item, failures.UPSTREAM_ERROR)
        attempt(state, item, failures.UPSTREAM_RATE_LIMITED)
    attempt(state, A, failures.CREDENTIAL_REJECTED, key=1)
    state.begin(A, NOW, is_retry=False)
    state.begin(B, NOW, is_retry=False)
    new = snapshot([endpoint("alpha", "k2"), endpoint("gamma")])
    state.swap(new)
    assert state.snapshot is new
    assert list(state.conditions) == ["alpha/m"]
    assert list(state.key_blocks) == [("alpha", "k2", None)]
    assert state.in_progress == {"alpha/m": 1, "beta/m": 1}, "requests that began before are still running"
    state.finish(B, B.keys[0], None, NOW)
    assert state.in_progress == {"alpha/m": 1}


def test_reload_does_not_refill_a_retry_budget() -> None:
    state = live()
    while state.may_retry("alpha", NOW):
        state.begin(A, NOW, is_retry=True)
        for _ in range(10):
            state.begin(B, NOW, is_retry=False)
    state.swap(snapshot([ALPHA]))
    assert not state.may_retry("alpha", NOW)
    state.swap(snapshot([BETA]))
    assert state.may_retry("alpha", NOW), "forgotten with its provider"


def test_model_name_with_slashes_belongs_to_the_provider_before_the_first() -> None:
    state = live()
    attempt(state, candidate(ALPHA, "org/model"), failures.UPSTREAM_ERROR)
    state.swap(snapshot([ALPHA]))
    assert list(state.conditions) == ["alpha/org/model"]
    state.swap(snapshot([BETA]))
    assert state.conditions == {}


def test_deadline_of_a_client_does_not_affect_health() -> None:
    state = live()
    for _ in range(LIMITS.failures + 1):
        attempt(state, A, failures.DEADLINE_EXCEEDED)
    assert not state.conditions


def test_conditions_of_invented_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.routing.faults.MAX_CONDITIONS", 3)
    state = live()
    for number in range(5):
        attempt(state, candidate(ALPHA, f"m{number}"), failures.UPSTREAM_ERROR)
    assert list(state.conditions) == ["alpha/m2", "alpha/m3", "alpha/m4"]


def test_readings_are_kept_per_operation_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointsman.engine.live.MAX_READINGS", 3)
    state = Live(snapshot([ALPHA]))
    for number in range(5):
        item = candidate(ALPHA, f"m{number}")
        state.begin(item, NOW, is_retry=False)
        state.finish(item, ALPHA.keys[0], None, NOW + 1, began_at=NOW, operation="embedding")
    assert list(state.readings) == [f"alpha/m{number}\tembedding" for number in (2, 3, 4)]
    state.swap(snapshot([BETA]))
    assert state.readings == {}


def test_attempts_and_their_answers_keep_the_mirror_of_a_limit() -> None:
    state = live()
    key = A.keys[0]
    state.begin(A, NOW, is_retry=False, key=key, call=call())
    assert not state.quotas.mirrors, "nothing is mirrored while no limit is near its end"
    state.note_quota(A, key, Quota(Allowance(60, 3)), NOW, at=NOW)
    state.finish(A, key, None, NOW, began_at=NOW)
    state.begin(A, NOW, is_retry=False, key=key, call=call())
    assert state.quotas.headroom(A, key.name, NOW) == pytest.approx(2 / 60)
    state.finish(A, key, failure(failures.CONNECT_FAILED), NOW, began_at=NOW)
    assert state.quotas.headroom(A, key.name, NOW) == pytest.approx(3 / 60)
    state.swap(snapshot([BETA]))
    assert not state.quotas.mirrors


def test_rejection_by_a_limit_without_a_report_is_learned_from() -> None:
    state = live()
    for second in (0.0, 5.0):
        state.begin(A, NOW + second, is_retry=False, key=A.keys[0], call=call())
        rejection = failure(failures.UPSTREAM_RATE_LIMITED)
        state.finish(A, A.keys[0], rejection, NOW + second + 1, began_at=NOW + second)
    assert state.quotas.wait_s(A, "k1", NO_NEED, NOW + 6) > 0.0
    assert state.quotas.wait_s(A, "k2", NO_NEED, NOW + 6) == 0.0


def test_gateway_suspects_itself_if_most_providers_fail_together(caplog: pytest.LogCaptureFixture) -> None:
    gamma = endpoint("gamma")
    state = Live(snapshot([ALPHA, BETA, gamma]))
    items = (A, B, candidate(gamma, "m"))
    for item in items:
        attempt(state, item, None, NOW - 1)
    for number in range(LIMITS.failures):
        for item in items:
            attempt(state, item, failures.CONNECT_FAILED, NOW + number * 0.1)
    at = NOW + LIMITS.failures * 0.1
    assert {one.health(at) for one in state.conditions.values()} == {"degraded"}, "no breaker is open"
    assert state.faults.suspicion.until > at
    assert "network and DNS" in caplog.text
    assert caplog.text.count("most providers failed") == 1
    later = state.faults.suspicion.until + 0.1
    attempt(state, A, None, later)
    attempt(state, B, failures.CONNECT_FAILED, later + 0.1)
    assert state.conditions["beta/m"].health(later + 0.1) == "failed", "another provider answers"


def test_breakers_open_while_one_of_three_providers_answers() -> None:
    gamma = endpoint("gamma")
    state = Live(snapshot([ALPHA, BETA, gamma]))
    good = candidate(gamma, "m")
    for number in range(LIMITS.failures):
        for item in (A, B):
            attempt(state, item, failures.CONNECT_FAILED, NOW + number * 0.1)
        attempt(state, good, None, NOW + number * 0.1 + 0.05)
    assert {one.health(NOW + 0.3) for one in state.conditions.values()} == {"failed"}


def test_answers_teach_the_limit_of_a_candidate_that_learns_it() -> None:
    auto = candidate(replace(ALPHA, max_concurrency="auto"), "m")
    fixed = candidate(replace(BETA, max_concurrency=6), "m")
    state, request = live(), replace(call(), stream=True)
    first = state.most_in_progress(auto)
    for item in (auto, fixed):
        for _ in range(30):
            state.begin(item, NOW, is_retry=False)
        for number in range(15):
            took_s = 0.3 if number < 3 else 30.0
            state.finish(item, item.keys[0], None, NOW + took_s, began_at=NOW, content_at=NOW + took_s, call=request)
    learned = state.most_in_progress(auto)
    assert first is not None
    assert learned is not None
    assert learned < first
    assert state.most_in_progress(fixed) == 6
    state.workers = 4
    assert (state.most_in_progress(auto), state.most_in_progress(fixed)) == (learned, 2)
    assert state.most_in_progress(B) is None


def stream(state: Live, kind: Kind | None, began_at: float, content_at: float, now: float) -> None:
    """End a stream whose first content was noted."""
    failed = None if kind is None else failure(kind)
    has_begun = kind is not failures.SUPERSEDED  # the content of a beaten race is not noted
    state.finish(A, A.keys[0], failed, now, began_at=began_at, content_at=content_at, has_begun=has_begun)


def test_end_of_a_stream_that_began_before_a_fault_does_not_hide_it() -> None:
    state = live()
    for _ in range(LIMITS.failures):
        state.begin(A, NOW, is_retry=False)
        state.begin_answer(A, NOW + 0.5)
    for number in range(LIMITS.failures):
        later = NOW + 1 + number / 10
        attempt(state, A, failures.UPSTREAM_ERROR, later)
        stream(state, None, NOW, NOW + 0.5, later)
    assert state.conditions["alpha/m"].health(later) == "failed"


def test_first_content_of_a_trial_closes_the_breaker() -> None:
    state = live()
    for _ in range(LIMITS.failures):
        attempt(state, A, failures.UPSTREAM_ERROR)
    later = NOW + FIRST_BLOCK_S
    state.begin(A, later, is_retry=False)
    state.begin_answer(A, later + 1)
    assert state.conditions == {}
    assert state.faults.standings["alpha/m"].state == "healthy"


def test_content_is_no_success_while_streams_are_cut() -> None:
    state = live()
    for number in range(LIMITS.failures):
        state.begin(A, NOW, is_retry=False)
        state.begin_answer(A, NOW + number)
        stream(state, failures.TRUNCATED, NOW, NOW + number, NOW + number + 0.5)
    later = NOW + 10
    assert state.conditions["alpha/m"].blocks == 1
    state.begin(A, later, is_retry=False)
    state.begin_answer(A, later + 1)
    assert state.conditions["alpha/m"].blocks == 1
    stream(state, None, later, later + 1, later + 2)
    assert state.conditions == {}


def test_content_of_a_beaten_race_is_a_success() -> None:
    state = live()
    attempt(state, A, failures.UPSTREAM_ERROR)
    state.begin(A, NOW, is_retry=False)
    stream(state, failures.SUPERSEDED, NOW, NOW + 1, NOW + 1)
    assert state.conditions == {}


def cut_streams(state: Live) -> None:
    for _ in range(LIMITS.failures):
        state.begin(A, NOW, is_retry=False)
        stream(state, failures.TRUNCATED, NOW, NOW + 0.1, NOW + 1)


def test_content_of_a_beaten_race_is_no_success_while_streams_are_cut() -> None:
    state = live()
    cut_streams(state)
    state.begin(A, NOW + 5, is_retry=False)
    stream(state, failures.SUPERSEDED, NOW + 5, NOW + 6, NOW + 6)
    assert state.conditions["alpha/m"].blocks == 1


def test_end_of_a_stream_from_before_the_cuts_does_not_hide_them() -> None:
    state = live()
    state.begin(A, NOW - 5, is_retry=False)
    cut_streams(state)
    stream(state, None, NOW - 5, NOW - 4, NOW + 2)
    assert state.conditions["alpha/m"].blocks == 1


def test_whole_answer_to_a_stream_request_is_a_success() -> None:
    """A provider may answer with JSON, or the content may have been held back, so no content was noted."""
    state = live()
    attempt(state, A, failures.UPSTREAM_ERROR)
    state.begin(A, NOW, is_retry=False)
    state.finish(A, A.keys[0], None, NOW + 2, began_at=NOW, content_at=NOW + 2)
    assert state.conditions == {}
