"""The candidates for a call before any policy sees them: by the requested name, with the settings of the virtual
key."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate, Endpoint, Strategy, candidate
from pointsman.routing.unknown_names import model_not_found
from pointsman.routing.wording import listed

Named = tuple[Sequence[Candidate], Strategy | None, str]  # candidates, strategy if their source names one, source
Resolve = Callable[[str], PublicModel | None]


def find_candidates(
    call: Call,
    snapshot: Snapshot,
    resolve: Resolve,
    directive: Directive | None = None,
    key: VirtualKey | None = None,
) -> Named | Failure:
    """Return every candidate for the call. These are the targets of a rule, else those of the public name, else the
    provider it names, else all that serve a bare name. The fallbacks of the rule, of the request or of the public name
    come with them. Rules do not route calls without a model, nor those for stored objects. `key` is the virtual key."""
    public = snapshot.models.get(call.model)
    configured, follows_rules = public, call.pin is None or call.pin.follows_rules
    if directive is not None and directive.targets and call.model and follows_rules:
        configured = public = PublicModel(
            name=call.model, targets=directive.targets, source=f"rule {directive.routed_by}"
        )
        call = replace(call, fallbacks=())
    elif public is None and call.head.provider is None:
        public = resolve(call.model)
    if public is not None:
        found: Named = (public.targets, public.strategy, public.source or f"model {public.name}")
        declared: Sequence[Candidate] = public.fallbacks
    else:
        named = _named(call, snapshot, resolve, key)
        if isinstance(named, Failure):
            return named
        found, declared = named, ()
    if directive is not None and directive.fallbacks is not None:
        declared = directive.fallbacks
    elif call.fallbacks:
        resolved = _resolve_fallbacks(call.fallbacks, snapshot, resolve, key)
        if isinstance(resolved, Failure):
            return resolved
        declared = [*[item for item in declared if item.after], *resolved]
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


def _named(call: Call, snapshot: Snapshot, resolve: Resolve, key: VirtualKey | None) -> Named | Failure:
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
        able = [endpoint for endpoint in endpoints.values() if keeps_objects(endpoint, call)]
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
    return model_not_found(call.model, snapshot, "model", resolve, key)


def keeps_objects(endpoint: Endpoint, call: Call) -> bool:
    """Return whether a provider can store objects of a stateful call. One that a translation reaches stores none."""
    if call.operation not in endpoint.operations:
        return False
    return call.operation != "responses" or (call.head.dialect in endpoint.dialects and endpoint.keeps_responses)


def _resolve_fallbacks(
    names: Sequence[str], snapshot: Snapshot, resolve: Resolve, key: VirtualKey | None
) -> list[Candidate] | Failure:
    resolved: list[Candidate] = []
    for index, name in enumerate(names):
        public = snapshot.models.get(name) or resolve(name)
        if public is None:
            return model_not_found(name, snapshot, f"fallbacks[{index}]", resolve, key)
        resolved += [replace(item, provenance="fallback", after=frozenset()) for item in public.targets]
    return resolved


def limited_by(key: VirtualKey, named: Named, directive: Directive | None = None) -> Named:
    """Return the candidates with the keys, the weights and the strategy of a virtual key that sets them. Weights and
    the strategy of a rule come first."""
    candidates, strategy, source = named
    candidates = with_keys_of(key, candidates)
    if directive is not None and (directive.targets or directive.strategy is not None):
        return candidates, strategy, f"virtual key {key.name}, {source}"
    strategy = key.strategy or strategy
    if any(entry.weight is not None for entry in key.entries.values()):
        candidates = _weighted_by(key, candidates)
        strategy = key.strategy or Strategy("weighted")
    return candidates, strategy, f"virtual key {key.name}, {source}"


def directed_by(directive: Directive, named: Named) -> Named:
    """Return the candidates with the strategy and the provider key of the rules that matched."""
    candidates, strategy, source = named
    if directive.provider_key is not None:
        name = directive.provider_key
        candidates = [replace(item, keys=tuple([key for key in item.keys if key.name == name])) for item in candidates]
    if not directive.targets:
        source = f"{source}, rule {directive.rules[-1]}"
    return candidates, directive.strategy or strategy, source


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


def with_keys_of(key: VirtualKey, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
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
