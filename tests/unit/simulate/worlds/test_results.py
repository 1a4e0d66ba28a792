"""The measures of runs."""

import pytest

from fakes.worlds import fault_of, small
from pointsman.simulate.worlds.results import FAILED_S, Run, Served, diverted_s, measures_of, returned_s


def served(at: float, first: str = "p1", **given: object) -> Served:
    return Served(at, ttft_s=0.5, is_served=True, first=first, **given)  # type: ignore[arg-type]


def test_measures_count_failures_as_thirty_seconds() -> None:
    requests = [served(1.0, attempts=1, usd=0.01), Served(2.0, attempts=3, limited=2)]
    found = measures_of([Run(requests, "")], small())
    assert found.success == 0.5
    assert found.mean_s == (0.5 + FAILED_S) / 2
    assert found.slo_missed == 0.5
    assert found.attempts == 2.0
    assert found.limited == 1.0
    assert found.usd_1000 == pytest.approx(5.0)


def test_costs_count_as_time_if_the_scenario_says_so() -> None:
    requests = [served(1.0, usd=0.01)]
    assert measures_of([Run(requests, "")], small(usd_s=100.0)).loss_s == pytest.approx(1.5)


def test_times_to_divert_and_to_return_follow_first_attempts() -> None:
    world = small(fault_of("p1", refuses=True))
    names = {True: "p1", False: "p2"}
    requests = [served(at / 4, names[at / 4 < 32 or at / 4 >= 70]) for at in range(4 * 90)]
    run = Run(requests, "")
    assert diverted_s(run, world) == pytest.approx(1.25, abs=0.3)
    assert returned_s(run, world) == pytest.approx(7.0, abs=1.1)
    found = measures_of([run], world)
    assert (found.divert_s, found.return_s) == (diverted_s(run, world), returned_s(run, world))


def test_provider_that_is_never_left_has_no_time_to_divert() -> None:
    run = Run([served(at / 4) for at in range(4 * 90)], "")
    assert diverted_s(run, small(fault_of("p1", refuses=True))) is None
    assert diverted_s(run, small()) is None
