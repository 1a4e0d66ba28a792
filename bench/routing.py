"""`python -m bench.routing`: routing strategies in a simulated world, with the production core under a virtual clock.

Requests for streams arrive at random. The plan of each comes from `decide`, its steps from `next_step`, and health and
paces are learned by the live state of a worker, exactly as in a gateway. Only providers and the clock are simulated: a
provider's time to the first content is lognormal, and a fault changes it for a while. A fault lasts from a third to two
thirds of a run.

    oracle      knows the present median and error rate of each provider, but not the next time it draws
    rolling     the lowest mean of the last ten times, as LiteLLM's latency-based routing documents it
    regret      the mean time over that of the oracle, less 1. A request that fails counts as 30 s

The tables are means over seeds. The constants of `adaptive` were not tuned on these seeds.
"""

import argparse
import datetime as dt
import heapq
import json
import platform
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from math import exp, inf, log
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any, NamedTuple

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Await, GiveUp, Plan, Progress, Try
from pointsman.domain.snapshots import Failover, PublicModel, Routing, Snapshot
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey, Strategy, candidate
from pointsman.engine.live import Live
from pointsman.routing import pace
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.routing.ordering import NoSettings, Order, Ordered
from pointsman.routing.paces import Tried
from pointsman.routing.strategies import STRATEGIES, StrategyKind, adaptive
from pointsman.routing.view import RandomSource, View

RUN_S, RATE = 240.0, 4.0
FAILED_S = 30.0
UNIX = 1_764_000_000.0
SIGMA = 0.35
FIRST_TOKEN_S = 10.0  # `failover.first_token_s` of every policy


class Fault(NamedTuple):
    """A change of a provider: a factor of its times, and a share of requests that get an error or no answer."""

    factor: float = 1.0
    errors: float = 0.0
    silent: float = 0.0


class Scenario(NamedTuple):
    """Providers by their median times in seconds, and the fault of some of them."""

    medians: Mapping[str, float]
    faults: Mapping[str, Fault]


STEADY = {"a": 0.4, "b": 0.5, "c": 0.7}
SCENARIOS = {
    "steady": Scenario(STEADY, {}),
    "outage": Scenario(STEADY, {"a": Fault(errors=1.0)}),
    "black hole": Scenario(STEADY, {"a": Fault(silent=1.0)}),
    "four times slower": Scenario(STEADY, {"a": Fault(factor=4.0)}),
    "30 % errors": Scenario(STEADY, {"a": Fault(errors=0.3)}),
    "the slow one recovers": Scenario({"a": 2.0, "b": 0.6, "c": 0.7}, {"a": Fault(factor=0.15)}),
}


class World:
    """The providers at a moment."""

    def __init__(self, scenario: Scenario, rng: Random) -> None:
        self._scenario = scenario
        self._rng = rng

    def fault(self, name: str, now: float) -> Fault:
        is_on = RUN_S / 3 <= now < 2 * RUN_S / 3
        return self._scenario.faults.get(name, Fault()) if is_on else Fault()

    def expected_s(self, name: str, now: float) -> float:
        """Return the mean time of an attempt, as an oracle knows it."""
        fault = self.fault(name, now)
        lost = fault.errors * 0.1 + fault.silent * FIRST_TOKEN_S
        bad = min(fault.errors + fault.silent, 0.999)
        median = self._scenario.medians[name] * fault.factor
        return median * exp(SIGMA**2 / 2) + lost / (1 - bad)

    def draw(self, name: str, now: float, size: float) -> tuple[float, Failure | None]:
        """Return the time of an attempt, and its failure if it fails. A silent one takes for ever."""
        fault, draw = self.fault(name, now), self._rng.random()
        if draw < fault.silent:
            return inf, None
        if draw < fault.silent + fault.errors:
            return 0.05 + 0.1 * self._rng.random(), Failure(failures.UPSTREAM_OVERLOADED, "down")
        return self._scenario.medians[name] * fault.factor * size * self._rng.lognormvariate(0.0, SIGMA), None


def _endpoint(name: str) -> Endpoint:
    return Endpoint(
        name=name, type="openai", origin=Origin("http", f"{name}.test", 80), base_path="/v1",
        keys=(ProviderKey("only", Secret("")),), operations=frozenset(OPERATIONS),
    )  # fmt: skip


class Request(NamedTuple):
    """A request in progress."""

    call: Call
    plan: Plan
    began_at: float
    size: float
    history: list[PastAttempt]


