"""Checks the strategy `cheapest` against a brute force, and measures its decisions beside those of `priority`.

    python -m bench.cheapest --json docs/measurements/cheapest.json    # some twenty seconds

A case is a random request at random offers: prices with steps, service tiers and fees, learned answers and cached
shares, media, several answers, bounds of cost and time. `expected_order` computes the right order from the case alone.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from random import Random
from time import process_time_ns

import msgspec
from msgspec import Raw

from pointsman.domain.calls import Call, Facts, Media, RequestHead
from pointsman.domain.operations import OPERATIONS, Operation
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.outcomes import Usage
from pointsman.domain.plans import Plan
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, PublicModel, Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, Strategy, candidate
from pointsman.engine.live import Live
from pointsman.money.charges import Answers
from pointsman.routing.decide import decide
from pointsman.routing.readings import Reading
from pointsman.routing.strategies.cheapest import CheapestSettings

CASES = 20_000
DECISIONS = 2_000
ROUNDS = 50
MOST_OFFERS = 6
IMAGE, USUAL, PRIOR, MOST_SEEN = 1_000, 500, 4, 16  # as the guide documents them

PlainRates = dict[str, int]


@dataclass
class Offer:
    """A target with its price in pico-dollars per token, and the answers that it gave so far, all alike."""

    name: str
    weight: float = 1.0
    rates: PlainRates | None = None  # the price is unknown
    steps: list[tuple[int, PlainRates]] = field(default_factory=list)
    tiers: dict[str, PlainRates] = field(default_factory=dict)
    fee_nano: int = 0
    answers: int = 0
    answer_tokens: int = 0
    cached: float = 0.0
    ttft_s: float | None = None


@dataclass
class Case:
    """A request, its offers, and the settings of the strategy."""

    offers: list[Offer]
    size: int = 400
    images: int = 0
    image_bytes: int = 0
    max_tokens: int | None = None
    choices: int = 1
    tier: str | None = None
    operation: Operation = "chat"
    max_ttft_s: float | None = None
    max_usd: float | None = None


def random_case(rng: Random) -> Case:
    def rates() -> PlainRates:
        found = {"input": rng.randrange(0, 20_000_001), "output": rng.randrange(0, 80_000_001)}
        if rng.random() < 0.5:
            found["cache_read"] = found["input"] // rng.choice((2, 4, 10))
        return found

    def offer(number: int) -> Offer:
        made = Offer(f"p{number}", rng.choice((0.5, 1.0, 2.0)))
        if rng.random() < 0.9:
            made.rates = rates()
            made.fee_nano = rng.choice((0, 0, rng.randrange(50_000_000)))
            made.steps = [(start, rates()) for start in sorted(rng.sample(range(1, 9_000), rng.choice((0, 0, 1, 2))))]
            made.tiers = {tier: rates() for tier in ("flex", "priority") if rng.random() < 0.5}
        if rng.random() < 0.5:
            made.answers, made.answer_tokens = rng.randrange(1, 40), rng.choice((1, 60, 700, 5_000))
            made.cached = rng.choice((0.0, 0.0, 0.25, 0.75))
        if rng.random() < 0.5:
            made.ttft_s = rng.choice((0.2, 1.0, 3.0))
        return made

    image_bytes = rng.choice((0, 0, 3_000))
    case = Case(
        [offer(number) for number in range(rng.randrange(1, MOST_OFFERS + 1))],
        size=image_bytes + rng.choice((40, 400, rng.randrange(2, 40_000))),
        images=rng.randrange(1, 4) if image_bytes else 0,
        image_bytes=image_bytes,
        max_tokens=rng.choice((None, 16, rng.randrange(1, 8_000))),
        choices=rng.choice((1, 1, 2, 5)),
        tier=rng.choice((None, None, "flex", "priority", "auto")),
        operation=rng.choice(("chat", "chat", "completion", "responses", "embedding")),
        max_ttft_s=rng.choice((None, 0.5, 2.0)),
        max_usd=rng.choice((None, None, 0.02, 0.2)),
    )
    if rng.random() < 0.2:  # equal costs: weights decide
        for one in case.offers:
            first = case.offers[0]
            one.rates, one.steps, one.tiers, one.fee_nano = first.rates, first.steps, first.tiers, first.fee_nano
    return case


# The brute force.


def costs_of(case: Case, offers: Sequence[Offer]) -> dict[str, int | None]:
    """Return the expected cost of a request at each offer in nano-dollars, by the text of the guide."""
    tokens_in = max(ceil((case.size - case.image_bytes) / 4) + case.images * IMAGE, 1)
    counted = [(offer.answer_tokens, min(offer.answers, MOST_SEEN)) for offer in offers if offer.answers]
    seen = sum(count for _, count in counted)
    usual = sum(float(tokens) * count for tokens, count in counted) / seen if seen else USUAL
    found: dict[str, int | None] = {}
    for offer in offers:
        if offer.rates is None:
            found[offer.name] = None
            continue
        rates = offer.rates
        if case.tier in offer.tiers:
            rates = offer.tiers[case.tier]
        else:
            for start, higher in offer.steps:
                rates = higher if tokens_in >= start else rates
        each: float = usual
        if offer.answers:
            count = min(offer.answers, MOST_SEEN)
            each = (offer.answer_tokens * count + usual * PRIOR) / (count + PRIOR)
        if case.max_tokens is not None:
            each = min(each, case.max_tokens)
        tokens_out = 0 if case.operation == "embedding" else round(each * case.choices)
        cached = round(tokens_in * offer.cached) if offer.answers else 0
        pico = (tokens_in - cached) * rates["input"] + cached * rates.get("cache_read", rates["input"])
        found[offer.name] = ceil((pico + tokens_out * rates["output"]) / 1000) + offer.fee_nano
    return found


def expected_order(case: Case) -> list[str]:
    """Return the right order: every pair of neighbours is compared, until none is out of order."""
    offers = list(case.offers)
    if case.max_usd is not None:
        costs = costs_of(case, offers)
        most = case.max_usd * 1e9
        offers = [one for one in offers if (cost := costs[one.name]) is not None and cost <= most]
    costs = costs_of(case, offers)

    def is_before(one: Offer, other: Offer) -> bool:
        late, others_late = _is_late(one, case), _is_late(other, case)
        if late is not others_late:
            return not late
        cost, others = costs[one.name], costs[other.name]
        if cost is None or others is None:
            return (others is None and cost is not None) or (cost is others and one.weight > other.weight)
        return cost < others or (cost == others and one.weight > other.weight)

    is_sorted = False
    while not is_sorted:
        is_sorted = True
        for place in range(len(offers) - 1):
            if is_before(offers[place + 1], offers[place]):
                offers[place : place + 2] = offers[place + 1], offers[place]
                is_sorted = False
    return [offer.name for offer in offers]


def _is_late(offer: Offer, case: Case) -> bool:
    return case.max_ttft_s is not None and offer.ttft_s is not None and offer.ttft_s > case.max_ttft_s


# The same case for the gateway.


def decided_order(case: Case) -> list[str]:
    """Return the order of the gateway's plan; empty if it rejects the request."""
    facts, live = _request_of(case, "cheapest")
    plan = decide(facts, live, Random(1), 1.0)
    return [choice.candidate.endpoint.name for choice in plan.choices] if isinstance(plan, Plan) else []


