"""Paced budgets in decisions: which candidates move, which stay, and the note that says so."""

import pytest
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, snapshot
from pointsman.domain.calls import Facts, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.identity import EndUserLimits, VirtualKey
from pointsman.domain.limits import Level, Limit, Period
from pointsman.domain.plans import Plan
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, Snapshot
from pointsman.domain.targets import Endpoint, candidate
from pointsman.money.pacing import Pacer
from pointsman.routing.decide import decide
from pointsman.routing.health import Condition
from pointsman.routing.pacing import values_of

RATES = {"good": 10_000_000, "twin": 9_900_000, "fair": 3_000_000, "cheap": 1_000_000}  # pico-dollars per token


def budget(level: Level = "virtual_key", name: str = "app", *, paced: bool = True, amount: int = 10**9) -> Limit:
    return Limit(level=level, owner=f"{level}:{name}", metric="usd", period=Period("hour"), amount=amount, paced=paced)


def configuration(*names: str, fallbacks: tuple[str, ...] = (), limits: dict[str, Limit] | None = None) -> Snapshot:
    """Build the public name `chat` with a target at each of these providers. `RATES` has their prices."""
    ends: dict[str, Endpoint] = {}
    for name in (*names, *fallbacks):
        own = ((limits or {})[name],) if limits and name in limits else ()
        ends[name] = replace(endpoint(name), limits=own)
    overrides = tuple(
        [PriceOverride(model=f"{name}/m", price=Price(Rates(input=rate, output=rate))) for name, rate in RATES.items()]
    )
    built = snapshot(
        list(ends.values()),
        [candidate(ends[name], "m") for name in names],
        [candidate(ends[name], "m", provenance="fallback") for name in fallbacks],
        strategy="priority",
    )
    return replace(built, pricing=Pricing(overrides=overrides))


def key(*limits: Limit) -> VirtualKey:
    return VirtualKey(name="app", digest=b"1", limits=limits)


def fixed(price: float) -> Pacer:
    """Return a pacer whose price, in value per dollar, holds."""
    pacer = Pacer()
    pacer.advance(budget(), 0, 0.0)
    pacer.low = pacer.high = price / 1e9
    return pacer


def decided(view: FakeView, owner: VirtualKey | None, unix_s: float = 0.0, rng: ScriptedRandom | None = None) -> Plan:
    plan = decide(Facts(call(), owner, unix_s), view, rng or ScriptedRandom(), NOW)
    assert not isinstance(plan, Failure), plan.message
    return plan


def order(plan: Plan) -> list[str]:
    return [choice.candidate.endpoint.name for choice in plan.choices]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (0.0, ["good", "fair", "cheap"]),
        (1.0, ["good", "fair", "cheap"]),
        (200.0, ["fair", "good", "cheap"]),
        (5000.0, ["cheap", "fair", "good"]),
    ],
)
def test_higher_price_moves_requests_down_the_row(price: float, expected: list[str]) -> None:
    view = FakeView(configuration("good", "fair", "cheap"))
    view.pacers[budget().counter] = fixed(price)
    assert order(decided(view, key(budget()))) == expected


def test_note_names_budget_shares_price_and_effect() -> None:
    view = FakeView(configuration("good", "cheap"))
    view.pacers[budget().counter] = fixed(5000.0)
    view.pacers[budget().counter].used, view.pacers[budget().counter].planned = 0.421, 0.4
    (note,) = decided(view, key(budget())).notes
    assert note == (
        "paced budget of $1 per hour of virtual key app: 42.1% used, 40.0% of the window over, "
        "dual price 5000 per dollar, value 1: good/m comes after cheap/m"
    )
    view.pacers[budget().counter] = fixed(0.0)
    assert str(*decided(view, key(budget())).notes).endswith("its dual price is unknown before the first requests")
    assert str(*decided(view, key(budget())).notes).endswith("dual price 0 per dollar, value 1: the order holds")


def test_budget_that_is_not_paced_changes_nothing() -> None:
    view = FakeView(configuration("good", "cheap"))
    view.pacers[budget().counter] = fixed(5000.0)
    plan = decided(view, key(budget(paced=False)))
    assert order(plan) == ["good", "cheap"]
    assert list(plan.notes) == []


def test_declared_fallbacks_are_for_failures_and_stay_behind() -> None:
    view = FakeView(configuration("good", "fair", fallbacks=("cheap",)))
    view.pacers[budget().counter] = fixed(5000.0)
    assert order(decided(view, key(budget()))) == ["fair", "good", "cheap"]


