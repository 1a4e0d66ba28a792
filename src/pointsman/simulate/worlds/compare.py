"""Comparisons: several routers in the same scenarios with the same seeds, beside an oracle."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.snapshots import Hedging, Racing
from pointsman.simulate.worlds.arrivals import from_trace, synthetic
from pointsman.simulate.worlds.contender import Contender, adaptive_contender, is_adaptive, production, ranked_strategy
from pointsman.simulate.worlds.policies.bifrost import Bifrost
from pointsman.simulate.worlds.policies.envoy import LeastRequest
from pointsman.simulate.worlds.policies.litellm import LeastBusy, RollingLatency
from pointsman.simulate.worlds.policies.oracle import Oracle
from pointsman.simulate.worlds.policies.peak_ewma import PeakEwma
from pointsman.simulate.worlds.policies.plain_weights import PlainWeights
from pointsman.simulate.worlds.policies.prequal import PassivePrequal
from pointsman.simulate.worlds.policies.round_robin import RoundRobin
from pointsman.simulate.worlds.results import Measures, Run, measures_of
from pointsman.simulate.worlds.simulation import Simulation
from pointsman.simulate.worlds.world import Arrival, Scenario, Trace

BASELINES = (
    Bifrost, RollingLatency, LeastBusy, LeastRequest, PeakEwma, PassivePrequal, RoundRobin, PlainWeights
)  # fmt: skip
ORACLE = Contender(name=Oracle.name, policy=Oracle)
CONTENDERS: Mapping[str, Contender] = {
    one.name: one
    for one in (
        ORACLE,
        adaptive_contender(),
        adaptive_contender(duplicates=Hedging()),
        replace(adaptive_contender(duplicates=Hedging()), name="adaptive+race", racing=Racing()),
        *[production(name) for name in ("fastest", "least-busy", "weighted", "priority")],
        *[Contender(name=one.name, policy=one) for one in BASELINES],
    )
}
"""The routers that are compared by default, by name."""


class Regrets(Struct, frozen=True):
    """The regret of a router over many worlds."""

    mean: float
    median: float
    worst: float
    success: float
    attempts: float
    limited: float


Recorded = Trace | Sequence[Arrival] | None
"""Recorded requests: a trace, of which each seed gets a part at the rate of the scenario, or requests as they are."""


def arrivals_of(scenario: Scenario, seed: int, trace: Recorded = None) -> Sequence[Arrival]:
    """Return the requests of a scenario for a seed."""
    if isinstance(trace, Sequence):
        return trace
    if trace is not None:
        return from_trace(trace, scenario.traffic, scenario.duration_s, seed)
    return synthetic(scenario.traffic, scenario.duration_s, seed)


def run(scenario: Scenario, contender: Contender, seed: int, trace: Recorded = None) -> Run:
    """Return one run. The oracle and the adaptive strategy weigh costs as the scenario does."""
    if scenario.usd_s and is_adaptive(contender):
        contender = replace(contender, strategy=adaptive_contender("balanced").strategy)
    with ranked_strategy():
        return Simulation(scenario, contender, seed, arrivals_of(scenario, seed, trace)).run()


def compare(
    scenario: Scenario, contenders: Iterable[Contender], seeds: Sequence[int], trace: Recorded = None
) -> dict[str, Measures]:
    """Return the measures of each router, with its regret against the oracle, by the names of routers."""
    every = list(contenders)
    runs = play(scenario, [*every, *([ORACLE] if ORACLE not in every else [])], seeds, trace)
    found = measured(scenario, runs)
    return {one.name: found[one.name] for one in every}


def play(
    scenario: Scenario, contenders: Iterable[Contender], seeds: Sequence[int], trace: Recorded = None
) -> dict[str, list[Run]]:
    """Return the runs of each router, one for each seed, by the names of routers."""
    return {one.name: [run(scenario, one, seed, trace) for seed in seeds] for one in contenders}


def measured(scenario: Scenario, runs: Mapping[str, Sequence[Run]]) -> dict[str, Measures]:
    """Return the measures of runs, with the regret against the oracle's, which must be among them."""
    found = {name: measures_of(every, scenario) for name, every in runs.items()}
    best = found[ORACLE.name].loss_s
    return {name: replace(one, regret=one.loss_s / best - 1) for name, one in found.items()}


def regrets_of(
    worlds: Sequence[Scenario], contenders: Sequence[Contender], note: Callable[[str], None] | None = None
) -> dict[str, Regrets]:
    """Return the regrets of each router over some worlds, each with a seed of its own."""
    found: dict[str, list[Measures]] = {one.name: [] for one in contenders}
    for place, world in enumerate(worlds):
        for name, measures in compare(world, contenders, [place]).items():
            found[name].append(measures)
        if note is not None:
            note(world.name)
    return {
        name: Regrets(
            mean=fmean(one.regret or 0.0 for one in every),
            median=median(one.regret or 0.0 for one in every),
            worst=max(one.regret or 0.0 for one in every),
            success=fmean(one.success for one in every),
            attempts=fmean(one.attempts for one in every),
            limited=fmean(one.limited for one in every),
        )
        for name, every in found.items()
    }
