"""Measures a paced budget on a recorded trace of requests, beside other rules for the same budget.

    python -m bench.pacing --json docs/measurements/pacing.json    # three minutes

The trace is an hour of conversations of 2023 (https://github.com/Azure/AzurePublicDataset): arrival times, tokens of
prompts and of answers. A premium and a cheap model could serve each request, at the catalog's prices. Each has a value
if the premium model serves it, drawn by a seed, and none otherwise. The budget is well below the cost of the premium
model for all. Configuration, rules, decisions, reservations and charges are the gateway's own; only providers and time
are simulated.

`value` is the captured part of the value that hindsight could have: the fractional knapsack of all requests with their
real costs, which no rule can exceed. A rule does not know the length of an answer before it comes. `denied` counts
requests that found no room in the budget at either model. `spent` is the used part of the budget.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from datetime import datetime
from heapq import heappop, heappush
from math import log
from pathlib import Path
from random import Random
from typing import NamedTuple

from pointsman.config.compile import compile_document
from pointsman.config.load import load
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.dollars import NANO
from pointsman.domain.limits import Limit
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.verdicts import Reason
from pointsman.engine.billing import Billing
from pointsman.engine.live import Live
from pointsman.money.charges import charge_reported
from pointsman.money.ledger import Ledger, Reservation
from pointsman.money.pricing import cost_nano
from pointsman.money.terms import terms_of
from pointsman.money.usage import UsedAmounts
from pointsman.routing.decide import decide

TRACE = Path(__file__).parents[2] / "shared/data/traces/azure_llm_2023_conversation.csv"
PREMIUM, CHEAP = "openai/gpt-4o", "openai/gpt-4o-mini"
HOUR_S = 3600.0
LONGEST = 1024  # tokens: the bound on answers that clients set
BUDGET = 0.225  # the budget's place between the cost of the cheap model for all requests and that of the premium one
CLASSES = 24  # of value, each with a rule
LEAST, MOST = 0.005, 1.0  # the values of the first and the last class
HEAD_S, TOKEN_S = 0.5, 0.012  # the time of an answer
DELAY_S = 1.0  # the age of the amounts that other workers used

CONFIGURATION = """
version: 1
providers: {{openai: env.BENCH_KEY}}
models: {{chat: [{premium}, {cheap}]}}
routing:
  rules:
{rules}
governance:
  virtual_keys:
    bench:
      value: env.BENCH_KEY
      budgets: [{{limit_usd: {limit_usd}, per: hour, paced: {paced}}}]
"""


class Request(NamedTuple):
    """A request of the trace. `at_s` is within the hour, and `kind` is its class of value."""

    at_s: float
    tokens_in: int
    tokens_out: int
    value: float
    kind: int


class Outcome(NamedTuple):
    """The outcome of one hour."""

    value: float
    spent: float
    denied: int


class Delayed:
    """The used amounts of limits as another worker's reports show them: at most `DELAY_S` old."""

    def __init__(self, amounts: UsedAmounts) -> None:
        self._amounts = amounts
        self._known: dict[Limit, tuple[float, int | None]] = {}

    def used(self, limit: Limit, unix_s: float) -> int | None:
        at, amount = self._known.get(limit, (-DELAY_S, None))
        if unix_s >= at + DELAY_S:
            amount = self._amounts.used(limit, unix_s)
            self._known[limit] = unix_s, amount
        return amount


def read_trace() -> list[tuple[float, int, int]]:
    """Return the arrival time, stretched to an hour, and the tokens of each request."""
    with TRACE.open() as file:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp(), row["ContextTokens"], row["GeneratedTokens"])
            for row in csv.DictReader(file)
        ]
    first, last = rows[0][0], rows[-1][0]
    stretch = (HOUR_S - 1) / (last - first)
    return [((at - first) * stretch, int(before), min(int(after), LONGEST)) for at, before, after in rows]


def class_value(kind: int) -> float:
    """Return the value that the rule of a class sets."""
    return float(LEAST * (MOST / LEAST) ** (kind / (CLASSES - 1)))


