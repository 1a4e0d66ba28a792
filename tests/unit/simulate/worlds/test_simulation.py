"""The loop of events: every kind of step, and the same run for the same seed."""

from collections import Counter
from statistics import fmean, median
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.worlds import PROVIDERS, fault_of, small
from pointsman.domain.calls import Call
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Hedging
from pointsman.domain.targets import Candidate
from pointsman.routing import paces
from pointsman.routing.paces import Paces, Tried
from pointsman.simulate.worlds.compare import CONTENDERS, arrivals_of, run
from pointsman.simulate.worlds.contender import adaptive_contender, ranked_strategy
from pointsman.simulate.worlds.policies.oracle import Oracle
from pointsman.simulate.worlds.results import FAILED_S, Run
from pointsman.simulate.worlds.simulation import Simulation
from pointsman.simulate.worlds.world import Arrival, Key, Provider, Traffic

ADAPTIVE = CONTENDERS["adaptive"]


@pytest.mark.parametrize("name", CONTENDERS)
def test_same_seed_gives_the_same_decisions(name: str) -> None:
    world = small(fault_of("p1", errors=0.5), duration_s=40.0)
    first, again, other = [run(world, CONTENDERS[name], seed) for seed in (3, 3, 4)]
    assert first == again
    assert first.decisions != other.decisions


def test_every_request_ends_once() -> None:
    world = small(fault_of("p1", errors=0.4))
    simulation = Simulation(world, ADAPTIVE, 1, arrivals_of(world, 1))
    found = simulation.run()
    assert len(found.requests) == len(arrivals_of(world, 1))
    assert all(one.attempts >= 1 for one in found.requests)
    assert [one.running for one in simulation.services] == [0, 0, 0]
    assert all(not worker.live.in_progress for worker in simulation.workers.every)


def test_failed_attempt_moves_to_another_provider() -> None:
    found = run(small(fault_of("p1", refuses=True)), CONTENDERS["priority"], 1)
    during = [one for one in found.requests if 30 <= one.at < 31]
    assert all(one.is_served for one in during)
    assert during[0].first == "p1"
    assert during[0].provider == "p2"
    assert during[0].attempts == 2


def test_hedge_gets_the_answer_that_a_slow_attempt_keeps_back() -> None:
    world = small(fault_of("p1", factor=40.0))
    contender = replace(CONTENDERS["priority"], duplicates=Hedging(after_s=1.0, share=1.0))
    plain, hedged = run(world, CONTENDERS["priority"], 1), run(world, contender, 1)
    slow = [one for one in hedged.requests if 30 <= one.at < 60]
    assert sum(one.duplicates for one in slow) > 0.9 * len(slow)
    assert median(one.ttft_s for one in slow) < 2.5
    assert median(one.ttft_s for one in plain.requests if 30 <= one.at < 60) > 5.0


def test_cancelled_duplicate_is_charged_for_its_prompt() -> None:
    dear = tuple([replace(one, usd_in=10.0, usd_out=0.0) for one in PROVIDERS])
    world = replace(small(fault_of("p1", factor=40.0)), providers=dear)
    contender = replace(CONTENDERS["priority"], duplicates=Hedging(after_s=1.0, share=1.0))
    with ranked_strategy():
        requests = [Arrival(40.0, 1000, 10)]
        found = Simulation(world, contender, 1, requests).run().requests[0]
    assert found.duplicates == 1
    assert found.usd == pytest.approx(2 * 10.0 * 1000 / 1e6)


def test_silent_provider_is_cut_off_and_its_requests_move_on() -> None:
    found = run(small(fault_of("p1", hangs=True)), ADAPTIVE, 2)
    during = [one for one in found.requests if 30 <= one.at < 60]
    assert all(one.is_served for one in during)
    assert sum(one.first == "p1" for one in during) < 0.4 * len(during)


def test_request_waits_while_only_quota_blocks() -> None:
    """One provider with one request in ten seconds: the second request waits for its `Retry-After`."""
    provider = Provider(name="p1", first_s=0.3, errors=0.0, tail=0.0, keys=(Key("k", requests=30.0),))
    world = replace(small(), providers=(provider,))
    with ranked_strategy():
        requests = [Arrival(0.001 * number, 100, 10) for number in range(6)]
        found = Simulation(world, CONTENDERS["priority"], 1, requests).run()
    waited = [one for one in found.requests if one.limited]
    assert waited
    assert all(one.is_served for one in found.requests)
    assert min(one.ttft_s for one in waited) > 1.5


def test_whole_answers_end_with_their_last_token() -> None:
    world = small(traffic=Traffic(rate=6.0, whole=0.5))
    found = run(world, ADAPTIVE, 1)
    means = {kind: fmean([one.ttft_s for one in found.requests if one.stream is kind]) for kind in (True, False)}
    assert means[False] > means[True] + 1.0


def test_wait_that_is_too_short_to_move_the_clock_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = iter([1e-13, 1e-13])
    monkeypatch.setattr(Oracle, "wait_s", lambda *_: next(waits, 0.0))
    with ranked_strategy():
        found = Simulation(small(), CONTENDERS["oracle"], 1, [Arrival(5000.0, 100, 10)]).run().requests[0]
    assert found.is_served
    assert found.ttft_s > 0.002


def test_core_observes_some_attempts_of_heavy_traffic_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paces, "ENOUGH_S", 0.5)
    observed, started = list[str](), Paces.started

    def start(self: Paces, plan: Plan, item: Candidate, call: Call, attempt_id: str, now: float, **more: Any) -> Tried:
        observed.append(attempt_id)
        return started(self, plan, item, call, attempt_id, now, **more)

    monkeypatch.setattr(Paces, "started", start)
    found = run(small(rate=20.0, duration_s=30.0), ADAPTIVE, 1)
    assert 10 < len(observed) < 0.5 * sum(one.attempts for one in found.requests)


def test_request_without_any_answer_counts_as_failed() -> None:
    found = run(small(fault_of("", since=0.0, until=1000.0, hangs=True), duration_s=5.0), ADAPTIVE, 1)
    assert all(not one.is_served and one.ttft_s == FAILED_S for one in found.requests)


def test_new_prices_hold_for_the_next_decision() -> None:
    cheap = tuple(
        [replace(one, usd_in=cost, usd_out=cost) for one, cost in zip(PROVIDERS, (1.0, 4.0, 9.0), strict=True)]
    )
    world = replace(small(fault_of("p1", price=100.0)), providers=cheap, usd_s=100.0)
    found = run(world, replace(adaptive_contender("balanced")), 1)
    shares = [share(found, since) for since in (10.0, 35.0)]
    assert shares[0] > 0.9
    assert shares[1] < 0.1


def share(found: Run, since: float) -> float:
    first = Counter(one.first for one in found.requests if since <= one.at < since + 15)
    return first["p1"] / first.total()
