"""The user's own configuration as a simulated world: the targets of one public name, with assumed speeds and limits.

A configuration says nothing of the speed of its providers. Until a log or an option tells it, the first target takes
0.4 s to the first content, and each further one a quarter longer. Self-hosted engines serve 16 requests at once
without getting slower by much. Each provider admits twice the traffic, divided among its keys.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import asdict, replace

from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.money.terms import known_terms
from pointsman.providers import PROVIDERS
from pointsman.simulate.worlds.contender import Contender, adaptive_contender, is_adaptive
from pointsman.simulate.worlds.scenarios import BEST
from pointsman.simulate.worlds.world import Fault, Key, Provider, Scenario

FIRST_S, STEP = 0.4, 1.25
ENGINE_CONCURRENCY, CONCURRENCY = 16.0, 400.0
ROOM = 2.0  # of the traffic, that each provider admits
_TOKENS = 2300  # for each request, in the limits of keys
_PER_DOLLAR = 1_000_000  # pico-dollars for a token are dollars for a million tokens


def providers_of(
    snapshots: Sequence[Snapshot], model: str, rate: float, speeds: Mapping[str, float]
) -> tuple[Provider, ...]:
    """Return the targets and fallbacks of a public name in some configurations as providers, which are named by their
    ids. `rate` is the traffic in requests a second, and `speeds` has known times to the first content, in seconds."""
    candidates: dict[str, tuple[Candidate, Snapshot]] = {}
    keys: dict[str, dict[str, float]] = {}
    for snapshot in snapshots:
        public = snapshot.models[model]
        for item in (*public.targets, *public.fallbacks):
            candidates.setdefault(item.id, (item, snapshot))
            keys.setdefault(item.id, {}).update({key.name: key.weight for key in item.keys})
    found = []
    for place, (name, (item, snapshot)) in enumerate(candidates.items()):
        if not keys[name]:
            continue
        price, kind = known_terms(None, item, snapshot).price, item.endpoint.type
        requests = max(ROOM * rate * 60 / len(keys[name]), 6.0)
        found.append(
            Provider(
                name=name, first_s=speeds.get(name, FIRST_S * STEP**place), type=kind, weight=item.weight,
                usd_in=price.rates.input / _PER_DOLLAR if price is not None else 0.0,
                usd_out=price.rates.output / _PER_DOLLAR if price is not None else 0.0,
                concurrency=ENGINE_CONCURRENCY if PROVIDERS[kind].is_self_hosted else CONCURRENCY,
                keys=tuple([Key(key, requests, requests * _TOKENS, weight) for key, weight in keys[name].items()]),
            )
        )  # fmt: skip
    return tuple(found)


def configured(name: str, snapshot: Snapshot, model: str) -> Contender:
    """Return the configuration itself as a router."""
    return Contender(name=name, snapshot=snapshot, model=model)


def repriced(snapshot: Snapshot, model: str, factors: Mapping[str, float]) -> Snapshot:
    """Return the configuration with the known prices of some targets multiplied by these factors."""
    if not factors:
        return snapshot
    public, overrides = snapshot.models[model], list[PriceOverride]()
    for item in (*public.targets, *public.fallbacks):
        price = known_terms(None, item, snapshot).price
        if item.id in factors and price is not None:
            overrides.append(PriceOverride(model=item.id, price=_scaled(price, factors[item.id])))
    pricing = replace(snapshot.pricing, overrides=(*overrides, *snapshot.pricing.overrides))
    return replace(snapshot, pricing=pricing)


def _scaled(price: Price, factor: float) -> Price:
    def scaled(rates: Rates) -> Rates:
        known = {name: rate for name, rate in asdict(rates).items() if rate is not None}
        return replace(rates, **{name: round(rate * factor) for name, rate in known.items()})

    return replace(
        price,
        rates=scaled(price.rates),
        above=tuple([(tokens, scaled(rates)) for tokens, rates in price.above]),
        request_nano=round(price.request_nano * factor),
    )


def with_strategy(like: Contender, snapshot: Snapshot, model: str) -> Contender:
    """Return the configuration with the strategy of a router of the core. The adaptive one weighs costs, as it does by
    default. The duplicates are those of the router if it has any, else those of the configuration."""
    public, strategy = snapshot.models[model], like.strategy
    assert strategy is not None
    if is_adaptive(like):
        strategy = adaptive_contender("balanced").strategy
        assert strategy is not None
    routing = replace(public.routing or snapshot.routing, strategy=strategy)
    if like.duplicates is not None or like.racing is not None:
        routing = replace(routing, hedging=like.duplicates, racing=like.racing)
    changed = replace(public, strategy=strategy, routing=routing)
    changed_snapshot = replace(snapshot, models={**snapshot.models, public.name: changed})
    return Contender(name=like.name, snapshot=changed_snapshot, model=model)


class ScenarioError(Exception):
    """A scenario would change nothing for these targets."""


def placed(scenario: Scenario, providers: Sequence[Provider], faulty: str = "") -> Scenario:
    """Return a curated scenario with these providers. Its faults are those of `faulty`, by default the fastest. Raise
    `ScenarioError` if it has a budget or changes a price that is not known."""
    if scenario.budget is not None:
        raise ScenarioError(
            f"{scenario.name!r} sets a budget of the benchmark's own providers; set a budget of the provider in the "
            "configuration, and choose another scenario, such as `steady`: it counts there"
        )
    names = [one.name for one in sorted(providers, key=lambda one: one.first_s)]
    best = faulty or names[0]
    first = next(one for one in providers if one.name == best)
    first_key = first.keys[0].name
    if any(one.price != 1.0 for one in scenario.faults) and not first.usd_in and not first.usd_out:
        raise ScenarioError(
            f"{scenario.name!r} changes a price, but that of {best} is not known; set it in `pricing.overrides`, or "
            "name another target with --faulty"
        )
    faults: list[Fault] = []
    for one in scenario.faults:
        key = first_key if one.key else ""
        faults.append(replace(one, provider=best, key=key) if one.provider == BEST else one)
    watched = best if scenario.watched else ""
    return replace(scenario, providers=tuple(providers), faults=tuple(faults), watched=watched)