def draw(trace: Sequence[tuple[float, int, int]], seed: int, *, rises: bool) -> list[Request]:
    """Draw the value of each request. If it `rises`, it is 1.6 times as high in the busiest third of the hour."""
    rng = Random(seed)
    drawn = []
    for at_s, tokens_in, tokens_out in trace:
        value = max(0.0, rng.gauss(0.15, 0.15)) * (1.6 if rises and 1230 < at_s < 2260 else 1.0)
        place = log(max(value, LEAST) / LEAST) / log(MOST / LEAST) * (CLASSES - 1)
        drawn.append(Request(at_s, tokens_in, tokens_out, value, min(round(place), CLASSES - 1)))
    return drawn


def configuration(limit_usd: float, rules: str, *, paced: bool) -> Snapshot:
    """Compile a configuration with a budget and rules."""
    text = CONFIGURATION.format(
        premium=PREMIUM, cheap=CHEAP, rules=rules, limit_usd=f"{limit_usd:.6f}", paced=str(paced).lower()
    )
    outcome = compile_document(load(text.encode()), Path(), {"BENCH_KEY": "pm-key-of-the-benchmark-only"})
    assert outcome.compiled is not None, [str(problem) for problem in outcome.problems]
    return outcome.compiled.snapshot


HINTS = "\n".join(
    f'    - {{name: worth-{kind}, when: \'request_tags["worth"] == "{kind}"\', value: {class_value(kind):.6f}}}'
    for kind in range(CLASSES)
)
THRESHOLD = f"    - {{name: save, when: 'budget_used.virtual_key >= 80.0', model: {CHEAP}}}"
NOTHING = "    []"

RULES = {
    "paced, with values": (HINTS, True),
    "paced, without values": (NOTHING, True),
    "premium until the budget is used up": (NOTHING, False),
    "rule: cheap from 80 % on": (THRESHOLD, False),
}


class Gateway:
    """Workers that share a budget. Each has a state of its own, and they see each other's spending late."""

    def __init__(self, snapshot: Snapshot, workers: int, seed: int) -> None:
        self._snapshot = snapshot
        (self._key,) = snapshot.virtual_keys.values()
        self._heads = [RequestHead(tags={"worth": str(kind)}) for kind in range(CLASSES)]
        self._ledger = Ledger()
        self._rng = Random(seed)
        self._workers: list[tuple[Live, Billing]] = []
        for _ in range(workers):
            live = Live(snapshot)
            live.workers = workers
            amounts = UsedAmounts(self._ledger)
            live.amounts = amounts if workers == 1 else Delayed(amounts)
            self._workers.append((live, Billing(live, self._ledger, None, None)))

    def play(self, requests: Sequence[Request], start_s: float) -> Outcome:
        """Serve an hour of requests. Those that are still running at its end are settled in it."""
        running: list[tuple[float, int, str, int, int]] = []
        value, nano, denied = 0.0, 0, 0
        for number, request in enumerate(requests):
            now = start_s + request.at_s
            while running and running[0][0] <= now:
                _, _, attempt_id, cost, tokens = heappop(running)
                self._ledger.settle(attempt_id, cost, tokens)
            attempt_id = f"{start_s:.0f}-{number}"
            served = self._serve(request, attempt_id, now)
            if served is None:
                denied += 1
                continue
            model, cost = served
            nano += cost
            value += request.value if model == PREMIUM else 0.0
            ends_at = now + HEAD_S + TOKEN_S * request.tokens_out
            heappush(running, (ends_at, number, attempt_id, cost, request.tokens_in + request.tokens_out))
        for _, _, attempt_id, cost, tokens in running:
            self._ledger.settle(attempt_id, cost, tokens)
        return Outcome(value, nano / self._key.limits[0].amount, denied)

    def _serve(self, request: Request, attempt_id: str, now: float) -> tuple[str, int] | None:
        """Reserve at the first candidate with room. Return its name and the cost, or `None` if no room is left."""
        live, billing = self._workers[0] if len(self._workers) == 1 else self._rng.choice(self._workers)
        call = Call(
            operation="chat",
            head=self._heads[request.kind],
            snapshot=self._snapshot,
            model="chat",
            size=4 * request.tokens_in,
            max_tokens=LONGEST,
        )
        plan = decide(Facts(call, self._key, now), live, self._rng, now)
        assert isinstance(plan, Plan), plan.message
        for choice in plan.choices:
            terms = billing.terms_cache.find(self._snapshot, self._key, choice.candidate)
            bounded = terms.bounded(call)
            assert not isinstance(bounded, Reason)
            bound = bounded[1]
            found = self._ledger.reserve(terms.account, attempt_id, bound.nano, bound.tokens, ordinal=1, now_unix_s=now)
            if isinstance(found, Reservation):
                usage = Usage(request.tokens_in, request.tokens_out)
                return choice.candidate.id, charge_reported(call, terms.tariff, bound, usage, is_complete=True).nano
        return None


