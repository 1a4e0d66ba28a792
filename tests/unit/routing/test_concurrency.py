"""The limit of attempts in progress: the rule that learns it, and the order of requests beyond it."""

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, failure, plan_for, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Kind
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.targets import candidate
from pointsman.routing.concurrency import FIRST, LEAST, MOST, Concurrency, LearnedLimit, next_limit, ratio_of
from pointsman.routing.explain import as_lines
from pointsman.routing.paces import usual_s

ENGINE, HOSTED = replace(endpoint("engine"), max_concurrency=2), endpoint("hosted")
AUTO = replace(ENGINE, max_concurrency="auto")
E, H = candidate(ENGINE, "m"), candidate(HOSTED, "m")
LIMITS = st.floats(LEAST, MOST)
RATIOS = st.floats(0.01, 100.0)


@given(LIMITS, RATIOS, RATIOS)
def test_next_limit_stays_in_its_bounds_and_moves_by_little(limit: float, usual: float, recent: float) -> None:
    found = next_limit(limit, usual, recent)
    assert LEAST <= found <= MOST
    assert limit - 1.0 <= found <= limit + 1.0 / sqrt(limit) + 1e-9


@given(LIMITS, RATIOS, RATIOS, st.floats(1.0, 10.0))
def test_slower_answers_never_give_a_larger_limit(limit: float, usual: float, recent: float, factor: float) -> None:
    assert next_limit(limit, usual, recent * factor) <= next_limit(limit, usual, recent) + 1e-9


@given(LIMITS.filter(lambda limit: limit < MOST), RATIOS)
def test_limit_grows_while_answers_are_as_usual(limit: float, usual: float) -> None:
    assert next_limit(limit, usual, usual) > limit


@given(st.lists(st.tuples(RATIOS, st.integers(1, 2000), st.booleans()), max_size=300))
def test_learned_limit_changes_only_while_it_is_used(notes: list[tuple[float, int, bool]]) -> None:
    learned = LearnedLimit()
    for ratio, running, is_at_least in notes:
        before = learned.limit
        learned.note(ratio, running, is_at_least=is_at_least)
        assert LEAST <= learned.limit <= MOST
        if running < before / 2:
            assert learned.limit == before


def settled(capacity: float, answers: int = 4000, demand: int = 400) -> LearnedLimit:
    """Return the limit after answers of an engine that gets slower in proportion beyond its capacity, while there is
    always more demand than it can serve. Every tenth answer comes in a quiet moment."""
    learned = LearnedLimit()
    for number in range(answers):
        running = 2 if number % 10 == 0 else min(int(learned.limit), demand)
        learned.note(1.3 * max(1.0, running / capacity), running)
    return learned


@pytest.mark.parametrize("capacity", [8.0, 16.0, 64.0, 200.0])
def test_limit_settles_near_the_capacity_of_an_engine(capacity: float) -> None:
    assert 0.9 * capacity <= settled(capacity).limit <= 2.5 * capacity


def test_limit_follows_an_engine_that_lost_most_of_its_capacity() -> None:
    learned = settled(64.0)
    for _ in range(400):
        learned.note(1.3 * max(1.0, learned.limit / 8.0), int(learned.limit))
    assert learned.limit <= 24.0


def test_permanent_slowness_without_load_becomes_usual() -> None:
    learned = settled(64.0)
    for _ in range(2000):
        learned.note(5.2, 2)
    before = learned.limit
    for _ in range(200):
        learned.note(5.2, int(learned.limit))
    assert learned.limit > before


def test_one_outlier_lowers_the_limit_by_little() -> None:
    learned = settled(64.0)
    before = learned.limit
    learned.note(1000.0, int(before))
    assert learned.limit > before - 1.5


STREAM = replace(call(), stream=True)


@pytest.mark.parametrize(
    ("request_", "kind", "content_s", "expected"),
    [
        (STREAM, None, 0.6, (0.6 / usual_s(STREAM), False)),
        (STREAM, failures.CLIENT_GONE, 0.6, (0.6 / usual_s(STREAM), False)),
        (STREAM, failures.CLIENT_GONE, None, None),
        (STREAM, failures.COMMIT_TIMEOUT, None, (9.0 / usual_s(STREAM), True)),
        (STREAM, None, None, None),
        (call(), None, None, (9.0 / usual_s(call(), 50), False)),
        (call(), failures.UPSTREAM_RATE_LIMITED, None, None),
        (call(operation="embedding"), None, None, None),
    ],
)
def test_ratio_of_an_attempt(
    request_: Call, kind: Kind | None, content_s: float | None, expected: tuple[float, bool] | None
) -> None:
    assert ratio_of(request_, None if kind is None else failure(kind), 9.0, content_s, 50) == expected


