"""How well routing keeps prompts at the caches of providers.

    python -m bench.affinity TRACE --json docs/measurements/affinity.json    # two minutes

It replays the conversations of Mooncake (https://github.com/kvcache-ai/Mooncake, `conversation_trace.jsonl`): an hour
of requests with their times and a hash for each block of 512 tokens of their prompts. Plans and learning are those
of the gateway, under a virtual clock. Four equal providers are simulated: each keeps a block for `TTL_S` after its last
use, and needs 0.1 ms for each token that it does not have, beside 0.3 s. Their times are lognormal.

    hit share   the blocks that were in the cache of the provider that served them, over all blocks
    ceiling     the hit share of a single provider that gets all requests
    largest     the share of requests of the provider that gets the most, over the fair share
    input cost  of all prompts, if a cached token costs a tenth, over that without caches
"""

import argparse
import datetime as dt
import heapq
import json
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any, NamedTuple

from msgspec import Raw

from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.plans import Plan, Progress, Try
from pointsman.domain.snapshots import PublicModel, Routing, Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, Strategy, candidate
from pointsman.engine.live import Live
from pointsman.routing.affinity import Affinity
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step

TTL_S = 300.0
BLOCK_TOKENS, BLOCK_BYTES = 512, 2048
FIRST_S, TOKEN_S, SIGMA = 0.3, 1e-4, 0.35
PROVIDERS = "abcd"
UNIX = 1_764_000_000.0
CACHED_PRICE = 0.1


class Arrival(NamedTuple):
    """A request of the trace."""

    at: float
    blocks: tuple[int, ...]


class Case(NamedTuple):
    """A run: its strategy, the number of workers and of keys of each provider, whether caches are read, and the factor
    of the first provider's times in the second third of the hour."""

    strategy: str = "adaptive"
    workers: int = 1
    keys: int = 1
    providers: str = PROVIDERS
    has_affinity: bool = True
    slow: float = 1.0


CASES: Mapping[str, Case] = {
    "single provider (the ceiling)": Case(providers="a"),
    "adaptive": Case(),
    "adaptive, first provider four times slower for 20 minutes": Case(slow=4.0),
    "adaptive, one provider with four keys": Case(providers="a", keys=4),
    "adaptive, four workers that share nothing": Case(workers=4),
    "adaptive without affinity": Case(has_affinity=False),
    "weighted, equal weights": Case(strategy="weighted"),
}


class Cache:
    """The blocks in the cache of a provider, with the times of their last use."""

    def __init__(self) -> None:
        self._used: dict[int, float] = {}

    def use(self, blocks: tuple[int, ...], now: float) -> int:
        """Return how many blocks were there, from the first on, and keep all of them."""
        hits, since = 0, now - TTL_S
        for block in blocks:
            if self._used.get(block, -1e9) < since:
                break
            hits += 1
        self._used.update(dict.fromkeys(blocks, now))
        return hits


