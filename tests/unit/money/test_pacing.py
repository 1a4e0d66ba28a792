"""The dual price of a paced budget under steady, rising and falling load, with one worker and several."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec import Struct

from fakes.money import limit
from pointsman.money.pacing import Pacer, steps_of

HOUR = limit("usd", 1_000_000_000, "hour")
SHARE = 0.1  # of a request's dearer candidate, for the cheaper one


class Window(Struct):
    """The outcome of a window: the spent share of the limit, the requests that did not fit at all, and the share of
    requests at the dearer candidate in each tenth of the window."""

    spent: float
    denied: int
    dear: list[float]


def play(
    load: Callable[[int], float],
    part: float = 0.5,
    *,
    workers: int = 1,
    windows: int = 1,
    values: Callable[[Random], float] = lambda _: 1.0,
) -> list[Window]:
    """Send `load(second)` requests in each second of some hours, to random workers. The limit is a `part` of the way
    from the cost of the cheaper candidate for all requests to that of the dearer one. The ledger's rule holds: a
    request that does not fit goes to the cheaper candidate, or nowhere."""
    rng, pacers = Random(1), [Pacer(workers) for _ in range(workers)]
    dear = HOUR.amount / (sum(load(second) for second in range(3600)) * (SHARE + (1 - SHARE) * part))
    played: list[Window] = []
    for hour in range(windows):
        spent = known = denied = 0
        tenths = [[0, 0] for _ in range(10)]
        for second in range(3600):
            count = load(second)
            for number in range(int(count) + (rng.random() < count % 1)):
                now = hour * 3600 + second + number / (count + 1)
                pacer = rng.choice(pacers)
                pacer.advance(HOUR, known, now)
                value = values(rng)
                base, steps = steps_of([value, 0.0], [dear, SHARE * dear])
                price = pacer.price(rng.random())
                pacer.offer(base, steps)
                tenth = tenths[second // 360]
                tenth[1] += 1
                if value - price * dear >= -price * SHARE * dear and spent + dear <= HOUR.amount:
                    spent += int(dear)
                    tenth[0] += 1
                elif spent + SHARE * dear <= HOUR.amount:
                    spent += int(SHARE * dear)
                else:
                    denied += 1
            known = spent  # workers learn it a second late
        played.append(Window(spent / HOUR.amount, denied, [one / max(all_, 1) for one, all_ in tenths]))
    return played


def test_equal_requests_are_divided_evenly_over_the_window() -> None:
    for window in play(lambda _: 3.0, windows=2):
        assert window.spent == pytest.approx(1.0, abs=0.01)
        assert window.denied <= 1
        assert all(0.4 < part < 0.6 for part in window.dear)


def test_ample_budget_never_moves_a_request() -> None:
    assert play(lambda _: 3.0, 1.1)[0].dear == [1.0] * 10


def test_requests_with_more_value_stay_at_the_dearer_candidate() -> None:
    served = {1.0: [0, 0], 5.0: [0, 0]}
    rng, pacer, spent, cost = Random(1), Pacer(), 0.0, HOUR.amount / 1800
    for second in range(3600):
        value = rng.choice([1.0, 5.0])
        pacer.advance(HOUR, int(spent), float(second))
        base, steps = steps_of([value, 0.0], [cost, 0.0])
        is_dear = value >= pacer.price(rng.random()) * cost
        pacer.offer(base, steps)
        spent += cost if is_dear else 0.0
        served[value][0] += is_dear
        served[value][1] += 1
    assert served[5.0][0] / served[5.0][1] > 0.9
    assert served[1.0][0] / served[1.0][1] < 0.15


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_spend_the_budget_together(workers: int) -> None:
    for window in play(lambda _: 3.0, workers=workers, windows=2):
        assert window.spent == pytest.approx(1.0, abs=0.01)
        assert window.denied <= 1


def test_load_that_rises_eightfold_leaves_some_budget_until_the_end() -> None:
    window = play(lambda second: 1.0 if second < 1800 else 8.0, values=lambda rng: rng.lognormvariate(0, 1))[0]
    assert window.spent == pytest.approx(1.0, abs=0.01)
    assert window.denied <= 150  # of 16,200: without a pacer it would be thousands
    assert window.dear[-2] > 0.1


def test_load_that_falls_frees_the_dearer_candidate() -> None:
    window = play(lambda second: 8.0 if second < 1800 else 1.0)[0]
    assert max(window.dear[:4]) < 0.5
    assert min(window.dear[-3:]) == 1.0


def test_price_falls_when_the_window_resets() -> None:
    pacer, cost = Pacer(), HOUR.amount / 100
    for second in range(3600):
        pacer.advance(HOUR, min(second, 100) * HOUR.amount // 100, float(second))
        pacer.offer(0.0, [(cost, 1.0 / cost)] if not second % 60 else [])
    assert pacer.low > 0
    pacer.advance(HOUR, 0, 3600.0)
    assert pacer.low == 0.0
    assert pacer.used == 0.0


def test_price_falls_after_the_limit_was_raised() -> None:
    pacer, cost = Pacer(), HOUR.amount / 100
    for second in range(600):
        pacer.advance(HOUR, second * HOUR.amount // 610, float(second))
        pacer.offer(0.0, [(cost, 1.0 / cost)] if not second % 6 else [])
    assert pacer.low > 0
    for second in range(601, 900):
        pacer.advance(limit("usd", 100 * HOUR.amount, "hour"), HOUR.amount, float(second))
    assert pacer.low == 0.0


def test_spent_budget_admits_no_dearer_candidate() -> None:
    pacer = Pacer()
    pacer.offer(1.0, [(10.0, 0.1)])
    pacer.advance(HOUR, HOUR.amount, 10.0)
    pacer.advance(HOUR, HOUR.amount, 11.0)
    assert pacer.admitted == 0.0
    assert pacer.price(0.0) > 0.1 * 0.99


def test_solution_is_kept_for_a_moment() -> None:
    pacer = Pacer()
    pacer.advance(HOUR, 0, 10.0)
    pacer.advance(HOUR, HOUR.amount, 10.1)
    assert pacer.used == 0.0
    pacer.advance(HOUR, HOUR.amount, 10.25)
    assert pacer.used == 1.0
    pacer.advance(HOUR, 0, 3.0)  # the clock was set back
    assert pacer.used == 0.0


@pytest.mark.parametrize(
    ("values", "costs", "base", "steps"),
    [
        ([1.0, 0.0], [10.0, 2.0], 2.0, [(8.0, 1 / 8)]),
        ([1.0, 0.0], [2.0, 10.0], 2.0, []),
        ([1.0], [3.0], 3.0, []),
        ([2.0, 1.0, 0.0], [10.0, 4.0, 2.0], 2.0, [(2.0, 1 / 2), (6.0, 1 / 6)]),
        ([2.0, 1.0, 0.0], [10.0, 9.0, 2.0], 2.0, [(8.0, 2 / 8)]),  # the one between is never the best
        ([1.0, 1.0, 0.0], [10.0, 9.0, 2.0], 2.0, [(7.0, 1 / 7)]),
        ([0.0, 0.0], [0.0, 0.0], 0.0, []),
    ],
)
def test_steps_are_those_of_the_best_candidates(
    values: list[float], costs: list[float], base: float, steps: list[tuple[float, float]]
) -> None:
    assert steps_of(values, costs) == (base, steps)
