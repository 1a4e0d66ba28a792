"""From a name that the configuration does not list to its candidates.

A name may begin with a provider, as in `openai/gpt-4o` and `vertex_ai/gemini-2.5-pro`. All other names are bare:
providers serve them by their configuration, their own list or the catalog. Both kinds go through the same rules of
spelling. A name that no rule knows is sent as it is, to the provider that it names.
"""

import re
from collections.abc import Container, Iterable
from fnmatch import fnmatchcase
from itertools import islice

from msgspec.structs import replace

from pointsman.domain.geographies import GLOBAL, geographies_of, is_abroad
from pointsman.domain.prices import Catalog
from pointsman.domain.provider_prefixes import VENDORS, folded, provider_of, split
from pointsman.domain.requirements import UNKNOWN
from pointsman.domain.snapshots import Names, PublicModel
from pointsman.domain.targets import Candidate, Endpoint, Provenance, candidate

_DATED = re.compile(r"@(?=\d{4})")  # Google Cloud's mark before a version, as in claude-sonnet-4@20250514
FREE = ":free"  # OpenRouter's models without a price, https://openrouter.ai/docs/faq
_TUNED = "ft:"  # OpenAI's and Mistral's names of fine-tuned models: ft:BASE:…


def find(names: Names, model: str) -> PublicModel | None:
    """Return the candidates of a name that is not a public name; `None` if there are none."""
    prefix, _, rest = model.partition("/")
    own = (names.endpoints.get(prefix) or _named_like(prefix, names)) if rest else None
    if own is not None:
        return _at_provider(own, rest, model, names)
    if not model:
        return None
    found = _bare(model, names) or _prefixed(model, names)
    if found is None and _DATED.search(model):
        found = find(names, _DATED.sub("-", model))
        found = replace(found, name=model) if found is not None else None
    return found


def absent_provider(names: Names, model: str) -> str:
    """Return the provider that the beginning of a name chooses, if the configuration has no such provider. A publisher
    without the model is not chosen."""
    provider = provider_of(split(model)[0])
    is_absent = provider is not None and not _endpoints_named(provider, names) and _is_published(model, names.catalog)
    return provider if provider is not None and is_absent else ""


def siblings(targets: Iterable[Candidate], others: Iterable[Candidate], names: Names) -> tuple[Candidate, ...]:
    """Return the same models as the targets at other configured providers, unless they are among `others`."""
    tried = (*targets, *others)
    taken = {item.id for item in tried} | {(item.endpoint.name, _model_of(item, names)) for item in tried}
    found: list[Candidate] = []
    for model in dict.fromkeys(_model_of(target, names) for target in targets):
        for item in _by_catalog(model, names, "sibling") if model else ():
            if taken.isdisjoint((item.id, (item.endpoint.name, model))):
                taken.add(item.id)
                found.append(item)
    return tuple(found)


def _model_of(item: Candidate, names: Names) -> str:
    """Return the canonical name of a candidate's model; empty if the catalog does not know it."""
    facts = names.catalog.find(item.endpoint.catalog, item.model)
    return facts.name if facts is not None else ""


def _bare(model: str, names: Names) -> PublicModel | None:
    """Return the candidates of a name without a provider."""
    is_published = _is_published(model, names.catalog)
    known = {item.endpoint.name: item for item in _by_catalog(model, names)} if is_published else {}
    targets: list[Candidate] = []
    for endpoint in names.endpoints.values():
        if _is_named_by(endpoint, model) or _is_own(endpoint, model, names.catalog):
            known.pop(endpoint.name, None)
            targets.append(candidate(endpoint, model))
        elif _is_listed_for(endpoint, model):  # by a pattern, so the catalog may know the provider's spelling
            targets.append(known.pop(endpoint.name, candidate(endpoint, model)))
    targets += known.values()
    targets = targets or (_by_own_name(model, names) if is_published else []) or _tuned(model, names)
    if not targets:
        return None
    fallbacks = siblings(targets, (), names) if names.siblings else ()
    return PublicModel(name=model, targets=tuple(targets), fallbacks=fallbacks, source="providers that serve the name")