def test_quick_failure_is_no_sign_of_room() -> None:
    limits, item = Concurrency(), candidate(AUTO, "m")
    for _ in range(50):
        limits.note(item, (2.0, False), 20)
    before = limits.most(item, 1)
    for _ in range(50):
        limits.note(item, (0.01, True), 20)
    assert limits.most(item, 1) == before


def test_number_is_divided_among_the_workers_and_a_learned_limit_is_not() -> None:
    limits = Concurrency()
    item = candidate(replace(ENGINE, max_concurrency=10), "m")
    assert [limits.most(item, workers) for workers in (1, 3, 20)] == [10, 4, 1]
    assert limits.most(candidate(AUTO, "m"), 4) == int(FIRST)
    assert limits.most(H, 1) is None


def test_providers_that_are_gone_are_forgotten() -> None:
    limits, item = Concurrency(), candidate(AUTO, "m")
    for _ in range(100):
        limits.note(item, (1.0, False), 20)
    assert (limits.most(item, 1) or 0) > FIRST
    limits.keep({"hosted"})
    assert limits.most(item, 1) == FIRST


# Plans.


def view_of(running: dict[str, int], *targets: str, setting: int = 2) -> FakeView:
    endpoints = {
        "engine": replace(ENGINE, max_concurrency=setting),
        "other": replace(endpoint("other"), max_concurrency=setting),
        "hosted": HOSTED,
    }
    chosen = [candidate(endpoints[name], "m") for name in targets]
    view = FakeView(snapshot(list(endpoints.values()), chosen))
    view.in_progress = {f"{name}/m": count for name, count in running.items()}
    return view


def order(view: FakeView) -> list[str]:
    return [choice.candidate.endpoint.name for choice in plan_for(call(), view).choices]


def test_candidate_below_its_limit_keeps_its_place() -> None:
    plan = plan_for(call(), view_of({"engine": 1}, "engine", "hosted"))
    assert [choice.candidate.endpoint.name for choice in plan.choices] == ["engine", "hosted"]
    assert not plan.verdicts


def test_candidate_at_its_limit_is_tried_last_with_the_reason() -> None:
    view = view_of({"engine": 2}, "engine", "hosted")
    plan = plan_for(call(), view)
    assert [choice.candidate.endpoint.name for choice in plan.choices] == ["hosted", "engine"]
    (verdict,) = plan.verdicts
    assert (verdict.candidate, verdict.policy, verdict.reason.code) == (
        "engine/m",
        "concurrency",
        "concurrency_reached",
    )
    assert verdict.reason.is_last_resort
    text = "2 attempts are in progress, and its max_concurrency is 2, a worker's part"
    assert verdict.reason.message == text
    assert any(text in line for line in as_lines(plan, NOW))


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        ({"engine": 9, "other": 2}, ["engine", "other"]),
        ({"engine": 1, "other": 2}, ["engine", "other"]),
        ({"engine": 2, "other": 1}, ["other", "engine"]),
        ({"hosted": 1000}, ["engine", "other"]),
    ],
)
def test_order_changes_only_while_another_candidate_has_room(running: dict[str, int], expected: list[str]) -> None:
    assert order(view_of(running, "engine", "other")) == expected


def test_limits_decide_nothing_among_full_candidates_even_if_a_quota_is_short() -> None:
    view = view_of({"engine": 2, "other": 2}, "engine", "other")
    short = view.snapshot.models["chat"].targets[0]
    view.quotas.note(short, "k1", Quota(requests=Allowance(60, 0)), NOW, at=NOW)
    plan = plan_for(call(), view)
    assert [choice.candidate.endpoint.name for choice in plan.choices] == ["other", "engine"]
    assert [verdict.policy for verdict in plan.verdicts] == ["quota"]


@given(st.lists(st.integers(0, 4), min_size=3, max_size=3), st.integers(1, 3))
def test_limit_never_leaves_a_candidate_out_and_puts_room_first(running: list[int], setting: int) -> None:
    names = ("engine", "other", "hosted")
    counts = dict(zip(names, running, strict=True))
    found = order(view_of(counts, *names, setting=setting))
    assert sorted(found) == sorted(names)
    full = [name != "hosted" and counts[name] >= setting for name in found]
    assert full == sorted(full), "those with room come first"


def test_only_candidate_is_used_beyond_its_limit() -> None:
    assert order(view_of({"engine": 50}, "engine")) == ["engine"]