class Simulation:
    """One run of one policy."""

    def __init__(self, policy: str, scenario: Scenario, seed: int) -> None:
        self.world, self.rng, self.now = World(scenario, Random(seed)), Random(seed + 1), 0.0
        endpoints = {name: _endpoint(name) for name in scenario.medians}
        targets = tuple(candidate(one, "m") for one in endpoints.values())
        routing = Routing(strategy=Strategy(policy), failover=Failover(first_token_s=FIRST_TOKEN_S))
        self.snapshot = Snapshot(
            digest="d", endpoints=endpoints, models={"chat": PublicModel(name="chat", targets=targets)},
            virtual_keys={}, require_key=False, routing=routing,
        )  # fmt: skip
        self.live = Live(self.snapshot)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.times: list[float] = []
        self.served: list[tuple[float, str]] = []
        self.attempts = self._count = 0
        arrivals = Random(seed + 2)
        at = 0.0
        while (at := at + arrivals.expovariate(RATE)) < RUN_S:
            size = 0.6 + 0.8 * arrivals.random()
            self._at(at, lambda size=size: self._arrive(size))  # type: ignore[misc]
        _SIMULATIONS[0] = self

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self.events, (when, self._count, what))

    def run(self) -> None:
        while self.events:
            self.now, _, what = heapq.heappop(self.events)
            what()

    def _arrive(self, size: float) -> None:
        # The size of the prompt is what makes an answer slower: 300 ms, and 100 µs for each token.
        head = RequestHead(path="/chat/completions")
        tokens = max(int((0.3 * size - 0.18) / 1e-4), 1)
        call = Call(operation="chat", head=head, snapshot=self.snapshot, model="chat", size=4 * tokens, stream=True)
        plan = decide(Facts(call, None, UNIX + self.now), self.live, self.rng, self.now)
        if isinstance(plan, Failure):
            self.times.append(FAILED_S)
            return
        self._step(Request(call, plan, self.now, size, []))

    def _step(self, request: Request, due: Any = None) -> None:
        progress = Progress(history=tuple(request.history), due=due)
        step = next_step(request.plan, progress, self.live, self.now)
        if isinstance(step, Await):
            self._at(self.now + step.delay_s, lambda: self._step(request, step.then))
        elif isinstance(step, GiveUp):
            self.times.append(FAILED_S)
        elif isinstance(step, Try):
            self._attempt(request, step)

    def _attempt(self, request: Request, step: Try) -> None:
        item, began_at = step.choice.candidate, self.now
        self.attempts += 1
        if not request.history:
            self.served.append((self.now, item.endpoint.name))
        self.live.begin(item, began_at, is_retry=step.is_repeat, key=step.key)
        tried: Tried | None = None
        if request.plan.learns:
            name = f"{id(request)}-{len(request.history) + 1}"
            tried = self.live.paces.started(request.plan, item, request.call, name, began_at)
        took_s, failure = self.world.draw(item.endpoint.name, began_at, request.size)
        limit_s = step.content_s if step.content_s is not None else step.timeout_s
        if took_s > limit_s:
            took_s, failure = limit_s, Failure(failures.COMMIT_TIMEOUT, "late")
        self._at(began_at + took_s, lambda: self._end(request, step, began_at, tried, failure))

    def _end(self, request: Request, step: Try, began_at: float, tried: Tried | None, failure: Failure | None) -> None:
        item, now = step.choice.candidate, self.now
        if tried is not None:
            self.live.paces.ended(tried, failure, now, tokens_out=100, content_at=now if failure is None else None)
        self.live.finish(
            item, step.key, failure, now, began_at=began_at, first_byte_at=None if failure else now, tokens_out=100,
            content_at=None if failure else now,
        )  # fmt: skip
        if failure is None:
            self.times.append(now - request.began_at)
            _SEEN.setdefault(item.id, deque(maxlen=10)).append(now - began_at)
            return
        request.history.append(
            PastAttempt(
                item.id,
                item.endpoint.name,
                item.model,
                step.key.name,
                started_at=began_at,
                ended_at=now,
                failure=failure,
            )
        )
        self._step(request)


_SIMULATIONS: list[Any] = [None]
_SEEN: dict[str, deque[float]] = {}


