"""The rejection of a name that nothing serves: it says why, and lists names that are near it."""

from collections.abc import Callable, Iterator

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.prices import written_name
from pointsman.domain.provider_prefixes import VENDORS
from pointsman.domain.snapshots import Names, PublicModel, Snapshot
from pointsman.routing.model_rights import is_allowed
from pointsman.routing.names import FREE, absent_provider
from pointsman.routing.near_names import NearNames
from pointsman.routing.wording import either, listed

Resolve = Callable[[str], PublicModel | None]
_MOST_PROVIDERS = 4  # in a message
_FIREWORKS = "accounts/fireworks/"  # in front of its names, https://docs.fireworks.ai/getting-started/concepts
_GLOBS = frozenset("*?[")


def model_not_found(
    model: str, snapshot: Snapshot, param: str, resolve: Resolve, key: VirtualKey | None = None
) -> Failure:
    """Return the 404 for an unknown name, with names that would have worked for this virtual key."""
    near = guess(model, snapshot, resolve, key)
    absent = providers_to_add(model, snapshot)
    message = f"the model {model!r} does not exist here{near}"
    if absent:
        message += f"{'' if near else '.'} It is served by {listed(absent)}, which this gateway has not configured."
    elif not near:
        message += "."
    names = listed(one for one in snapshot.models if key is None or is_allowed(key, one)) or "none"
    providers = listed(snapshot.endpoints)
    message = f"{message} Public names: {names}. Or use provider/model; the providers are {providers}."
    return Failure(failures.MODEL_NOT_FOUND, message, param=param)


def guess(model: str, snapshot: Snapshot, resolve: Resolve, key: VirtualKey | None = None) -> str:
    """Return `"; did you mean 'gpt-4o'?"`, or an empty text if no name is near."""
    near = suggested(model, snapshot, resolve, key)
    return f"; did you mean {either(near)}?" if near else ""


def suggested(model: str, snapshot: Snapshot, resolve: Resolve, key: VirtualKey | None = None) -> list[str]:
    """Return up to three names that are near an unknown one, and that this virtual key may request."""
    memo: dict[str, NearNames] = snapshot.__dict__
    index = memo.get("near_names")
    if index is None:
        index = memo["near_names"] = NearNames(_known(snapshot))
    found = [one for one in index.near(model, most=12) if key is None or is_allowed(key, one)]
    return [one for one in found if one in snapshot.models or resolve(one) is not None][:3]


def providers_to_add(model: str, snapshot: Snapshot) -> list[str]:
    """Return providers that are not configured, and that the name chooses, or else that have the model according to the
    catalog. Its publisher comes first."""
    names = snapshot.names or Names(snapshot.endpoints, snapshot.pricing.catalog)
    configured = {endpoint.catalog for endpoint in snapshot.endpoints.values()}
    if model.endswith(FREE):
        return [] if "openrouter" in configured else ["openrouter"]
    if model.startswith(_FIREWORKS):
        return [] if "fireworks" in configured else ["fireworks"]
    chosen = absent_provider(names, model)
    if chosen:
        return [chosen]
    found = {provider for provider, _ in names.catalog.serving(model)} - configured
    return sorted(found, key=lambda one: (one not in VENDORS, one))[:_MOST_PROVIDERS]


def _known(snapshot: Snapshot) -> Iterator[str]:
    """Yield the public names, those in `serves`, and the canonical names of the providers' models."""
    yield from snapshot.models
    catalog = snapshot.pricing.catalog
    for endpoint in snapshot.endpoints.values():
        yield from (name for name in endpoint.serves if _GLOBS.isdisjoint(name))
        yield from endpoint.listed
        for model in catalog.models(endpoint.catalog):
            facts = catalog.find(endpoint.catalog, model)
            if facts is not None:
                yield written_name(facts, endpoint.catalog, model)
