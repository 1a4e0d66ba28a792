"""The judgement of policies: one verdict for each candidate, and the time up to which it holds."""

from math import inf

from fakes.routing import NOW, FakeView, call, endpoint, snapshot
from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate, candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.evaluation import MAX_EVALUATION_S, Judge, static_verdicts
from pointsman.routing.policies import Asker, Check
from pointsman.routing.view import View

A, B = endpoint("a"), endpoint("b", operations=frozenset())
CHAT = snapshot([A, B], [candidate(A, "m"), candidate(B, "m")])
CANDIDATES = CHAT.models["chat"].targets


def saying(reason: Reason) -> Check:
    def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason:
        return reason

    return check


def test_exclusion_outranks_a_guess() -> None:
    static = static_verdicts(CANDIDATES, Asker("chat", None, CHAT))
    assert [item.id for item in static] == ["b/m"]
    judge = Judge(CANDIDATES, static)
    guess, rule = Reason("guess", "g", is_last_resort=True, until=NOW + 0.5), Reason("rule", "r")
    checks = [("first", saying(guess)), ("second", saying(rule)), ("third", saying(guess))]
    found = judge.verdicts(Facts(call()), FakeView(CHAT), NOW, checks)
    assert {item.id: verdict.reason.code for item, verdict in found.items()} == {
        "a/m": "rule",
        "b/m": "unsupported_operation",
    }


def test_verdicts_end_with_their_reasons() -> None:
    judge = Judge(CANDIDATES[:1], {})
    assert judge.until({}, NOW) == inf
    for until, expected in ((NOW + 0.5, NOW + 0.5), (NOW + 60, NOW + MAX_EVALUATION_S), (None, NOW + MAX_EVALUATION_S)):
        guess = Reason("guess", "g", is_last_resort=True, until=until)
        found = judge.verdicts(Facts(call()), FakeView(CHAT), NOW, [("one", saying(guess))])
        assert judge.until(found, NOW) == expected