@lru_cache(maxsize=200_000)
def _text(block: int) -> bytes:
    return (b"%08d" % block) * (BLOCK_BYTES // 8)


def snapshot_of(case: Case) -> Snapshot:
    """Return the configuration of a case."""
    endpoints = {
        name: Endpoint(
            name=name, type="openai", origin=Origin("http", f"{name}.test", 80), base_path="/v1",
            keys=tuple([ProviderKey(f"k{number}", Secret("")) for number in range(case.keys)]),
            operations=frozenset(OPERATIONS),
        )
        for name in case.providers
    }  # fmt: skip
    targets = tuple(candidate(one, "m") for one in endpoints.values())
    return Snapshot(
        digest="d", endpoints=endpoints, models={"chat": PublicModel(name="chat", targets=targets)}, virtual_keys={},
        require_key=False, routing=Routing(strategy=Strategy(case.strategy)),
    )  # fmt: skip


class Replay:
    """The replay of a trace in one case."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.rng, self.noise = case, Random(seed), Random(seed + 1)
        self.snapshot = snapshot_of(case)
        self.workers = [Live(self.snapshot) for _ in range(case.workers)]
        self.caches: dict[tuple[str, str], Cache] = {}
        self.served: Counter[tuple[str, str]] = Counter()
        self.times: list[float] = []
        self.hits = self.blocks = 0
        self._ends: list[tuple[float, int, Callable[[], None]]] = []

    def run(self, arrivals: list[Arrival]) -> "Replay":
        for number, arrival in enumerate(arrivals):
            while self._ends and self._ends[0][0] <= arrival.at:
                heapq.heappop(self._ends)[2]()
            self._serve(arrival, number)
        return self

    def _serve(self, arrival: Arrival, number: int) -> None:
        now, live = arrival.at, self.rng.choice(self.workers)
        body = b'[{"role":"user","content":"%b"}]' % b"".join([_text(block) for block in arrival.blocks])
        call = Call(
            operation="chat", head=RequestHead(path="/chat/completions"), snapshot=self.snapshot, model="chat",
            size=len(body), stream=True, fields={"messages": Raw(body)},
        )  # fmt: skip
        plan = decide(Facts(call, None, UNIX + now), live, self.rng, now)
        assert isinstance(plan, Plan)
        step = next_step(plan, Progress(), live, now)
        assert isinstance(step, Try)
        self._attempt(arrival, live, plan, step, f"{number}-1")

    def _attempt(self, arrival: Arrival, live: Live, plan: Plan, step: Try, name: str) -> None:
        now, item, key = arrival.at, step.choice.candidate, step.key
        domain = item.endpoint.name, key.name
        hits = self.caches.setdefault(domain, Cache()).use(arrival.blocks, now)
        self.served[domain] += 1
        self.hits += hits
        self.blocks += len(arrival.blocks)
        live.begin(item, now, is_retry=False, key=key)
        call = plan_call(arrival, self.snapshot)
        tried = live.paces.started(plan, item, call, name, now, key=key) if plan.learns else None
        tokens = (len(arrival.blocks) - hits) * BLOCK_TOKENS
        is_slow = item.endpoint.name == "a" and 1200 <= now < 2400
        factor = (self.case.slow if is_slow else 1.0) * self.noise.lognormvariate(0.0, SIGMA)
        took_s = (FIRST_S + TOKEN_S * tokens) * factor
        self.times.append(took_s)

        def end() -> None:
            at, cached = now + took_s, hits * BLOCK_TOKENS
            if tried is not None:
                live.paces.ended(tried, None, at, tokens_out=100, content_at=at, tokens_cached=cached)
            live.finish(item, key, None, at, began_at=now, first_byte_at=at, tokens_out=100, content_at=at)

        heapq.heappush(self._ends, (now + took_s, len(self.times), end))

    def result(self, ceiling: float | None) -> dict[str, float]:
        share = self.hits / self.blocks
        domains = len(self.case.providers) * self.case.keys
        found = {
            "hit_share": round(share, 4),
            "input_cost": round(1 - (1 - CACHED_PRICE) * share, 4),
            "largest_of_fair": round(max(self.served.values()) / self.served.total() * domains, 3),
            "mean_ttft_s": round(fmean(self.times), 4),
        }
        return found if ceiling is None else {"of_ceiling": round(share / ceiling, 4), **found}


def plan_call(arrival: Arrival, snapshot: Snapshot) -> Call:
    """Return a call of the same size, without its text."""
    return Call(
        operation="chat", head=RequestHead(path="/chat/completions"), snapshot=snapshot, model="chat",
        size=len(arrival.blocks) * BLOCK_BYTES + 29, stream=True,
    )  # fmt: skip


def arrivals_of(trace: Path) -> Iterator[Arrival]:
    """Yield the requests of a trace in their order."""
    for line in trace.read_text().splitlines():
        row = json.loads(line)
        yield Arrival(row["timestamp"] / 1000, tuple(row["hash_ids"]))


def measure(case: Case, arrivals: list[Arrival], seeds: range, ceiling: float | None) -> dict[str, float]:
    """Return the means over the seeds."""
    is_needed = Affinity.match
    if not case.has_affinity:
        Affinity.match = lambda *_: None  # type: ignore[method-assign]
    try:
        rows = [Replay(case, seed).run(arrivals).result(ceiling) for seed in seeds]
    finally:
        Affinity.match = is_needed  # type: ignore[method-assign]
    return {name: round(fmean([row[name] for row in rows]), 4) for name in rows[0]}


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.affinity", description="Prompts and caches of providers.")
    parser.add_argument("trace", type=Path, help="conversation_trace.jsonl of Mooncake")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    arrivals = list(arrivals_of(given.trace))
    rows: dict[str, Any] = {}
    ceiling = None
    for name, case in CASES.items():
        rows[name] = measure(case, arrivals, range(100, 100 + given.seeds), ceiling)
        ceiling = ceiling or rows[name]["hit_share"]
        print(f"{name:58}", ", ".join(f"{key} {value:g}" for key, value in rows[name].items()))
    if given.json is not None:
        made = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "python": platform.python_version()}
        found = {**made, "requests": len(arrivals), "seeds": given.seeds, "cases": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
