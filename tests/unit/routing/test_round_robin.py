"""The strategy round-robin: smooth weighted turns, as nginx takes them."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, failure, plan_for, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Facts
from pointsman.domain.plans import Plan
from pointsman.domain.quotas import Allowance, Quota
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import candidate
from pointsman.engine.live import Live
from pointsman.routing.decide import decide
from pointsman.routing.explain import as_lines
from pointsman.routing.ordering import NoSettings, Ordered
from pointsman.routing.strategies.round_robin import strategy


def configuration(*weights: float) -> Snapshot:
    endpoints = [endpoint(name, provider_key("k1")) for name in "abcdef"[: len(weights)]]
    targets = [candidate(one, "m", weight) for one, weight in zip(endpoints, weights, strict=True)]
    return snapshot(endpoints, targets, strategy="round-robin")


def turns(count: int, *weights: float, first: float = 0.0) -> list[Ordered]:
    """Return the orders of some turns. `first` is the random number that the first target is drawn by."""
    view = FakeView(configuration(*weights))
    order = strategy(view.snapshot.models["chat"].targets, NoSettings())
    rng = ScriptedRandom(first)
    return [order(Facts(call()), view, rng, NOW) for _ in range(count)]


def names(ordered: Ordered) -> str:
    return "".join(item.endpoint.name for item in ordered.candidates)


def served(count: int, *weights: float, first: float = 0.0) -> str:
    return "".join(names(one)[0] for one in turns(count, *weights, first=first))


def test_equal_targets_take_turns() -> None:
    assert served(7, 1, 1, 1) == "aabcabc"
    assert served(7, 1, 1, 1, first=0.99) == "cabcabc", "it begins with a random target"


def test_turns_of_a_heavy_target_are_spread_as_in_nginx() -> None:
    """The example is from nginx's description of the algorithm: the weights 5, 1 and 1."""
    assert served(15, 5, 1, 1)[1:] == "aabacaa" * 2


@given(
    weights=st.lists(st.integers(1, 20), min_size=2, max_size=6),
    first=st.floats(0, 1, exclude_max=True),
    cycles=st.integers(1, 3),
)
def test_each_cycle_has_exactly_the_share_of_each_weight(weights: list[int], first: float, cycles: int) -> None:
    drawn = served(1 + cycles * sum(weights), *weights, first=first)[1:]
    assert [drawn.count(name) for name in "abcdef"[: len(weights)]] == [cycles * weight for weight in weights]


@given(weights=st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=6), first=st.floats(0, 1, exclude_max=True))
def test_every_turn_is_a_permutation_for_weights_of_any_scale(weights: list[float], first: float) -> None:
    for one in turns(20, *weights, first=first):
        assert sorted(names(one)) == sorted("abcdef"[: len(weights)])


def test_others_follow_by_their_credit_and_the_notes_name_it() -> None:
    last = turns(3, 2, 1, 1)[-1]
    assert names(last) == "bca"
    assert list(last.notes) == [
        "b/m: credit 0.5 before its turn, weight 1",
        "c/m: credit 0.5 before its turn, weight 1",
        "a/m: credit 0 before its turn, weight 2",
    ]


def test_failing_target_loses_its_turns_and_the_others_go_on() -> None:
    live = Live(configuration(1, 1, 1))
    rng, request = Random(1), call()
    targets = live.snapshot.models["chat"].targets
    firsts = []
    for number in range(300):
        now = NOW + number / 1000
        plan = decide(Facts(request), live, rng, now)
        assert isinstance(plan, Plan)
        firsts.append(plan.choices[0].candidate.endpoint.name)
        if number < 3:
            live.begin(targets[0], now, is_retry=False)
            live.finish(targets[0], targets[0].keys[0], failure(failures.UPSTREAM_OVERLOADED), now)
        elif number % 3 == 0:
            live.change()  # the candidates are judged anew
    assert set(firsts[3:]) == {"b", "c"}
    assert all(one != following for one, following in pairwise(firsts[4:]))


def test_turns_go_on_while_a_quota_is_short() -> None:
    view = FakeView(configuration(1, 1, 1))
    short = view.snapshot.models["chat"].targets[2]
    view.quotas.note(short, "k1", Quota(requests=Allowance(60, 0)), NOW, at=NOW)
    plans = [plan_for(call(), view) for _ in range(6)]
    assert "".join(plan.choices[0].candidate.endpoint.name for plan in plans) == "aababa"
    assert {plan.choices[2].candidate for plan in plans} == {short}


def test_plan_explains_the_turn() -> None:
    view = FakeView(configuration(3, 1))
    lines = as_lines(plan_for(call(), view), NOW)
    assert lines[0].startswith("strategy round-robin")
    assert "   a/m: credit 1 before its turn, weight 3" in lines