def _at_provider(endpoint: Endpoint, rest: str, whole: str, names: Names) -> PublicModel | None:
    """Return the model of one provider. `whole` is the name with its prefix. `None` if the name is a mistake: the
    provider is a publisher which does not have the model, and the catalog knows who has it."""
    known = _known_name(endpoint, rest, names) or _known_name(endpoint, whole, names)
    is_publisher = endpoint.catalog in VENDORS and names.catalog.provider_at(endpoint.origin.host) == endpoint.catalog
    if known is None and endpoint.catalog and "/" in whole:
        # The prefix may be the publisher of a model that others serve, as in openai/gpt-oss-120b.
        elsewhere = _bare(whole, names)
        if elsewhere is not None:
            return elsewhere
        if is_publisher and not _is_published(whole, names.catalog):
            return None
        if is_publisher and whole.endswith(FREE):
            return _free(whole, names)
    return PublicModel(name=whole, targets=(candidate(endpoint, known or rest),), source="provider/model")


def _free(model: str, names: Names) -> PublicModel | None:
    """Return a free variant that the catalog does not know at OpenRouter, which alone has such names."""
    targets = tuple([candidate(one, model) for one in names.endpoints.values() if one.catalog == "openrouter"])
    return PublicModel(name=model, targets=targets, source="provider/model") if targets else None


def _is_published(model: str, catalog: Catalog) -> bool:
    """Return whether the publisher that a name begins with has the model, or others have it under the same prefix. It
    counts as published if the catalog does not know the name, or the prefix is no publisher's."""
    prefix, rest = split(model)
    publisher = provider_of(prefix)
    places = (catalog.serving(rest) or catalog.serving(model)) if publisher in VENDORS else ()
    return not places or any(publisher in (place, provider_of(split(name)[0])) for place, name in places)


def _prefixed(model: str, names: Names) -> PublicModel | None:
    """Return the candidates of a name that begins with another tool's name of a provider, or after a colon."""
    prefix, rest = split(model)
    if not rest:
        return None
    own, provider = _named_like(prefix, names), provider_of(prefix)
    endpoints = [own] if own is not None else _endpoints_named(provider, names) if provider is not None else []
    known = [(endpoint, _known_name(endpoint, rest, names)) for endpoint in endpoints]
    targets = tuple([candidate(endpoint, name) for endpoint, name in known if name is not None])
    if targets:
        return PublicModel(name=model, targets=targets, source="provider/model")
    if model[len(prefix)] == "/" and len(endpoints) == 1:
        return _at_provider(endpoints[0], rest, model, names)
    is_model = provider in VENDORS and not endpoints and _is_published(model, names.catalog)
    return _bare(rest, names) if is_model else None


def _named_like(prefix: str, names: Names) -> Endpoint | None:
    wanted = folded(prefix)
    return next((one for one in names.endpoints.values() if folded(one.name) == wanted), None)


def _endpoints_named(provider: str, names: Names) -> list[Endpoint]:
    return [one for one in names.endpoints.values() if provider in (one.catalog, one.type, folded(one.name))]


def _known_name(endpoint: Endpoint, model: str, names: Names) -> str | None:
    """Return the provider's own name of a model that is given by any of its names; `None` if it is not known there."""
    catalog = names.catalog
    if endpoint.has_deployment(model) or model in endpoint.serves or catalog.find(endpoint.catalog, model) is not None:
        return model
    if any(model in listed for listed in endpoint.listed.values()):
        return model
    stated = endpoint.stated_region(model)
    stated = stated if stated != UNKNOWN else ""
    spellings = _spellings(endpoint, model, catalog)
    found = [every for one in spellings if (every := _own_names(endpoint, one, catalog, stated))]
    if found:
        certain = (every for every in found if any(not _is_doubtful(name, endpoint, catalog) for name in every))
        every = next(certain, found[0])
        usable = [name for name in every if any(key.serves_model(name) for key in endpoint.keys)]
        return _best(usable or every, model, endpoint, catalog)
    meant = {catalog.name_of(spelling) for spelling in spellings} - {None}
    retired = [
        one
        for one in catalog.models(endpoint.catalog)
        if _means(one, model, meant, endpoint, catalog) and _is_usable(one, endpoint, catalog, stated)
    ]
    return _best(retired, model, endpoint, catalog) if retired else None


