"""Several workers: shares of the requests, exchanged knowledge, and a lost one."""

from statistics import fmean

from msgspec.structs import replace

from fakes.worlds import PROVIDERS, fault_of, small
from pointsman.simulate.worlds.agenda import Agenda
from pointsman.simulate.worlds.compare import CONTENDERS, arrivals_of, run
from pointsman.simulate.worlds.contender import ranked_strategy
from pointsman.simulate.worlds.physics import Service
from pointsman.simulate.worlds.results import Run
from pointsman.simulate.worlds.simulation import Simulation
from pointsman.simulate.worlds.workers import Workers
from pointsman.simulate.worlds.world import Budget, Scenario

ADAPTIVE = CONTENDERS["adaptive"]


def workers(world: Scenario) -> Workers:
    return Workers(
        world, ADAPTIVE, [Service(one, world.faults, place) for place, one in enumerate(world.providers)], 1, Agenda()
    )


def test_requests_are_shared_among_the_workers() -> None:
    found = workers(small(workers=3))
    assert [found.of(number) for number in range(4)] == [*found.every, found.every[0]]


def test_lost_worker_gets_no_request_until_it_is_back() -> None:
    found = workers(small(workers=2, lost=(1, 30.0, 60.0)))
    first, second = found.every
    assert list(found.change(30.0)) == []
    assert {found.of(number) for number in range(4)} == {first}
    found.change(60.0)
    assert found.of(1) not in (first, second)


def test_requests_of_a_lost_worker_are_sent_again() -> None:
    world = small(workers=2, lost=(1, 30.0, 60.0))
    found = run(world, ADAPTIVE, 1)
    assert len(found.requests) == len(arrivals_of(world, 1))
    assert all(one.is_served for one in found.requests)
    assert any(one.ttft_s > 1.0 for one in found.requests if 28 <= one.at < 30)


def test_workers_that_share_leave_a_slow_provider_sooner() -> None:
    world = small(fault_of("p1", factor=6.0), workers=4, rate=12.0)
    alone, shared = [
        fmean([slow_share(run(replace(world, shared=is_shared), ADAPTIVE, seed)) for seed in range(1, 6)])
        for is_shared in (False, True)
    ]
    assert shared < alone


def test_budget_is_never_exceeded_and_moves_requests_elsewhere() -> None:
    dear = replace(PROVIDERS[0], usd_in=10.0, usd_out=30.0)
    world = replace(small(budget=Budget("p1", 1.0)), providers=(dear, *PROVIDERS[1:]))
    found = run(world, CONTENDERS["priority"], 1)
    spent = sum(one.usd for one in found.requests if one.provider == "p1")
    assert 0.8 < spent <= 1.0
    assert all(one.is_served for one in found.requests)
    assert {one.provider for one in found.requests if one.at > 80} == {"p2"}


def test_request_without_any_room_waits_for_others_or_is_rejected() -> None:
    world = replace(small(budget=Budget("p1", 0.05)), providers=(replace(PROVIDERS[0], usd_in=10.0, usd_out=30.0),))
    found = run(world, CONTENDERS["priority"], 1)
    assert 0 < sum(one.is_served for one in found.requests) < 10
    assert sum(one.usd for one in found.requests) <= 0.05


def test_workers_know_their_number_and_share_the_breakers() -> None:
    """The number divides limits of the concurrency, and one worker's rejected key is blocked at all of them."""
    world = small(fault_of("p1", key="k1", revoked=True), workers=3, shared=True)
    with ranked_strategy():
        simulation = Simulation(world, ADAPTIVE, 1, arrivals_of(world, 1))
        simulation.run()
    every = simulation.workers.every
    assert [one.live.workers for one in every] == [3, 3, 3]
    rejected = [standing for one in every for name, standing in one.live.faults.standings.items() if "k1" in name]
    assert len(rejected) == 3


def test_policies_share_no_health() -> None:
    world = small(fault_of("p1", refuses=True), workers=3, shared=True, duration_s=40.0)
    apart = replace(world, shared=False)
    assert run(world, CONTENDERS["bifrost"], 1) == run(apart, CONTENDERS["bifrost"], 1)


def slow_share(found: Run) -> float:
    during = [one.first == "p1" for one in found.requests if 30 <= one.at < 40]
    return sum(during) / len(during)
