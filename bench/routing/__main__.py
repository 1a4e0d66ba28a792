"""`python -m bench.routing`: routers in simulated worlds, with the production core under a virtual clock.

Requests arrive at random, or as in a recorded trace. The plan of each comes from `decide`, its steps from `next_step`,
and health and paces are learned by the live state of a worker, exactly as in a gateway. Only providers and the clock
are simulated (`pointsman.simulate.worlds`).

    oracle      knows the present state of each provider, but not the luck of the next attempt
    regret      the mean time to the first content over that of the oracle, less 1. A request that fails counts as 30 s

Constants were tuned with seeds below 50 and worlds below 1,000 only. The defaults here begin at 100 and 5,000.
"""

import argparse
import datetime as dt
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from bench.routing.ablation import ablation
from bench.routing.tables import aligned, regret_rows, scenario_rows, world_rows

from pointsman.simulate.worlds.arrivals import read_trace
from pointsman.simulate.worlds.compare import CONTENDERS, ORACLE, compare, regrets_of
from pointsman.simulate.worlds.contender import Contender
from pointsman.simulate.worlds.random_worlds import random_world
from pointsman.simulate.worlds.results import Measures
from pointsman.simulate.worlds.scenarios import SCENARIOS
from pointsman.simulate.worlds.world import Scenario, Trace

FIRST_SEED, FIRST_WORLD = 100, 5000


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description="Routers in simulated worlds.")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="names, separated by commas; '' for none")
    parser.add_argument("--policies", default=",".join(CONTENDERS), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each router in each scenario")
    parser.add_argument("--baseline-seeds", type=int, help="runs of the baselines; by default as many")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--worlds", type=int, default=50, help="random worlds")
    parser.add_argument("--first-world", type=int, default=FIRST_WORLD)
    parser.add_argument("--ablation", type=int, default=0, help="random worlds without one part of adaptive")
    parser.add_argument("--trace", type=Path, help="a trace of Azure or Mooncake for the arrivals of scenarios")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    return parser.parse_args()


def _named(text: str, known: Mapping[str, object]) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known are: {', '.join(known)}")
    return names


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measured(
    scenario: Scenario,
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    of_baselines: Sequence[int],
    trace: Trace | None,
) -> dict[str, Measures]:
    """Return the measures of all contenders. The regret of a baseline is that over the oracle in the same runs."""
    baselines = [one for one in contenders if one.policy is not None and one is not ORACLE]
    if of_baselines == seeds or not baselines:
        return compare(scenario, contenders, seeds, trace)
    found = compare(scenario, [one for one in contenders if one not in baselines], seeds, trace)
    compared = compare(scenario, [ORACLE, *baselines], of_baselines, trace)
    return found | {one.name: compared[one.name] for one in baselines}


def main() -> int:
    """Measure, print and write."""
    given = _options()
    contenders = [CONTENDERS[name] for name in _named(given.policies, CONTENDERS)]
    trace = read_trace(given.trace) if given.trace is not None else None
    seeds: Sequence[int] = range(given.first_seed, given.first_seed + given.seeds)
    tables: dict[str, dict[str, Measures]] = {}
    for name in _named(given.scenarios, SCENARIOS):
        tables[name] = _measured(SCENARIOS[name], contenders, seeds, seeds[: given.baseline_seeds], trace)
        print(f"\n{name}\n{aligned(scenario_rows(tables[name]))}", flush=True)
    if tables:
        print(f"\nregret in percent\n{aligned(regret_rows(tables))}", flush=True)
    worlds, ablated = [
        [random_world(given.first_world + number) for number in range(count)]
        for count in (given.worlds, given.ablation)
    ]
    regrets = regrets_of(worlds, contenders, _note) if worlds else {}
    if worlds:
        print(f"\n{len(worlds)} random worlds\n{aligned(world_rows(regrets))}", flush=True)
    parts = ablation(ablated, _note) if ablated else {}
    if parts:
        print(f"\nadaptive without one of its parts\n{aligned(world_rows(parts))}", flush=True)
    if given.json is not None:
        found = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "python": platform.python_version(),
            "arrivals": trace.name if trace is not None else "synthetic",
            "seeds": [seeds[0], seeds[-1]] if seeds else [],
            "baseline_seeds": len(seeds[: given.baseline_seeds]),
            "worlds": [given.first_world, given.first_world + given.worlds - 1] if worlds else [],
            "scenarios": tables,
            "random_worlds": regrets,
            "without": parts,
        }
        built = msgspec.to_builtins(found)
        given.json.write_text(json.dumps(_rounded(built), indent=1) + "\n")
    return 0


def _rounded(value: object) -> object:
    """Return the same with five digits behind the point."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