def _spellings(endpoint: Endpoint, model: str, catalog: Catalog) -> list[str]:
    """Return the spellings under which the catalog may know what a name means at one provider: as it is, with a date
    after a dash, without what this provider puts around a name, and as a name with a meaning of its own there."""
    if not endpoint.catalog:
        return [model]
    key = catalog.key(endpoint.catalog, model)
    own = (f"{name}@{endpoint.catalog}" for name in (model, key))
    return list(dict.fromkeys((model, _DATED.sub("-", model), key, *own)))


def _means(name: str, model: str, meant: Container[str | None], endpoint: Endpoint, catalog: Catalog) -> bool:
    """Return whether a provider's name means a model, though the provider should have retired it by now."""
    facts = catalog.find(endpoint.catalog, name)
    return folded(name) == folded(model) or (facts is not None and facts.name in meant)


def _by_catalog(model: str, names: Names, provenance: Provenance = "target") -> list[Candidate]:
    """Return one candidate for each endpoint that has the model by the catalog or by its own list."""
    found: list[Candidate] = []
    for endpoint in names.endpoints.values():
        every = _own_names(endpoint, model, names.catalog)
        certain = [name for name in every if _is_certain(endpoint, model, name, names.catalog)]
        served = [name for name in certain if _may_serve(endpoint, model, name)]
        if served:
            best = _best(served, model, endpoint, names.catalog)
            found.append(candidate(endpoint, best, provenance=provenance))
    return found


def _own_names(endpoint: Endpoint, model: str, catalog: Catalog, stated: str = "") -> list[str]:
    """Return a provider's names for a model, by the catalog and by its own list: those that its region can use, or
    those of a stated region."""
    by_catalog = [name for provider, name in catalog.serving(model) if provider == endpoint.catalog]
    listed = endpoint.listed.get(catalog.name_of(model) or model, ())
    every = dict.fromkeys((*by_catalog, *listed))
    return [name for name in every if name == model or _is_usable(name, endpoint, catalog, stated)]


def _is_usable(name: str, endpoint: Endpoint, catalog: Catalog, stated: str = "") -> bool:
    """Return whether a name runs in a stated region, or else whether the provider's region can use it."""
    region = _region_of(name, endpoint, catalog)
    return region == stated if stated else not is_abroad(endpoint.region, region)


def _is_doubtful(name: str, endpoint: Endpoint, catalog: Catalog) -> bool:
    """Return whether a single public table has a provider's name for a model."""
    facts = catalog.find(endpoint.catalog, name)
    return facts is not None and facts.is_doubtful


def _region_of(name: str, endpoint: Endpoint, catalog: Catalog) -> str | None:
    """Return the region that a provider's name for a model states."""
    facts = catalog.find(endpoint.catalog, name)
    return facts.region if facts is not None else None


def _by_own_name(model: str, names: Names) -> list[Candidate]:
    """Return the endpoints that have a model under this very name, if it is the same model at all of them. According to
    the catalog it is retired by now, or its name means another model elsewhere (`name@provider`). The provider knows
    its present meaning. If a single public table lists the model at each endpoint, the first that has it under this
    very name serves it alone; another publisher may stand in front."""
    for is_host_meaning in (False, True):
        found: list[Candidate] = []
        known: set[str] = set()
        for endpoint in names.endpoints.values():
            own = _own_names(endpoint, f"{model}@{endpoint.catalog}", names.catalog) if is_host_meaning else [model]
            own = [name for name in own if _is_named(name, model) or not _is_doubtful(name, endpoint, names.catalog)]
            facts = names.catalog.find(endpoint.catalog, own[0]) if own else None
            served = [name for name in own if _may_serve(endpoint, model, name)]
            if facts is not None and served:
                found.append(candidate(endpoint, _best(served, model, endpoint, names.catalog)))
                known.add(facts.name)
        if found:
            return found if len(known) == 1 else []
    doubtful = (
        candidate(endpoint, name)
        for endpoint in names.endpoints.values()
        for name in _own_names(endpoint, model, names.catalog)
        if _is_named(name, model) and _may_serve(endpoint, model, name)
    )
    return list(islice(doubtful, 1))


