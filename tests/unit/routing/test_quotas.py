"""The mirror of providers' limits: room, reservations, learned rates, shared limits, and their use in plans."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import (
    NOW,
    FakeView,
    ScriptedRandom,
    answers,
    call,
    drive,
    endpoint,
    failure,
    plan_for,
    provider_key,
    snapshot,
    snapshot_of,
    step_after,
)
from pointsman.domain import failures
from pointsman.domain.calls import Facts
from pointsman.domain.plans import Await, GiveUp, Plan, Try
from pointsman.domain.quotas import NO_NEED, Allowance, Quota, QuotaNeed
from pointsman.domain.snapshots import Failover
from pointsman.domain.targets import candidate
from pointsman.routing.decide import decide
from pointsman.routing.quotas import (
    CUT,
    FORGOTTEN_S,
    GROWS_AFTER_S,
    GROWTH,
    LEAST_RATE,
    PROBE_S,
    SURE,
    WINDOW_S,
    QuotaMirror,
    Quotas,
    need_of,
)

A, B = endpoint("a"), endpoint("b")
TWO = endpoint("a", provider_key("k1", 80), provider_key("k2", 20))
ITEM = candidate(A, "m")
BOTH = snapshot_of(A, B)
KEY = "k1"


def requests(left: int, limit: int = 60, full_s: float | None = None) -> Quota:
    return Quota(requests=Allowance(limit, left, full_s))


def tokens(left: int, limit: int = 30_000) -> Quota:
    return Quota(tokens=Allowance(limit, left))


def noted(quota: Quota, began_at: float = NOW, at: float = NOW) -> Quotas:
    quotas = Quotas()
    quotas.note(ITEM, KEY, quota, began_at, at=at)
    return quotas


def rejected(quotas: Quotas, began_at: float, at: float) -> None:
    quotas.settle(ITEM, KEY, failure(failures.UPSTREAM_RATE_LIMITED), began_at, now=at, tokens_out=0)


# The mirror.


def test_ample_limit_is_not_mirrored() -> None:
    assert not noted(requests(2_000, 3_000)).mirrors
    assert not noted(tokens(500_000, 1_000_000 - 1)).mirrors


def test_limit_near_its_end_is_mirrored_until_it_is_ample_again() -> None:
    quotas = noted(requests(1_400, 3_000))
    assert quotas.mirrors
    quotas.note(ITEM, KEY, requests(1_700, 3_000), NOW + 1, at=NOW + 1)
    assert quotas.mirrors, "a little more does not end it"
    quotas.note(ITEM, KEY, requests(2_900, 3_000), NOW + 2, at=NOW + 2)
    assert not quotas.mirrors


def test_small_limit_is_always_mirrored() -> None:
    assert noted(requests(60)).mirrors
    assert noted(tokens(30_000)).mirrors


def test_room_returns_at_the_rate_of_the_limit() -> None:
    quotas = noted(requests(0))
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW) == pytest.approx(1.5)
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW + 1.0) == pytest.approx(0.5)
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW + 1.5) == 0.0
    assert quotas.headroom(ITEM, KEY, NOW + 30) == pytest.approx(0.5)
    assert quotas.headroom(ITEM, KEY, NOW + 300) == 1.0


def test_reset_of_a_longer_window_slows_the_return() -> None:
    quotas = noted(requests(0, 14_400, 86_400.0))  # a limit for a day
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW) == pytest.approx(9.0)


def test_window_that_ends_soon_is_whole_again_at_its_end() -> None:
    quotas = noted(requests(0, 60, 5.0))
    assert quotas.headroom(ITEM, KEY, NOW + 4.9) == pytest.approx(4.9 / 60)
    assert quotas.headroom(ITEM, KEY, NOW + 5) == 1.0


def test_reset_of_no_time_is_not_believed() -> None:
    assert noted(requests(0, 60, 0.0)).headroom(ITEM, KEY, NOW + 1) == pytest.approx(1 / 60)


def test_requests_since_the_report_are_subtracted() -> None:
    quotas = noted(tokens(6_000))
    request = replace(call(), size=8_000, max_tokens=1_000)
    need = need_of(request)
    assert quotas.wait_s(ITEM, KEY, need, NOW) == 0.0
    quotas.send(ITEM, KEY, request, NOW)
    assert quotas.wait_s(ITEM, KEY, need, NOW) > 0.0


def test_report_covers_the_requests_that_began_before_its_own() -> None:
    quotas = noted(requests(50))
    for second in range(1, 6):
        quotas.send(ITEM, KEY, call(), NOW + second)
    quotas.note(ITEM, KEY, requests(20), NOW + 3, at=NOW + 5)
    assert quotas.headroom(ITEM, KEY, NOW + 5) == pytest.approx((20 - 2) / 60), "two began after the third"


def test_late_report_of_an_earlier_request_is_ignored() -> None:
    quotas = noted(requests(20), began_at=NOW + 1, at=NOW + 2)
    quotas.note(ITEM, KEY, requests(50), NOW, at=NOW + 2)
    assert quotas.headroom(ITEM, KEY, NOW + 2) == pytest.approx(20 / 60)


def test_request_that_was_never_sent_gives_its_room_back() -> None:
    quotas = noted(requests(20))
    quotas.send(ITEM, KEY, call(), NOW + 1)
    quotas.settle(ITEM, KEY, failure(failures.CONNECT_FAILED), NOW + 1, now=NOW + 1, tokens_out=0)
    assert quotas.headroom(ITEM, KEY, NOW + 1) == pytest.approx(21 / 60)
    quotas.note(ITEM, KEY, requests(10), NOW + 0.5, at=NOW + 1)
    assert quotas.headroom(ITEM, KEY, NOW + 1) == pytest.approx(10 / 60)


def test_answer_shorter_than_expected_gives_room_back() -> None:
    quotas = noted(Quota(tokens_out=Allowance(8_000, 1_000)))
    quotas.send(ITEM, KEY, call(), NOW)
    before = quotas.headroom(ITEM, KEY, NOW)
    quotas.settle(ITEM, KEY, None, NOW, now=NOW, tokens_out=100)
    assert quotas.headroom(ITEM, KEY, NOW) - before == pytest.approx(400 / 8_000)


def test_request_larger_than_the_limit_needs_nearly_all_of_it() -> None:
    huge = QuotaNeed(50_000, 500, 500)
    assert noted(tokens(29_000)).wait_s(ITEM, KEY, huge, NOW) == 0.0
    assert noted(tokens(20_000)).wait_s(ITEM, KEY, huge, NOW) > 0.0


def test_mirror_without_news_is_forgotten() -> None:
    quotas = noted(requests(0))
    quotas.note(candidate(B, "m"), KEY, requests(0), NOW, at=NOW + FORGOTTEN_S + WINDOW_S)
    assert [name[0] for name in quotas.mirrors] == ["b"]


def test_keys_that_no_longer_exist_are_forgotten() -> None:
    quotas = noted(requests(0))
    quotas.keep({("a", KEY)})
    assert quotas.mirrors
    quotas.keep({("a", "other")})
    assert not quotas.mirrors


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "report", "settle", "reject"]), st.integers(0, 60), st.floats(0.0, 20.0)),
        max_size=40,
    )
)
def test_room_is_never_more_than_the_limit_and_every_wait_ends(events: list[tuple[str, int, float]]) -> None:
    quotas, now = noted(requests(30)), NOW
    began: list[float] = []
    for name, amount, gap_s in events:
        now += gap_s
        if name == "send":
            quotas.send(ITEM, KEY, call(), now)
            began.append(now)
        elif name == "report":
            quotas.note(ITEM, KEY, requests(amount), began[-1] if began else now, at=now)
        elif name == "settle" and began:
            quotas.settle(ITEM, KEY, None, began.pop(0), now=now, tokens_out=amount)
        elif name == "reject":
            rejected(quotas, now - 0.1, now)
        assert 0.0 <= quotas.headroom(ITEM, KEY, now) <= 1.0
        wait_s = quotas.wait_s(ITEM, KEY, NO_NEED, now)
        assert 0.0 <= wait_s < 3600.0
        assert quotas.wait_s(ITEM, KEY, NO_NEED, now + wait_s) <= 1e-3
        short = quotas.shortage(ITEM, KEY, NO_NEED, now)
        assert (short is None) == (wait_s == 0.0)


# Learned rates.


def served(quotas: Quotas, count: int, since: float, until: float) -> None:
    for number in range(count):
        at = since + (until - since) * (number + 0.5) / count
        quotas.send(ITEM, KEY, call(), at)
        quotas.settle(ITEM, KEY, None, at, now=at, tokens_out=1)


def test_second_rejection_without_a_report_teaches_a_lower_rate() -> None:
    quotas = Quotas()
    rejected(quotas, NOW, NOW)
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW) == 0.0, "the key is blocked, but no rate is known"
    served(quotas, 20, NOW, NOW + 10)
    rejected(quotas, NOW + 9, NOW + 10)
    rate = CUT * 2.0
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW + 10) == pytest.approx(1 / rate)
    short = quotas.shortage(ITEM, KEY, NO_NEED, NOW + 10)
    assert str(short) == "it rejected more than about 84 requests a minute with the key k1"


def test_rejection_of_an_older_request_teaches_nothing() -> None:
    quotas = Quotas()
    rejected(quotas, NOW, NOW)
    served(quotas, 20, NOW, NOW + 10)
    rejected(quotas, NOW - 1, NOW + 10)
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW + 10) == 0.0


def test_learned_rate_grows_after_a_while_without_rejections() -> None:
    mirror = QuotaMirror(NOW)
    quotas = Quotas()
    rejected(quotas, NOW, NOW)
    served(quotas, 20, NOW, NOW + 10)
    rejected(quotas, NOW + 9, NOW + 10)
    (mirror,) = quotas.mirrors.values()
    assert mirror.learned is not None
    assert mirror.learned.now(NOW + 10 + GROWS_AFTER_S) == pytest.approx(1.4)
    assert mirror.learned.now(NOW + 20 + GROWS_AFTER_S) == pytest.approx(1.4 * GROWTH**10)


def test_learned_rate_is_never_zero() -> None:
    quotas = Quotas()
    for number in range(50):
        rejected(quotas, NOW + 1000 * number, NOW + 1000 * number)
    (mirror,) = quotas.mirrors.values()
    assert mirror.learned is not None
    assert mirror.learned.rate >= LEAST_RATE


def test_rejection_against_the_report_teaches_a_rate() -> None:
    quotas = noted(requests(60))
    rejected(quotas, NOW, NOW)
    rejected(quotas, NOW + 1, NOW + 2)
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW + 2) > 0.0


# Other users of a limit.


def test_reports_of_less_than_expected_reveal_other_users() -> None:
    quotas, left = noted(requests(40, 600)), 40.0
    for second in range(1, 41):  # others take 8 of the 10 requests that return each second
        left += 2.0
        quotas.note(ITEM, KEY, requests(int(left), 600), NOW + second, at=NOW + second)
    (mirror,) = quotas.mirrors.values()
    assert 6.0 < mirror.buckets["requests"].others < 9.0
    quotas.note(ITEM, KEY, requests(0, 600), NOW + 41, at=NOW + 41)
    assert quotas.wait_s(ITEM, KEY, NO_NEED, NOW + 41) > 1.0, "and not 0.15 s"


def test_own_requests_are_not_taken_for_those_of_others() -> None:
    quotas, left = noted(requests(300, 600)), 300
    for number in range(1, 200):
        at = NOW + number * 0.1  # as fast as the limit refills
        quotas.send(ITEM, KEY, call(), at)
        quotas.note(ITEM, KEY, requests(left, 600), at, at=at)
    (mirror,) = quotas.mirrors.values()
    assert mirror.buckets["requests"].others < 0.2


# Shared limits.


def test_models_whose_reports_agree_share_a_mirror_until_they_differ() -> None:
    quotas, other = Quotas(), candidate(A, "n")
    left = 50
    for number in range(2 * SURE + 2):
        at = NOW + number * 0.01
        quotas.send((ITEM, other)[number % 2], KEY, call(), at)
        left -= 1
        quotas.note((ITEM, other)[number % 2], KEY, requests(left), at, at=at)
    assert list(quotas.mirrors) == [("a", KEY, None)]
    quotas.send(ITEM, KEY, call(), NOW + 1)
    assert quotas.find(ITEM, KEY) is quotas.find(other, KEY)
    quotas.note(ITEM, KEY, requests(30), NOW + 1, at=NOW + 1)
    quotas.note(other, KEY, requests(2), NOW + 1.1, at=NOW + 1.1)
    assert quotas.headroom(other, KEY, NOW + 1.1) == pytest.approx(2 / 60)
    assert quotas.headroom(ITEM, KEY, NOW + 1) == pytest.approx(30 / 60), "each has its own again"


# Plans.


def short_at(*names: str, snapshot_: Any = BOTH, quota: Quota | None = None) -> FakeView:
    """Return a view in which the keys of these providers have no room."""
    view = FakeView(snapshot_)
    for name in names:
        for key in view.snapshot.endpoints[name].keys:
            item = candidate(view.snapshot.endpoints[name], "m")
            view.quotas.note(item, key.name, quota or requests(0), NOW, at=NOW)
    return view


def test_candidate_without_room_is_tried_last_with_the_reason() -> None:
    plan = plan_for(call(), short_at("a"))
    assert [choice.candidate.id for choice in plan.choices] == ["b/m", "a/m"]
    (verdict,) = plan.verdicts
    assert (verdict.candidate, verdict.policy, verdict.reason.code) == ("a/m", "quota", "quota_short")
    assert verdict.reason.message == "about 0 of 60 requests a minute are left at the key k1"
    assert verdict.reason.until == pytest.approx(NOW + 1.5)


def test_reason_names_the_tokens_that_are_left_and_needed() -> None:
    plan = plan_for(replace(call(), size=4_000, max_tokens=3_000), short_at("a", quota=tokens(1_200)))
    assert plan.verdicts[0].reason.message == (
        "about 1,200 of 30,000 tokens a minute are left at the key k1, and the request needs about 4,000"
    )


def test_small_request_still_goes_where_a_large_one_has_no_room() -> None:
    view = short_at("a", quota=tokens(3_000))
    assert plan_for(replace(call(), max_tokens=100), view).choices[0].candidate.id == "a/m"
    assert plan_for(replace(call(), max_tokens=5_000), view).choices[0].candidate.id == "b/m"


def test_weighted_draw_of_keys_stays_while_none_is_scarce() -> None:
    view = FakeView(snapshot([TWO], [candidate(TWO, "m")]))
    item = candidate(TWO, "m")
    for name in ("k1", "k2"):
        view.quotas.note(item, name, requests(40), NOW, at=NOW)
    drawn = [plan_for(call(), view, ScriptedRandom(point)).choices[0].keys[0].name for point in (0.1, 0.7, 0.9)]
    assert drawn == ["k1", "k1", "k2"]


def test_scarce_keys_are_used_by_their_headroom_and_those_without_room_last() -> None:
    keys = endpoint("a", *[provider_key(f"k{number}", 10 - number) for number in range(4)])
    item = candidate(keys, "m")
    view = FakeView(snapshot([keys], [item]))
    for name, left in {"k0": 0, "k1": 5, "k2": 10, "k3": 50}.items():
        view.quotas.note(item, name, requests(left), NOW, at=NOW)
    plan = plan_for(call(), view)
    assert [key.name for key in plan.choices[0].keys] == ["k3", "k2", "k1", "k0"]
    assert not plan.verdicts


def test_request_waits_for_room_if_nothing_else_is_left() -> None:
    view = short_at("a", snapshot_=snapshot_of(A))
    trace = drive(plan_for(call(), view), view, answers(None))
    assert [type(step) for _, step in trace.steps] == [Await, Try]
    assert trace.waits[0].delay_s == pytest.approx(1.5)
    assert trace.waits[0].then is None


def test_request_that_finds_the_room_taken_waits_again_and_then_gives_up() -> None:
    view = short_at("a", snapshot_=snapshot_of(A, queue_s=4.0))
    plan = plan_for(call(), view)
    item = plan.choices[0].candidate
    now, waits = NOW, 0
    while isinstance(step := step_after(plan, (), view, now), Await):
        now, waits = now + step.delay_s, waits + 1
        view.quotas.send(item, KEY, call(), now)
    assert waits == 3
    assert isinstance(step, GiveUp)
    assert step.failure.kind is failures.UPSTREAM_RATE_LIMITED
    assert step.failure.retry_after_s is not None
    assert step.failure.retry_after_s > 0
    assert step.should_retry
    assert "requests a minute are left at the key k1" in step.failure.message


def test_request_is_sent_without_room_after_a_while_without_news() -> None:
    view = short_at("a", snapshot_=snapshot_of(A, queue_s=1.0), quota=requests(0, 60, 3_600.0))
    plan = plan_for(call(), view)
    assert isinstance(step_after(plan, (), view, NOW), GiveUp), "the wait would be long"
    later = NOW + PROBE_S
    assert isinstance(step_after(plan, (), view, later), Try), "the report may be wrong"
    view.quotas.send(plan.choices[0].candidate, KEY, call(), later)
    assert isinstance(step_after(plan, (), view, later), GiveUp), "its answer will show"


def test_declared_fallback_for_quota_serves_instead_of_a_wait() -> None:
    view = short_at("a", snapshot_=snapshot_of(A, B, fallbacks=1))
    assert drive(plan_for(call(), view), view, answers(None)).attempted == [("b/m", KEY)]
    only = snapshot_of(A, B, fallbacks=1, failover=Failover(fallback_on=frozenset({"provider"})))
    view = short_at("a", snapshot_=only)
    assert drive(plan_for(call(), view), view, answers(None)).attempted == [("a/m", KEY)]


def test_attempt_after_a_failure_prefers_keys_with_room() -> None:
    three = snapshot_of(A, B, endpoint("c"))
    view = FakeView(three)
    plan = plan_for(call(), view)
    view.quotas.note(plan.choices[1].candidate, KEY, requests(0), NOW, at=NOW)
    trace = drive(plan, view, answers(failures.UPSTREAM_ERROR, None))
    assert trace.attempted == [("a/m", KEY), ("c/m", KEY)]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40_000))
def test_decision_changes_no_mirror_and_keeps_every_candidate(left_a: int, left_b: int, size: int) -> None:
    view = FakeView(BOTH)
    for endpoint_, left in ((A, left_a), (B, left_b)):
        view.quotas.note(candidate(endpoint_, "m"), KEY, requests(left), NOW, at=NOW)
    request = replace(call(), size=size)
    first = decide(Facts(request), view, ScriptedRandom(0.0), NOW)
    second = decide(Facts(request), view, ScriptedRandom(0.0), NOW)
    assert isinstance(first, Plan)
    assert isinstance(second, Plan)
    assert [choice.candidate.id for choice in first.choices] == [choice.candidate.id for choice in second.choices]
    assert {choice.candidate.id for choice in first.choices} == {"a/m", "b/m"}
    if left_a >= 2:
        assert first.choices[0].candidate.id == "a/m"
