"""From a name that the configuration does not list to its candidates. It is `provider/model` or a bare name, which
providers serve by their configuration, their own list or the catalog."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from pointsman.domain.prices import Catalog
from pointsman.domain.snapshots import Names, PublicModel
from pointsman.domain.targets import Candidate, Endpoint, Provenance, candidate


def find(names: Names, model: str) -> PublicModel | None:
    """Return the candidates of a name that is not a public name; `None` if there are none."""
    prefix, slash, rest = model.partition("/")
    if slash and rest and prefix in names.endpoints:
        return PublicModel(name=model, targets=(candidate(names.endpoints[prefix], rest),), source="provider/model")
    if not model:
        return None
    targets = [
        candidate(endpoint, model)
        for endpoint in names.endpoints.values()
        if _is_listed_for(endpoint, model) or _is_own(endpoint, model, names.catalog)
    ]
    present = {target.endpoint.name for target in targets}
    targets += [item for item in _by_catalog(model, names) if item.endpoint.name not in present]
    targets = targets or _by_own_name(model, names)
    if not targets:
        return None
    fallbacks = siblings(targets, (), names) if names.siblings else ()
    return PublicModel(name=model, targets=tuple(targets), fallbacks=fallbacks, source="providers that serve the name")


def siblings(targets: Iterable[Candidate], others: Iterable[Candidate], names: Names) -> tuple[Candidate, ...]:
    """Return the same models as the targets at other configured providers, unless they are among `others`."""
    taken = {item.id for item in (*targets, *others)}
    found: list[Candidate] = []
    for target in targets:
        facts = names.catalog.find(target.endpoint.catalog, target.model)
        for item in _by_catalog(facts.name, names, "sibling") if facts is not None else ():
            if item.endpoint is not target.endpoint and item.id not in taken:
                taken.add(item.id)
                found.append(item)
    return tuple(found)


def _by_catalog(model: str, names: Names, provenance: Provenance = "target") -> list[Candidate]:
    """Return one candidate for each endpoint that has the model by the catalog or by its own list."""
    by_provider: dict[str, list[str]] = {}
    for provider, name in names.catalog.serving(model):
        by_provider.setdefault(provider, []).append(name)
    found: list[Candidate] = []
    canonical = names.catalog.name_of(model) or model
    for endpoint in names.endpoints.values():
        listed = endpoint.listed.get(canonical, ())
        every = dict.fromkeys((*by_provider.get(endpoint.catalog, ()), *listed))
        served = [name for name in every if _may_serve(endpoint, model, name)]
        if served:
            best = min(served, key=lambda name: _preference(name, model, endpoint, names.catalog))
            found.append(candidate(endpoint, best, provenance=provenance))
    return found


def _by_own_name(model: str, names: Names) -> list[Candidate]:
    """Return the endpoints that have a model under this very name, if it is the same model at all of them. According to
    the catalog it is retired by now, or its name means another model elsewhere. The provider knows its present
    meaning."""
    found: list[Candidate] = []
    known: set[str] = set()
    for endpoint in names.endpoints.values():
        facts = names.catalog.find(endpoint.catalog, model)
        if facts is not None and _may_serve(endpoint, model, model):
            found.append(candidate(endpoint, model))
            known.add(facts.name)
    return found if len(known) == 1 else []


def _is_listed_for(endpoint: Endpoint, model: str) -> bool:
    """Return whether the configuration lists a bare name for this provider."""
    if endpoint.serves:
        return any(fnmatchcase(model, pattern) for pattern in endpoint.serves)
    return any(key.serves and key.serves_model(model) for key in endpoint.keys)


def _is_own(endpoint: Endpoint, model: str, catalog: Catalog) -> bool:
    """Return whether a name is only the configuration's: it has a deployment, and the catalog does not know it."""
    return not endpoint.serves and endpoint.has_deployment(model) and catalog.find(endpoint.catalog, model) is None


def _may_serve(endpoint: Endpoint, requested: str, name: str) -> bool:
    """Return whether the configuration lets the catalog decide on the models of this provider."""
    if endpoint.serves:
        known = (name,) if endpoint.has_deployments else (requested, name)  # only its own names have deployments
        return any(fnmatchcase(one, pattern) for pattern in endpoint.serves for one in known)
    return any(key.serves_model(name) for key in endpoint.keys)


def _preference(name: str, requested: str, endpoint: Endpoint, catalog: Catalog) -> tuple[bool, bool, int, int, str]:
    """Return the sort key of one of a model's names at one provider. One with a deployment is first, then the requested
    name, then one without a region; one that may leave its region is last."""
    facts = catalog.find(endpoint.catalog, name)
    region = facts.region if facts is not None else None
    is_deployed = endpoint.has_deployment(name)
    return (not is_deployed, name != requested, {None: 0, "global": 2}.get(region, 1), len(name), name)