def _is_named(name: str, model: str) -> bool:
    """Return whether a provider's name is the requested one, apart from case and a publisher."""
    return f"/{name}".lower().endswith((f"/{model}".lower(), f".{model}".lower()))


def _is_certain(endpoint: Endpoint, requested: str, name: str, catalog: Catalog) -> bool:
    """Return whether the catalog is certain enough of a model to let it serve a name. A model in a single public table
    serves no other name than its own, unless the configuration or the provider's own list names it."""
    facts = catalog.find(endpoint.catalog, name)
    if facts is None or not facts.is_doubtful or name == requested or endpoint.has_deployment(name):
        return True
    listed = any(name in models for models in endpoint.listed.values())
    return listed or any(fnmatchcase(name, pattern) for pattern in endpoint.serves)


def _tuned(model: str, names: Names) -> list[Candidate]:
    """Return the endpoint of a fine-tuned model, if only one has its base. It is in one account alone."""
    if not model.startswith(_TUNED):
        return []
    base = model.removeprefix(_TUNED).partition(":")[0]
    found = [
        candidate(endpoint, model)
        for endpoint in names.endpoints.values()
        if names.catalog.find(endpoint.catalog, base) is not None and _may_serve(endpoint, model, model)
    ]
    return found if len(found) == 1 else []


def _is_named_by(endpoint: Endpoint, model: str) -> bool:
    """Return whether the configuration has exactly this name for this provider."""
    return model in endpoint.serves or (not endpoint.serves_only and any(model in key.serves for key in endpoint.keys))


def _is_listed_for(endpoint: Endpoint, model: str) -> bool:
    """Return whether a pattern of the configuration lists a bare name for this provider."""
    if any(fnmatchcase(model, pattern) for pattern in endpoint.serves):
        return True
    return not endpoint.serves_only and any(key.serves and key.serves_model(model) for key in endpoint.keys)


def _is_own(endpoint: Endpoint, model: str, catalog: Catalog) -> bool:
    """Return whether a name is only the configuration's: it has a deployment, and the catalog does not know it."""
    is_unknown = catalog.find(endpoint.catalog, model) is None
    return not endpoint.serves_only and endpoint.has_deployment(model) and is_unknown


def _may_serve(endpoint: Endpoint, requested: str, name: str) -> bool:
    """Return whether the configuration lets the catalog decide on the models of this provider."""
    if endpoint.serves_only:
        known = (name,) if endpoint.has_deployments else (requested, name)  # only its own names have deployments
        return any(fnmatchcase(one, pattern) for pattern in endpoint.serves for one in known)
    return any(key.serves_model(name) for key in endpoint.keys)


def _best(every: Iterable[str], requested: str, endpoint: Endpoint, catalog: Catalog) -> str:
    return min(every, key=lambda name: _preference(name, requested, endpoint, catalog))


def _preference(
    name: str, requested: str, endpoint: Endpoint, catalog: Catalog
) -> tuple[bool, bool, bool, int, int, str]:
    """Return the sort key of one of a model's names at one provider. One with a deployment is first, then the requested
    name, then one that several tables list, then one of the provider's geography, then one without a region; one that
    may leave its region is last. Bedrock serves most newer models by a profile of a geography only."""
    region = _region_of(name, endpoint, catalog)
    order = (*geographies_of(endpoint.region), None)
    place = order.index(region) if region in order else len(order) + (region == GLOBAL)
    is_deployed = endpoint.has_deployment(name)
    is_doubtful = _is_doubtful(name, endpoint, catalog)
    return (not is_deployed, name != requested, is_doubtful, place, len(name), name)
