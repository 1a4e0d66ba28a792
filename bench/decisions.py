"""Measures `decide` alone: nanoseconds for one decision, with healthy and with degraded targets.

    python -m bench.decisions --json docs/measurements/decisions.json    # a minute

Each case makes 1,000 decisions per second of a clock that the loop advances, so that cached verdicts are renewed as
often as in a gateway. The cases are measured in turn, and the fastest round of each counts.

With `adaptive`, each request is also answered, so that the strategy has something to read. There are 100 requests per
second, for which every score is computed anew, or 2,000 under heavy traffic. `ns_to_learn` is the cost of an attempt's
start and end. `p99_ns` is the 99th percentile of single decisions, in the best of ten parts of the run: what it shows
of other programs is less.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter_ns

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import UPSTREAM_ERROR, Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.plans import Plan
from pointsman.domain.prices import Price, Rates
from pointsman.domain.rules import Rule
from pointsman.domain.snapshots import PriceOverride, Pricing, PublicModel, Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey, Strategy, candidate
from pointsman.engine.live import Live
from pointsman.routing.decide import decide

DECISIONS = 2_000
FEWER = 100  # in a round of an adaptive case
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
        **{
            f"{count} rules, {'values seen before' if is_seen else 'new values'}": _ruled(snapshot, count, is_seen)
            for count in (1, 10, 100)
            for is_seen in (True, False)
        },
        "three facts for the log": _logging(snapshot),
        "weighted, 4 targets": _rounds(*_several("weighted", 4)),
        "weighted, 10 targets": _rounds(*_several("weighted", 10)),
    }


def _several(strategy: str, count: int) -> tuple[Facts, Live]:
    """Return the facts of a request that has several targets, and the state of a worker with them."""
    ends = [_endpoint(f"provider-{number}") for number in range(count)]
    targets = tuple([candidate(end, "m") for end in ends])
    models = {"chat": PublicModel(name="chat", targets=targets, strategy=Strategy(strategy))}
    prices = tuple(
        [PriceOverride(model=item.id, price=Price(rates=Rates(input=150_000, output=600_000))) for item in targets]
    )
    snapshot = Snapshot(
        digest=f"bench-{count}",
        endpoints={end.name: end for end in ends},
        models=models,
        virtual_keys={},
        pricing=Pricing(overrides=prices),
    )
    call = Call(operation="chat", head=RequestHead(), snapshot=snapshot, model="chat", size=500, stream=True)
    return Facts(call, VirtualKey(name="plain", digest=b"")), Live(snapshot)


class Learning:
    """Requests for a name with an adaptive strategy, all of them answered. One of the targets may have failed."""

    def __init__(self, count: int, *, step_s: float = 0.01, is_degraded: bool = False) -> None:
        self._facts, self._live = _several("adaptive", count)
        if is_degraded:
            self._live = _degraded(self._live, self._live.snapshot.models["chat"].targets[0])
        self._rng, self._now, self._step_s = Random(1), 1.0, step_s
        self.decisions: list[int] = []
        self.fastest_ns = self.learning_ns = 1 << 62

    def measure(self) -> None:
        """Measure a round of decisions."""
        decided, learned, call, paces = list[int](), 0, self._facts.call, self._live.paces
        for _ in range(FEWER):
            self._now += self._step_s
            began_at = perf_counter_ns()
            plan = decide(self._facts, self._live, self._rng, self._now)
            decided_at = perf_counter_ns()
            assert isinstance(plan, Plan)
            item = plan.choices[0].candidate
            asked_at = perf_counter_ns()
            content_at = self._now + 0.0005
            if paces.observes(plan, item, "1-1", self._now, key=plan.choices[0].keys[0]):
                tried = paces.started(plan, item, call, "1-1", self._now, key=plan.choices[0].keys[0])
                paces.content(tried, content_at)
                paces.ended(tried, None, content_at, tokens_out=20, content_at=content_at)
            learned += perf_counter_ns() - asked_at
            decided.append(decided_at - began_at)
        self.decisions += decided
        self.fastest_ns = min(self.fastest_ns, sum(decided) // FEWER)
        self.learning_ns = min(self.learning_ns, learned // FEWER)

    @property
    def p99_ns(self) -> int:
        """The 99th percentile of the decisions, in the best tenth of the run."""
        size = len(self.decisions) // 10
        parts = [sorted(self.decisions[first : first + size]) for first in range(0, 10 * size, size)]
        return min(part[int(size * 0.99)] for part in parts)


def _logging(snapshot: Snapshot) -> Callable[[], int]:
    """Return the rounds of a snapshot that stores three facts with each request, and has no rules."""
    facts = ('headers["x-tier"]', 'params["temperature"]', "team")
    logged = replace(snapshot, logged_facts=facts, read_headers=("x-tier",))
    head = RequestHead(headers={"x-tier": "gold"})
    fields = {"temperature": Raw(b"0.5")}
    call = Call(operation="chat", head=head, snapshot=logged, model="chat", size=500, fields=fields)
    return _rounds(Facts(call, VirtualKey(name="plain", digest=b"", team="blue")), Live(logged))


def _ruled(snapshot: Snapshot, count: int, is_seen: bool) -> Callable[[], int]:
    """Return the rounds of a snapshot with rules that read as many headers, of which none matches. Without `is_seen`,
    one header of each request is new."""
    targets, names = snapshot.models["other"].targets, tuple(f"x-{number}" for number in range(count))
    rules = tuple(
        Rule(name=name, condition=f'headers["{name}"] == "premium" && team != "research"', targets=targets)
        for name in names
    )
    ruled = replace(snapshot, rules=rules, read_headers=names)
    call = Call(operation="chat", head=RequestHead(), snapshot=ruled, model="chat", size=500)
    key = VirtualKey(name="plain", digest=b"", team="blue")

    def facts(number: int) -> Facts:
        head = RequestHead(headers={"x-0": "tier" if is_seen else f"tier-{number}"})
        return Facts(replace(call, head=head), key)

    return _rounds(facts(0), Live(ruled), facts)


def _rounds(facts: Facts, live: Live, of_number: Callable[[int], Facts] | None = None) -> Callable[[], int]:
    """Return a function that measures a round of decisions. `of_number` makes the facts of each request."""
    rng, now, number = Random(1), 1.0, 0

    def measure() -> int:
        nonlocal now, number
        requests = [facts] * DECISIONS
        if of_number is not None:
            requests = [of_number(number + index) for index in range(DECISIONS)]
            number += DECISIONS
        began_at = perf_counter_ns()
        for one in requests:
            now += STEP_S
            decide(one, live, rng, now)
        return (perf_counter_ns() - began_at) // DECISIONS

    assert isinstance(decide(facts, live, rng, now), Plan)
    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    measured = cases()
    fastest = dict.fromkeys(measured, 1 << 62)
    for _ in range(options.rounds):
        for name, measure in measured.items():
            fastest[name] = min(fastest[name], measure())
    adaptive = {
        "adaptive, 4 targets": Learning(4),
        "adaptive, one of 4 targets degraded": Learning(4, is_degraded=True),
        "adaptive, 10 targets": Learning(10),
        "adaptive, 4 targets, heavy traffic": Learning(4, step_s=0.0005),
    }
    for _ in range(options.rounds * 5):
        for one in adaptive.values():
            one.measure()
    fastest |= {name: one.fastest_ns for name, one in adaptive.items()}
    p99 = {name: one.p99_ns for name, one in adaptive.items()}
    learning = {name: one.learning_ns for name, one in adaptive.items()}
    for name, ns in fastest.items():
        more = f"; p99 {p99[name]} ns; {learning[name]} ns to learn" if name in adaptive else ""
        print(f"{ns:6} ns  {ns / fastest['healthy']:5.2f}  {name}{more}")
    if options.json is not None:
        made = {"ns_per_decision": fastest, "p99_ns": p99, "ns_to_learn": learning}
        options.json.write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