def _request_of(case: Case, strategy: str) -> tuple[Facts, Live]:
    targets = [candidate(_endpoint(offer.name), "m", offer.weight) for offer in case.offers]
    settings = CheapestSettings(case.max_ttft_s, case.max_usd) if strategy == "cheapest" else None
    model = PublicModel(name="chat", targets=tuple(targets), strategy=Strategy(strategy, settings))
    snapshot = Snapshot(
        digest="bench",
        endpoints={item.endpoint.name: item.endpoint for item in targets},
        models={"chat": model},
        virtual_keys={},
        pricing=Pricing(
            overrides=tuple([PriceOverride(model=f"{one.name}/m", price=_price_of(one)) for one in case.offers])
        ),
    )
    live = Live(snapshot)
    for offer in case.offers:
        if offer.answers:
            answers = live.answers[f"{offer.name}/m"] = Answers()
            for _ in range(offer.answers):
                answers.add(Usage(100, offer.answer_tokens, int(100 * offer.cached)))
        if offer.ttft_s is not None:
            for name in {"chat", case.operation}:
                subject = f"{offer.name}/m" if name == "chat" else f"{offer.name}/m\t{name}"
                live.readings[subject] = Reading(0.0, 1, content_s=offer.ttft_s)
    fields = {"service_tier": Raw(msgspec.json.encode(case.tier))} if case.tier is not None else {}
    call = Call(
        operation=case.operation,
        head=RequestHead(),
        snapshot=snapshot,
        model="chat",
        fields=fields,
        size=case.size,
        max_tokens=case.max_tokens,
        choices=case.choices,
        answers=case.choices,
        media=Media(case.images, case.images * 50_000, case.image_bytes),
    )
    return Facts(call), live


def _endpoint(name: str) -> Endpoint:
    return Endpoint(
        name=name,
        type="openai",
        origin=Origin("http", f"{name}.test", 80),
        base_path="/v1",
        keys=(ProviderKey("k1", Secret("s")),),
        operations=frozenset(OPERATIONS),
    )


def _price_of(offer: Offer) -> Price | None:
    if offer.rates is None:
        return None
    above = tuple([(start, Rates(**rates)) for start, rates in offer.steps])
    tiers = {name: Rates(**rates) for name, rates in offer.tiers.items()}
    return Price(Rates(**offer.rates), above, tiers, offer.fee_nano)


# The figures.


def microseconds(targets: int, strategy: str) -> Callable[[], float]:
    """Return a measurement of one decision with so many targets, each with a price and earlier answers."""
    rng = Random(targets)
    offers = [
        Offer(f"p{number}", rates={"input": rng.randrange(1, 10**6), "output": rng.randrange(1, 10**7)}, answers=9)
        for number in range(targets)
    ]
    facts, live = _request_of(Case(offers, size=2_000), strategy)

    def measure() -> float:
        began_at = process_time_ns()
        for _ in range(DECISIONS):
            decide(facts, live, rng, 1.0)
        return (process_time_ns() - began_at) / DECISIONS / 1000

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    options = parser.parse_args()
    rng = Random(14)
    cases = [random_case(rng) for _ in range(options.cases)]
    violations = [case for case in cases if decided_order(case) != expected_order(case)]
    rejected = sum(not expected_order(case) for case in cases)
    print(f"{len(cases)} cases, {rejected} of them rejected, {len(violations)} violations", *violations[:3], sep="\n")
    measured = {
        f"{strategy}, {targets} targets": microseconds(targets, strategy)
        for targets in (2, 4, 16)
        for strategy in ("priority", "cheapest")
    }
    fastest = dict.fromkeys(measured, float("inf"))
    for _ in range(ROUNDS):
        for name, measure in measured.items():
            fastest[name] = min(fastest[name], measure())
    for name, took_us in fastest.items():
        print(f"{took_us:6.2f} µs  {name}")
    if options.json is not None:
        figures = {
            "cases": len(cases),
            "rejected": rejected,
            "violations": len(violations),
            "us_per_decision": {name: round(took_us, 2) for name, took_us in fastest.items()},
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
