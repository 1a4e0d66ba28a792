"""The candidates for a call before any policy sees them: by the requested name, with the settings of the virtual
key."""

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate, Strategy, candidate

Named = tuple[Sequence[Candidate], Strategy | None, str]  # candidates, strategy if their source names one, source
Resolve = Callable[[str], PublicModel | None]


def find_candidates(call: Call, snapshot: Snapshot, resolve: Resolve) -> Named | Failure:
    """Return every candidate for the call by its name. These are the public name's targets, else the provider it names,
    else all that serve a bare name. The fallbacks of the request or of the public name come with them."""
    public = snapshot.models.get(call.model)
    configured = public
    if public is None and call.head.provider is None:
        public = resolve(call.model)
    if public is not None:
        found: Named = (public.targets, public.strategy, public.source or f"model {public.name}")
        declared: Sequence[Candidate] = public.fallbacks
    else:
        named = _named(call, snapshot, resolve)
        if isinstance(named, Failure):
            return named
        found, declared = named, ()
    if call.fallbacks:
        resolved = _resolve_fallbacks(call.fallbacks, snapshot, resolve)
        if isinstance(resolved, Failure):
            return resolved
        declared = resolved
    candidates, strategy, source = found
    if declared:
        candidates = list(candidates)
        present = {item.id for item in candidates}
        for item in declared:
            if item.id not in present:
                present.add(item.id)
                candidates.append(item)
    if call.head.provider is not None and configured is not None:
        candidates = [item for item in candidates if item.endpoint.name == call.head.provider]
        if not candidates:
            message = f"x-pointsman-provider: model {call.model!r} has no target at provider {call.head.provider!r}"
            return Failure(failures.INVALID_REQUEST, message)
    return candidates, strategy, source


def _named(call: Call, snapshot: Snapshot, resolve: Resolve) -> Named | Failure:
    endpoints, provider = snapshot.endpoints, call.head.provider
    prefix, slash, rest = call.model.partition("/")
    if provider is not None:
        endpoint = endpoints.get(provider)
        if endpoint is None:
            message = f"x-pointsman-provider: unknown provider {provider!r}; the providers are {listed(endpoints)}"
            return Failure(failures.INVALID_REQUEST, message)
        model = rest if slash and prefix == provider else call.model
        public = resolve(model)
        named = [item for item in public.targets if item.endpoint is endpoint] if public is not None else []
        return named or [candidate(endpoint, model)], None, "x-pointsman-provider"
    if not call.model and call.pin is not None:
        endpoint = endpoints.get(call.pin.provider)
        return [candidate(endpoint, "")] if endpoint is not None else [], None, ""
    if not call.model:
        able = [endpoint for endpoint in endpoints.values() if call.operation in endpoint.operations]
        if len(able) == 1:
            return [candidate(able[0], "")], None, "the only provider"
        for endpoint in able:
            if endpoint.name == snapshot.default_provider:
                return [candidate(endpoint, "")], None, "server.default_provider"
        message = (
            f"a request to this path names no model; name its provider in the header x-pointsman-provider, or set "
            f"server.default_provider in the configuration; the providers are {listed(endpoints)}"
        )
        return Failure(failures.INVALID_REQUEST, message)
    return model_not_found(call.model, snapshot, "model")


def _resolve_fallbacks(names: Sequence[str], snapshot: Snapshot, resolve: Resolve) -> list[Candidate] | Failure:
    resolved: list[Candidate] = []
    for index, name in enumerate(names):
        public = snapshot.models.get(name) or resolve(name)
        if public is None:
            return model_not_found(name, snapshot, f"fallbacks[{index}]")
        resolved += [replace(item, provenance="fallback") for item in public.targets]
    return resolved


def model_not_found(model: str, snapshot: Snapshot, param: str) -> Failure:
    """Return the 404 for an unknown name, with names that would have worked."""
    names = listed(snapshot.models) or "none"
    message = (
        f"the model {model!r} does not exist here. Public names: {names}. "
        f"Or use provider/model; the providers are {listed(snapshot.endpoints)}."
    )
    return Failure(failures.MODEL_NOT_FOUND, message, param=param)


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return the first of the names, and the number of the others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more


def limited_by(key: VirtualKey, named: Named) -> Named:
    """Return the candidates with the keys, the weights and the strategy of a virtual key that sets them."""
    candidates, strategy, source = named
    candidates = _with_keys_of(key, candidates)
    strategy = key.strategy or strategy
    if any(entry.weight is not None for entry in key.entries.values()):
        candidates = _weighted_by(key, candidates)
        strategy = key.strategy or Strategy("weighted")
    return candidates, strategy, f"virtual key {key.name}, {source}"


def _weighted_by(key: VirtualKey, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates with the weights of a key's providers. The targets at one provider share its weight in
    proportion to their own weights."""
    totals: dict[str, float] = {}
    for item in candidates:
        totals[item.endpoint.name] = totals.get(item.endpoint.name, 0.0) + item.weight
    weighted: list[Candidate] = []
    for item in candidates:
        entry, total = key.entries.get(item.endpoint.name), totals[item.endpoint.name]
        if entry is not None and entry.weight is not None and total > 0:
            weight = entry.weight * (item.weight / total)
            weighted.append(replace(item, weight=weight))
        else:
            weighted.append(item)
    return weighted


def _with_keys_of(key: VirtualKey, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return the candidates with only those keys of their providers that a virtual key may use. So no attempt can use
    another one."""
    if all(entry.keys is None for entry in key.entries.values()):
        return candidates
    kept: list[Candidate] = []
    for item in candidates:
        entry = key.entries.get(item.endpoint.name)
        if entry is None or entry.keys is None:
            kept.append(item)
        else:
            kept.append(replace(item, keys=tuple([one for one in item.keys if one.name in entry.keys])))
    return kept