def costs_of(requests: Sequence[Request], snapshot: Snapshot) -> list[tuple[int, int]]:
    """Return the real costs of each request at both models, in nano-dollars."""
    found = {item.id: terms_of(None, item, snapshot).price for item in snapshot.models["chat"].targets}
    premium, cheap = found[PREMIUM], found[CHEAP]
    assert premium is not None
    assert cheap is not None
    usages = [Usage(request.tokens_in, request.tokens_out) for request in requests]
    return [(cost_nano(premium, usage), cost_nano(cheap, usage)) for usage in usages]


def best_value(requests: Sequence[Request], costs: Sequence[tuple[int, int]], limit_nano: float) -> float:
    """Return the most value that a budget can buy if all requests are known before."""
    left, value = limit_nano - sum(cheap for _, cheap in costs), 0.0
    extra = [(request.value, premium - cheap) for request, (premium, cheap) in zip(requests, costs, strict=True)]
    for worth, more in sorted(extra, key=lambda pair: -pair[0] / pair[1]):
        part = min(1.0, left / more)
        value += worth * part
        left -= more * part
        if part < 1.0:
            break
    return value


def measure(trace: Sequence[tuple[float, int, int]], seeds: int, *, rises: bool) -> dict[str, dict[str, object]]:
    """Return the mean outcome of each rule in its first and its second hour, for several seeds."""
    rows: dict[str, dict[str, object]] = {}
    for name, (rules, paced) in RULES.items():
        for workers in (1, 4) if paced and rules is HINTS else (1,):
            hours: list[list[Outcome]] = [[], []]
            for seed in range(seeds):
                drawn = [draw(trace, seed + 1000 * hour, rises=rises) for hour in range(2)]
                costs = costs_of(drawn[0], configuration(1.0, NOTHING, paced=False))
                premium, cheap = (sum(pair[place] for pair in costs) for place in (0, 1))
                limit_nano = cheap + BUDGET * (premium - cheap)
                gateway = Gateway(configuration(limit_nano / NANO, rules, paced=paced), workers, seed)
                for hour, requests in enumerate(drawn):
                    outcome = gateway.play(requests, hour * HOUR_S)
                    best = best_value(requests, costs, limit_nano)
                    hours[hour].append(Outcome(outcome.value / best, outcome.spent, outcome.denied))
            label = name if workers == 1 else f"{name}, {workers} workers"
            rows[label] = {key: _mean(hour) for key, hour in zip(("first hour", "second hour"), hours, strict=True)}
            print(f"{label:45} {rows[label]}", flush=True)
    return rows


def _mean(outcomes: Sequence[Outcome]) -> dict[str, float]:
    count = len(outcomes)
    return {
        "value": round(sum(one.value for one in outcomes) / count, 3),
        "spent": round(sum(one.spent for one in outcomes) / count, 4),
        "denied": round(sum(one.denied for one in outcomes) / count, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    if not TRACE.exists():
        raise SystemExit(f"SKIPPED: the trace {TRACE.name} is not beside this repository")
    trace = read_trace()
    result: dict[str, object] = {"requests": len(trace), "premium": PREMIUM, "cheap": CHEAP, "seeds": options.seeds}
    for name, rises in (("values independent of time", False), ("values higher in the busiest third", True)):
        print(name)
        result[name] = measure(trace, options.seeds, rises=rises)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
