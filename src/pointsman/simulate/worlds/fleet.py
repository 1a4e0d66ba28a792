"""The configuration of a simulated world: its providers as a snapshot for the production core."""

from collections.abc import Mapping, Sequence

from pointsman.domain.dollars import nano_of
from pointsman.domain.limits import Limit, Period
from pointsman.domain.operations import OPERATIONS
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.prices import Price, Rates
from pointsman.domain.snapshots import PriceOverride, Pricing, PublicModel, Routing, Snapshot
from pointsman.domain.targets import Endpoint, ProviderKey, candidate
from pointsman.providers import PROVIDERS
from pointsman.simulate.worlds.physics import Route, Service
from pointsman.simulate.worlds.world import Budget, Key, Provider

MODEL, NAME = "m", "chat"  # of every provider, and the public name of all of them
_PICO = 1_000_000  # pico-dollars a token, of a dollar for a million tokens

Routes = Mapping[tuple[str, str], Route]  # by the ids of candidates and the names of keys


def snapshot_of(
    providers: Sequence[Provider],
    routing: Routing,
    *,
    apart: bool = False,
    prices: Mapping[str, float] | None = None,
    budget: Budget | None = None,
) -> Snapshot:
    """Return the configuration with all providers as the targets of one public name. If they are `apart`, each key is
    a provider of its own. `prices` are the present factors of prices, by provider. `budget` limits one of them."""
    endpoints = {}
    limit = None if budget is None else limit_of(budget)
    overrides = []
    for one in providers:
        for name, keys in _members(one, apart=apart):
            endpoints[name] = Endpoint(
                name=name, type=one.type, origin=Origin("http", f"{one.name}.test", 80), base_path="/v1",
                keys=tuple([ProviderKey(key.name, Secret(""), weight=key.weight) for key in keys]),
                operations=frozenset(OPERATIONS),
                max_concurrency="auto" if PROVIDERS[one.type].is_self_hosted and not apart else None,
                limits=(limit,) if budget is not None and limit is not None and budget.provider == one.name else (),
            )  # fmt: skip
            factor = (prices or {}).get(one.name, 1.0)
            rates = Rates(input=round(one.usd_in * factor * _PICO), output=round(one.usd_out * factor * _PICO))
            overrides.append(PriceOverride(model=f"{name}/{MODEL}", price=Price(rates)))
    weights = {name: one.weight for one in providers for name, _ in _members(one, apart=apart)}
    targets = tuple([candidate(one, MODEL, weights[one.name]) for one in endpoints.values()])
    return Snapshot(
        digest="simulated", endpoints=endpoints, models={NAME: PublicModel(name=NAME, targets=targets)},
        virtual_keys={}, require_key=False, routing=routing, pricing=Pricing(overrides=tuple(overrides)),
    )  # fmt: skip


def limit_of(budget: Budget) -> Limit:
    """Return a budget as a limit of its provider."""
    return Limit(
        level="provider", owner=f"provider:{budget.provider}", metric="usd", period=Period("hour"),
        amount=nano_of(budget.usd),
    )  # fmt: skip


def routes_of(services: Sequence[Service], *, apart: bool = False) -> dict[tuple[str, str], Route]:
    """Return the routes of the world by the names that `snapshot_of` gives them."""
    found = {}
    for one in services:
        for name, keys in _members(one.spec, apart=apart):
            for key in keys:
                route = next(route for route in one.routes if route.key is key)
                found[f"{name}/{MODEL}", key.name] = route
    return found


def _members(one: Provider, *, apart: bool) -> list[tuple[str, tuple[Key, ...]]]:
    """Return the names of the endpoints of a provider, and their keys."""
    if not apart:
        return [(one.name, one.keys)]
    return [(f"{one.name}-{key.name}", (key,)) for key in one.keys]
