"""The longest time that an answer that is not streamed can take."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, call, endpoint, plan_for, snapshot_of, step_after
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Try
from pointsman.domain.snapshots import Failover
from pointsman.money.charges import Answers
from pointsman.routing.expectation import LONGER, MIN_ANSWERS, SLOWER, longest_answer_s
from pointsman.routing.readings import Reading

TOKEN_S = 0.02
KNOWN = Reading(NOW, samples=MIN_ANSWERS, token_s=TOKEN_S)


def earlier(tokens: int = 200, count: int = MIN_ANSWERS) -> Answers:
    answers = Answers()
    for _ in range(count):
        answers.add(Usage(10, tokens))
    return answers


@pytest.mark.parametrize(
    "reading", [None, Reading(NOW, samples=MIN_ANSWERS - 1, token_s=1.0), Reading(NOW, samples=99)]
)
def test_nothing_is_expected_of_a_candidate_without_answers(reading: Reading | None) -> None:
    assert longest_answer_s(reading, earlier(), 1, 100) is None


def test_bound_of_the_request_and_usual_answers_both_limit_the_time() -> None:
    slowest_s = TOKEN_S * SLOWER
    assert longest_answer_s(KNOWN, None, 1, None) is None
    assert longest_answer_s(KNOWN, earlier(count=MIN_ANSWERS - 1), 1, None) is None
    assert longest_answer_s(KNOWN, None, 1, 50) == pytest.approx(slowest_s * 50)
    assert longest_answer_s(KNOWN, earlier(), 1, None) == pytest.approx(slowest_s * 200 * LONGER)
    assert longest_answer_s(KNOWN, earlier(), 1, 50) == pytest.approx(slowest_s * 50)
    assert longest_answer_s(KNOWN, earlier(), 1, 10**6) == pytest.approx(slowest_s * 200 * LONGER)


def test_several_answers_take_longer() -> None:
    one, ten = (longest_answer_s(KNOWN, earlier(), count, None) for count in (1, 10))
    assert one is not None
    assert ten == pytest.approx(10 * one)


A, B = endpoint("a"), endpoint("b")


def timeout_s(view: FakeView, first_token_s: float | None = 5.0, stream: bool = False, max_tokens: int = 100) -> float:
    view.snapshot = replace(
        view.snapshot, routing=replace(view.snapshot.routing, failover=Failover(first_token_s=first_token_s))
    )
    plan = plan_for(replace(call(), stream=stream, max_tokens=max_tokens), view)
    step = step_after(plan, (), view, NOW)
    assert isinstance(step, Try)
    return step.timeout_s


def test_answer_that_takes_longer_than_any_is_abandoned_for_another_candidate() -> None:
    view = FakeView(snapshot_of(A, B))
    assert timeout_s(view) == 300, "nothing is known yet"
    view.readings["a/m"] = KNOWN
    assert timeout_s(view) == pytest.approx(5 + TOKEN_S * SLOWER * 100)
    assert timeout_s(view, max_tokens=10**6) == 300, "half of the remaining time is less"
    assert timeout_s(view, first_token_s=None) == 300
    assert timeout_s(view, stream=True) == 300, "the content of a stream shows that it is alive"


def test_last_usable_candidate_has_all_the_time() -> None:
    view = FakeView(snapshot_of(A))
    view.readings["a/m"] = KNOWN
    assert timeout_s(view) == 600
    view = FakeView(snapshot_of(A, B))
    view.readings["a/m"] = KNOWN
    view.open_breaker("b/m", NOW + 3600)
    assert timeout_s(view) == 300
