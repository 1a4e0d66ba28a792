"""Peak EWMA."""

from math import exp
from random import Random

import pytest

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.policies.peak_ewma import PENALTY, PeakEwma
from pointsman.simulate.worlds.world import Arrival, Provider

REQUEST = Arrival(0.0, 100, 50)


def policy() -> PeakEwma:
    return PeakEwma([Service(Provider(name=name, first_s=0.3), (), 0).routes[0] for name in "ab"], Random(1))


def test_cost_jumps_to_a_peak_and_falls_slowly() -> None:
    found = policy()
    found.answered(0, REQUEST, 2.0, 0.0)
    assert found.cost[0] == 2.0
    found.answered(0, REQUEST, 1.0, 10.0)
    assert found.cost[0] == pytest.approx(2 * exp(-1) + 1 - exp(-1))
    found.answered(0, REQUEST, 5.0, 10.0)
    assert found.cost[0] == 5.0


def test_load_grows_with_requests_in_progress_and_decays_without_answers() -> None:
    found = policy()
    found.answered(0, REQUEST, 2.0, 0.0)
    found.started(0, 0.0)
    assert found.load(0, 0.0) == pytest.approx(4.0)
    assert found.load(0, 10.0) == pytest.approx(4 * exp(-1))


def test_unknown_host_in_use_is_avoided() -> None:
    found = policy()
    assert found.load(1, 0.0) == 0.0
    found.started(1, 0.0)
    assert found.load(1, 0.0) == PENALTY + 1


def test_failures_count_with_their_time() -> None:
    found = policy()
    found.started(0, 0.0)
    found.failed(0, Failure(failures.UPSTREAM_ERROR, "down"), 3.0, 3.0)
    assert found.cost[0] == 3.0