def _oracle(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:  # noqa: ARG001
    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:  # noqa: ARG001
        world = _SIMULATIONS[0].world
        return Ordered(tuple(sorted(candidates, key=lambda item: world.expected_s(item.endpoint.name, now))))

    return order


def _rolling(candidates: tuple[Candidate, ...], settings: NoSettings) -> Order:  # noqa: ARG001
    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:  # noqa: ARG001
        means = {item.id: fmean(_SEEN[item.id]) if item.id in _SEEN else 0.0 for item in candidates}
        return Ordered(tuple(sorted(candidates, key=lambda item: (means[item.id], rng.random()))))

    return order


POLICIES = ("oracle", "adaptive", "fastest", "rolling", "least-busy", "weighted", "priority")


def measure(policy: str, scenario: Scenario, seeds: range) -> dict[str, float]:
    """Return the means over the seeds."""
    times: list[float] = []
    attempts, divert, back = 0, [], []
    for seed in seeds:
        _SEEN.clear()
        simulation = Simulation(policy, scenario, seed * 1000)
        simulation.run()
        times += simulation.times
        attempts += simulation.attempts
        for name, fault in scenario.faults.items():
            if fault.factor >= 1:
                divert.append(_moved(simulation.served, name, RUN_S / 3, 0.25, below=True))
                back.append(_moved(simulation.served, name, 2 * RUN_S / 3, 0.6, below=False))
    times.sort()
    found = {
        "mean_s": round(fmean(times), 4),
        "p99_s": round(times[int(len(times) * 0.99)], 2),
        "failed": sum(one >= FAILED_S for one in times),
        "attempts": round(attempts / len(times), 4),
    }
    if divert and policy in ("adaptive", "fastest", "rolling", "oracle"):
        found |= {"divert_s": round(fmean(divert), 1), "return_s": round(fmean(back), 1)}
    return found


def _moved(served: list[tuple[float, str]], name: str, since: float, share: float, *, below: bool) -> float:
    """Return the seconds until the share of first attempts at a provider, among ten, passes a bound."""
    latest: deque[bool] = deque(maxlen=10)
    for at, provider in served:
        if at < since:
            continue
        latest.append(provider == name)
        part = sum(latest) / len(latest)
        if len(latest) >= 4 and (part <= share if below else part >= share):
            return at - since
    return RUN_S / 3


def random_world(seed: int) -> Scenario:
    """Return three to six providers, of which one or two have some fault."""
    rng = Random(seed)
    names = "abcdef"[: rng.randint(3, 6)]
    medians = {name: exp(rng.uniform(log(0.25), log(1.5))) for name in names}
    kinds = [
        lambda: Fault(errors=1.0),
        lambda: Fault(silent=1.0),
        lambda: Fault(factor=rng.uniform(2, 8)),
        lambda: Fault(errors=rng.uniform(0.1, 0.5)),
    ]
    faulty = rng.sample(sorted(medians, key=lambda name: medians[name])[:3], rng.randint(1, 2))
    return Scenario(medians, {name: rng.choice(kinds)() for name in faulty})


# Parts of `adaptive`, as attributes of its modules and values that switch them off.
PARTS: Mapping[str, Sequence[tuple[object, str, object]]] = {
    "overdue attempts": [(pace, "FEWEST_OVERDUE", 10**9)],
    "change detection": [(pace, "CHANGED", inf)],
    "forgiveness after an outage": [(pace, "DOWN", 10**9)],
    "probes": [(pace.Pace, "wants_probe", lambda *_: False), (pace.Pace, "wants_look", lambda *_: False)],
    "patience": [(adaptive, "LEAST_PATIENCE_S", 10**9)],
    "noise": [(adaptive, "NOISE", 0.0)],
    "first look": [(adaptive, "FIRST_LOOK", 10**9)],
    "failures": [(pace.Pace, "failure_share", lambda _: 0.0)],
}


def without(part: str, worlds: int) -> dict[str, float]:
    """Return the regrets of `adaptive` in random worlds without one of its parts."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in PARTS.get(part, ())]
    for owner, name, value in PARTS.get(part, ()):
        setattr(owner, name, value)
    found = []
    for seed in range(worlds):
        scenario, seeds = random_world(5000 + seed), range(seed, seed + 1)
        found.append(measure("adaptive", scenario, seeds)["mean_s"] / measure("oracle", scenario, seeds)["mean_s"] - 1)
    for owner, name, value in before:
        setattr(owner, name, value)
    found.sort()
    return {"mean": round(fmean(found), 3), "median": round(found[len(found) // 2], 3), "worst": round(found[-1], 3)}


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description="Strategies in simulated worlds.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--worlds", type=int, default=50)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    STRATEGIES["oracle"] = StrategyKind(_oracle, NoSettings)  # type: ignore[arg-type]
    STRATEGIES["rolling"] = StrategyKind(_rolling, NoSettings)  # type: ignore[arg-type]
    tables: dict[str, Any] = {}
    for name, scenario in SCENARIOS.items():
        tables[name] = {policy: measure(policy, scenario, range(100, 100 + given.seeds)) for policy in POLICIES}
        best = tables[name]["oracle"]["mean_s"]
        print(f"\n{name}")
        for policy, row in tables[name].items():
            row["regret"] = round(row["mean_s"] / best - 1, 4)
            print(f"  {policy:11}", ", ".join(f"{key} {value:g}" for key, value in row.items()))
    regrets: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for seed in range(given.worlds):
        scenario = random_world(5000 + seed)
        means = {policy: measure(policy, scenario, range(seed, seed + 1))["mean_s"] for policy in POLICIES}
        for policy in POLICIES:
            regrets[policy].append(means[policy] / means["oracle"] - 1)
    print(f"\n{given.worlds} random worlds")
    worlds = {}
    for policy, found in regrets.items():
        found.sort()
        worlds[policy] = {
            "mean": round(fmean(found), 3), "median": round(found[len(found) // 2], 3), "worst": round(found[-1], 3)
        }  # fmt: skip
        print(f"  {policy:11}", ", ".join(f"{key} {value:g}" for key, value in worlds[policy].items()))
    ablation = {part: without(part, given.worlds) for part in ("", *PARTS)}
    print("\nadaptive without one of its parts")
    for part, row in ablation.items():
        print(f"  {part or '(whole)':28}", ", ".join(f"{key} {value:g}" for key, value in row.items()))
    if given.json is not None:
        made = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "python": platform.python_version()}
        settings = {"seeds": given.seeds, "worlds": given.worlds, "rate": RATE, "run_s": RUN_S}
        found_all = {**made, **settings, "scenarios": tables, "random_worlds": worlds, "without": ablation}
        given.json.write_text(json.dumps(found_all, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
