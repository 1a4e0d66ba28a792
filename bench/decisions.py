"""Measures `decide` alone: nanoseconds for one decision, healthy and with something wrong.

    python -m bench.decisions --json docs/measurements/decisions.json    # some ten seconds

Each case decides 1,000 times a second of a clock that the loop moves on, so that verdicts which are kept for a moment
are renewed as often as in a gateway. The cases are measured in turn, and the fastest round of each counts.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter_ns

from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import UPSTREAM_ERROR, Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey, Strategy, candidate
from pointsman.engine.live import Live
from pointsman.routing.decide import decide

DECISIONS = 2_000
STEP_S = 0.001
BLOCKED_S = 1e9


def _endpoint(name: str) -> Endpoint:
    keys = (ProviderKey("k1", Secret("s")),)
    return Endpoint(
        name=name,
        type="openai",
        origin=Origin("http", f"{name}.test", 80),
        base_path="/v1",
        keys=keys,
        operations=frozenset(OPERATIONS),
    )


def _snapshot() -> Snapshot:
    ends = [_endpoint(name) for name in ("alpha", "beta", "gamma")]
    models = {
        "chat": PublicModel(
            name="chat",
            targets=(candidate(ends[0], "m", 80.0), candidate(ends[1], "m", 20.0)),
            fallbacks=(),
            strategy=Strategy("weighted"),
        ),
        "other": PublicModel(name="other", targets=(candidate(ends[2], "m"),)),
    }
    return Snapshot(digest="bench", endpoints={end.name: end for end in ends}, models=models, virtual_keys={})


def _degraded(live: Live, item: Candidate) -> Live:
    """Open the breaker of a target for as long as the measurement takes."""
    for _ in range(3):
        live.begin(item, 0.0, is_retry=False)
        live.finish(item, item.keys[0], Failure(UPSTREAM_ERROR, "bench"), 0.0)
    live.conditions[item.id] = replace(live.conditions[item.id], blocked_until=BLOCKED_S)
    return live


def cases() -> dict[str, Callable[[], int]]:
    """Each case, as a function that returns the nanoseconds of one round."""
    snapshot = _snapshot()
    chat, other = (snapshot.models[name].targets[0] for name in ("chat", "other"))
    call = Call(operation="chat", head=RequestHead(), snapshot=snapshot, model="chat", size=500)
    plain, pin = VirtualKey(name="plain", digest=b""), Pin("alpha", "k1", "file f")
    entries = {name: ProviderEntry(name, 0.5) for name in ("alpha", "beta")}
    return {
        "healthy": _rounds(Facts(call, plain), Live(snapshot)),
        "another model's one target degraded": _rounds(Facts(call, plain), _degraded(Live(snapshot), other)),
        "one of the model's own targets degraded": _rounds(Facts(call, plain), _degraded(Live(snapshot), chat)),
        "a key that names providers": _rounds(
            Facts(call, VirtualKey(name="named", digest=b"", entries=entries)), Live(snapshot)
        ),
        "pinned": _rounds(Facts(replace(call, pin=pin), plain), Live(snapshot)),
    }


def _rounds(facts: Facts, live: Live) -> Callable[[], int]:
    rng, now = Random(1), 1.0

    def measure() -> int:
        nonlocal now
        began_at = perf_counter_ns()
        for _ in range(DECISIONS):
            now += STEP_S
            decide(facts, live, rng, now)
        return (perf_counter_ns() - began_at) // DECISIONS

    assert isinstance(decide(facts, live, rng, now), Plan)
    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    measured = cases()
    fastest = dict.fromkeys(measured, 1 << 62)
    for _ in range(options.rounds):
        for name, measure in measured.items():
            fastest[name] = min(fastest[name], measure())
    for name, ns in fastest.items():
        print(f"{ns:6} ns  {ns / fastest['healthy']:5.2f}  {name}")
    if options.json is not None:
        options.json.write_text(json.dumps({"ns_per_decision": fastest}, indent=2) + "\n")


if __name__ == "__main__":
    main()
