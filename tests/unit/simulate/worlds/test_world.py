"""Faults and scenarios as data."""

from pointsman.simulate.worlds.scenarios import FLEET, SCENARIOS
from pointsman.simulate.worlds.world import Fault, Scenario


def test_fault_holds_between_its_times() -> None:
    fault = Fault(since=10.0, until=20.0)
    assert [fault.strength(at) for at in (9.9, 10.0, 19.9, 20.0)] == [0.0, 1.0, 1.0, 0.0]


def test_flapping_fault_is_on_and_off_in_turn() -> None:
    fault = Fault(since=100.0, until=200.0, period_s=10.0)
    assert [fault.strength(at) for at in (105.0, 115.0, 125.0)] == [1.0, 0.0, 1.0]


def test_fading_fault_gets_weaker() -> None:
    fault = Fault(since=0.0, until=100.0, fades=True)
    assert [fault.strength(at) for at in (0.0, 25.0, 75.0)] == [1.0, 0.75, 0.25]


def test_window_covers_every_fault_of_the_watched_provider() -> None:
    assert SCENARIOS["slow recovery"].window == (150.0, 450.0)
    assert SCENARIOS["steady"].window is None
    elsewhere = (Fault(provider="p2"),)
    assert Scenario(name="other", providers=FLEET, faults=elsewhere, watched="p1").window is None