def test_each_end_user_has_a_price_of_its_own() -> None:
    template = replace(budget("end_user", "all"), paced=True)
    users = EndUserLimits(selector="all", header="x-user", at_most=10, limits=(template,))
    owner = replace(key(), end_users=(users,))
    view = FakeView(configuration("good", "cheap"))

    def ordered(user: str) -> list[str]:
        head = RequestHead(path="/chat/completions", headers={"x-user": user} if user else {})
        plan = decide(Facts(replace(call(), head=head), owner), view, ScriptedRandom(), NOW)
        assert isinstance(plan, Plan)
        return order(plan)

    assert ordered("ann") == ["good", "cheap"]
    (counter,) = view.pacers
    view.pacers[counter] = fixed(5000.0)
    assert [ordered(user) for user in ("ann", "ben", "")] == [["cheap", "good"], ["good", "cheap"], ["good", "cheap"]]


def test_targets_with_a_fault_stay_behind() -> None:
    view = FakeView(configuration("good", "fair", "cheap"))
    view.pacers[budget().counter] = fixed(5000.0)
    view.conditions["cheap/m"] = Condition(failures=3, blocks=1, blocked_until=NOW + 60)
    assert order(decided(view, key(budget()))) == ["fair", "good", "cheap"]


def test_candidates_of_about_the_same_cost_are_worth_the_same() -> None:
    view = FakeView(configuration("good", "twin", "cheap"))
    orders = {0.0: ["good", "twin", "cheap"], 100.0: ["twin", "good", "cheap"], 5000.0: ["cheap", "twin", "good"]}
    for price, expected in orders.items():
        view.pacers[budget().counter] = fixed(price)
        assert order(decided(view, key(budget()))) == expected


def test_budget_of_a_provider_moves_requests_to_others_at_the_same_price() -> None:
    limit = budget("provider", "good")
    view = FakeView(configuration("good", "twin", limits={"good": limit}))
    view.pacers[limit.counter] = fixed(5000.0)
    assert order(decided(view, None)) == ["twin", "good"]


def test_highest_price_decides_between_two_budgets() -> None:
    team = budget("team", "research")
    view = FakeView(configuration("good", "cheap"))
    view.pacers[budget().counter], view.pacers[team.counter] = fixed(0.0), fixed(5000.0)
    plan = decided(view, key(budget(), team))
    assert order(plan) == ["cheap", "good"]
    assert "of team research" in next(iter(plan.notes))


def test_unknown_prices_come_last_once_requests_move() -> None:
    view = FakeView(configuration("other", "good", "cheap"))
    view.pacers[budget().counter] = fixed(0.0)
    assert order(decided(view, key(budget()))) == ["other", "good", "cheap"]
    view.pacers[budget().counter] = fixed(5000.0)
    assert order(decided(view, key(budget()))) == ["cheap", "good", "other"]


def test_unknown_used_amount_keeps_the_last_price() -> None:
    view = FakeView(configuration("good", "cheap"))
    view.pacers[budget().counter] = fixed(5000.0)
    view.amounts[budget().counter] = None
    assert order(decided(view, key(budget()), unix_s=100.0)) == ["cheap", "good"]


def test_free_after_the_window_resets() -> None:
    view = FakeView(configuration("good", "cheap"))
    limit = budget()
    for second in range(600):  # far more than the budget holds
        view.amounts[limit.counter] = min(second * 10**7, limit.amount)
        last = order(decided(view, key(limit), unix_s=float(second)))
    assert last == ["cheap", "good"]
    view.amounts[limit.counter] = 0
    assert order(decided(view, key(limit), unix_s=3600.0)) == ["good", "cheap"]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([10.0, 1.0], [6.0, 0.0]),
        ([1.0, 10.0], [0.0, 0.0]),
        ([10.0, 5.0, 1.0], [6.0, 3.0, 0.0]),
        ([10.0, 9.9, 1.0], [6.0, 6.0, 0.0]),
        ([10.0, 1.0, 5.0, 0.5], [6.0, 3.0, 3.0, 0.0]),
        ([3.0], [0.0]),
        ([], []),
    ],
)
def test_value_falls_along_the_longest_row_of_cheaper_candidates(costs: list[float], expected: list[float]) -> None:
    assert values_of(costs, 6.0) == expected
