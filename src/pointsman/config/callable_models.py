"""The models that a configuration can call: each at each provider key, with the names that a client may write, or with
the reason that it cannot be called.

The models of a provider are those of the catalog and of its own list, its deployments, the targets of public names, and
the exact names in `serves`. Holds of operators and the health of providers are not part of a configuration.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from pointsman.domain.geographies import is_abroad
from pointsman.domain.operations import Operation
from pointsman.domain.origin import Secret
from pointsman.domain.prices import ModelFacts, Price, written_name
from pointsman.domain.requirements import merged
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate, Endpoint, ProviderKey, candidate
from pointsman.money.terms import terms_of
from pointsman.providers import PROVIDERS
from pointsman.routing.compliance import lacking
from pointsman.routing.router import router_of

_GLOBS = frozenset("*?[")
# The operations that make what a model gives, if that is nothing else.
_MADE_BY: Mapping[tuple[str, ...], tuple[Operation, ...]] = {
    ("embedding",): ("embedding",),
    ("score",): ("rerank", "moderation"),
    ("image",): ("image",),
    ("audio",): ("audio",),
}


class CallableModel(Struct, frozen=True, kw_only=True):
    """One model at one provider key. `model` is the provider's name in the catalog, and `sent` the name that the server
    gets. `names` are those that a client may write; `reason` is empty if it can be called. `price` is the one without a
    virtual key, `None` if it is unknown, and `price_source` where it is from. `tags` are those of the key."""

    provider: str
    key: str
    model: str
    sent: str
    names: tuple[str, ...]
    price: Price | None
    price_source: str
    tags: tuple[str, ...]
    facts: ModelFacts | None
    reason: str


def callable_models(snapshot: Snapshot, unix_s: float) -> list[CallableModel]:
    """Return every model at every provider key of a configuration, in its order."""
    public = _public_names(snapshot)
    found: list[CallableModel] = []
    for endpoint in snapshot.endpoints.values():
        for model in _models_of(endpoint, snapshot):
            item = candidate(endpoint, model)
            facts = snapshot.pricing.catalog.find(endpoint.catalog, model)
            names = (*public.get(item.id, ()), *_bare_names(item, facts, snapshot), item.id)
            terms = terms_of(None, item, snapshot)
            found += [
                CallableModel(
                    provider=endpoint.name,
                    key=key.name,
                    model=model,
                    sent=item.model_at(key),
                    names=tuple(dict.fromkeys(names)),
                    price=terms.price,
                    price_source=terms.price_source,
                    tags=_tags(endpoint, key),
                    facts=facts,
                    reason=_reason(item, key, facts, snapshot, unix_s),
                )
                for key in endpoint.keys
            ]
    return found


def _models_of(endpoint: Endpoint, snapshot: Snapshot) -> Iterable[str]:
    found = dict.fromkeys(endpoint.deployments)
    for key in endpoint.keys:
        found |= dict.fromkeys(key.deployments)
    for one in snapshot.models.values():
        found |= dict.fromkeys(item.model for item in (*one.targets, *one.fallbacks) if item.endpoint is endpoint)
    found |= dict.fromkeys(name for name in endpoint.serves if _GLOBS.isdisjoint(name))
    if not endpoint.has_deployments or not any(key.is_deployed_only for key in endpoint.keys):
        found |= dict.fromkeys(name for names in endpoint.listed.values() for name in names)
        found |= dict.fromkeys(snapshot.pricing.catalog.models(endpoint.catalog))
    return found


def _public_names(snapshot: Snapshot) -> dict[str, list[str]]:
    """Return the public names that lead to each target. A target of weight 0 is drained."""
    found: dict[str, list[str]] = {}
    for one in snapshot.models.values():
        for item in (*one.targets, *one.fallbacks):
            if item.weight > 0:
                found.setdefault(item.id, []).append(one.name)
    return found


def _bare_names(item: Candidate, facts: ModelFacts | None, snapshot: Snapshot) -> Iterator[str]:
    """Yield the names without a provider that lead to a target, unless they are public names."""
    canonical = written_name(facts, item.endpoint.catalog, item.model) if facts is not None else item.model
    for name in dict.fromkeys((canonical, item.model)):
        resolved = router_of(snapshot).resolve(name) if name not in snapshot.models else None
        if resolved is not None and any(target.id == item.id for target in resolved.targets):
            yield name


def _tags(endpoint: Endpoint, key: ProviderKey) -> tuple[str, ...]:
    own = {**endpoint.tags, **key.tags}
    return tuple(f"{name}={value.value}" for name, values in sorted(own.items()) for value in values)


def _reason(item: Candidate, key: ProviderKey, facts: ModelFacts | None, snapshot: Snapshot, unix_s: float) -> str:
    """Return the reason that a model cannot be called with a key; empty if it can."""
    endpoint, record = item.endpoint, PROVIDERS[item.endpoint.type]
    if key.weight <= 0:
        return "drained: the weight of the key is 0"
    if record.needs_key and key.credential == Secret("") and f"//{endpoint.origin.host}" in (record.base_url or ""):
        return "no key: its value is empty"
    if item.model in key.lacks or (key.is_deployed_only and item.model not in key.deployments):
        return "the key has no deployment of it"
    if not key.serves_model(item.model):
        return "it is not in `serves` of the key"
    made_by = _MADE_BY.get(facts.modalities_out, ()) if facts is not None else ()
    if made_by and endpoint.operations.isdisjoint(made_by):
        return f"no operation: the gateway has no {' or '.join(made_by)} of {record.title}"
    if facts is not None and item.model_at(key) == item.model and is_abroad(endpoint.region, facts.region):
        return f"the profile belongs to other regions than {endpoint.region}"
    return lacking(item, key, merged(snapshot.require, item.require), unix_s) or ""
