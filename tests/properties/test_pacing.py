"""Properties of budget pacing: for any traffic, the price is bounded, repeatable, and falls with the used amount."""

from copy import deepcopy
from math import exp, isfinite, log

from hypothesis import given
from hypothesis import strategies as st

from fakes.money import limit
from pointsman.money.pacing import WIDTH, Pacer, steps_of

HOUR = limit("usd", 10**9, "hour")
candidates = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), st.integers(0, 10**12)), min_size=1, max_size=5
)
events = st.lists(
    st.tuples(
        st.one_of(st.floats(0.0, 10.0), st.floats(-100.0, 10_000.0)),
        st.integers(0, 2 * 10**9),
        candidates,
        st.floats(0.0, 0.999),
    ),
    max_size=30,
)
Event = tuple[float, int, list[tuple[float, int]], float]


def replay(traffic: list[Event]) -> tuple[Pacer, list[float], list[float]]:
    """Return the pacer after some traffic, its prices, and the values per nano-dollar of all steps."""
    pacer, now = Pacer(), 1e9
    prices, worths = [], []
    for passed_s, used, found, draw in traffic:
        now += passed_s
        pacer.advance(HOUR, used, now)
        base, steps = steps_of([value for value, _ in found], [float(cost) for _, cost in found])
        prices.append(pacer.price(draw))
        pacer.offer(base, steps)
        worths += [worth for _, worth in steps]
    return pacer, prices, worths


@given(events)
def test_prices_are_bounded_by_the_offers(traffic: list[Event]) -> None:
    pacer, prices, worths = replay(traffic)
    most = max(worths, default=0.0) * exp(WIDTH) * 1.0001
    assert all(isfinite(price) and 0 <= price <= most for price in prices)
    assert 0.0 <= pacer.admitted <= 1.0
    assert pacer.low <= pacer.high


@given(events)
def test_same_traffic_gives_the_same_prices(traffic: list[Event]) -> None:
    assert replay(traffic)[1] == replay(traffic)[1]


@given(events, st.integers(0, 10**9), st.integers(0, 10**9))
def test_more_spending_never_lowers_the_price(traffic: list[Event], one: int, other: int) -> None:
    pacer, _, _ = replay(traffic)
    thrifty, wasteful = deepcopy(pacer), deepcopy(pacer)
    at = 2e9
    thrifty.advance(HOUR, min(one, other), at)
    wasteful.advance(HOUR, max(one, other), at)
    assert thrifty.low <= wasteful.low
    if thrifty.low == wasteful.low:
        assert thrifty.admitted >= wasteful.admitted


@given(candidates)
def test_steps_fall_in_value_and_lead_to_the_best_candidates(found: list[tuple[float, int]]) -> None:
    values, costs = [value for value, _ in found], [float(cost) for _, cost in found]
    base, steps = steps_of(values, costs)
    worths = [worth for _, worth in steps]
    assert base == min(costs)
    assert worths == sorted(worths, reverse=True)
    assert all(worth > 0 and isfinite(log(worth)) for worth in worths)
    for price in [*[worth * 1.001 for worth in worths], *[worth * 0.999 for worth in worths]]:
        cost = base + sum(extra for extra, worth in steps if worth >= price)
        best = max(value - price * at for value, at in zip(values, costs, strict=True))
        chosen = max(value - price * at for value, at in zip(values, costs, strict=True) if at <= cost * 1.0000001)
        assert chosen >= best - 1e-6 * max(abs(best), price * cost, 1e-300)
