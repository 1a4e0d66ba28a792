"""From a call to a plan: candidates, policies, order, and the reason for everything left out."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, Operation
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Choice, Plan, Verdict
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate, Endpoint, Provenance, ProviderKey, candidate
from pointsman.routing.policies import POLICIES
from pointsman.routing.strategies import STRATEGIES
from pointsman.routing.view import CalmView, Dice, View
from pointsman.routing.weights import weighted_order

FALLBACK = Provenance.FALLBACK  # members are slow to look up on an enum class


def decide(facts: Facts, view: View, rng: Dice, now: float) -> Plan | Failure:
    """The plan for one call, or the refusal the client gets.

    `now` is in monotonic seconds. The plan keeps a verdict for every candidate a policy objected to.
    """
    call, routing = facts.call, view.snapshot.routing
    public = view.snapshot.models.get(call.model)
    if public is None or call.fallbacks or call.provider is not None or view.conditions or view.key_blocks:
        menu = _menu(facts, view, now)
        if isinstance(menu, Failure):
            return menu
    else:
        menu = _calm_menu(public, call.operation)
    strategy = menu.strategy or routing.strategy
    ordered = STRATEGIES[strategy](menu.targets, facts, view, rng)
    if menu.others:
        ordered = (*ordered, *menu.others)
    if not ordered:
        return _nothing_left(call, menu.verdicts)
    choices: list[Choice] = []
    for item in ordered:
        keys = item.keys
        if len(keys) > 1:
            keys = order_keys(call, item, rng)
        choices.append(Choice(item, keys))
    return Plan(
        tuple(choices),
        menu.verdicts,
        strategy,
        menu.source,
        now,
        now + (routing.timeouts.commit_s if call.timeout_s is None else min(call.timeout_s, routing.timeouts.commit_s)),
        routing.max_attempts,
        rng.random(),
        call.stateful,
    )


class _Menu(Struct, frozen=True):
    """What could serve a call: `targets` are still to be ordered, `others` are the fallbacks and last resorts behind
    them, and `verdicts` is all that policies objected to. `strategy` is `None` where `routing` decides."""

    targets: tuple[Candidate, ...]
    others: tuple[Candidate, ...]
    verdicts: tuple[Verdict, ...]
    strategy: str | None
    source: str


def _menu(facts: Facts, view: View, now: float) -> _Menu | Failure:
    named = find_candidates(facts.call, view.snapshot)
    if isinstance(named, Failure):
        return named
    candidates, strategy, source = named
    found = _verdicts(candidates, facts, view, now)
    left = [item for item in candidates if item not in found]
    targets = tuple(item for item in left if item.provenance is not FALLBACK)
    fallbacks = tuple(item for item in left if item.provenance is FALLBACK)
    return _Menu(targets, (*fallbacks, *_last_resort(found, now)), tuple(found.values()), strategy, source)


@lru_cache(maxsize=4096)
def _calm_menu(public: PublicModel, operation: Operation) -> _Menu:
    """The menu of a public name while nothing is wrong anywhere: policies then look at no more than this. Cached by
    the identity of what a snapshot holds."""
    call = Call(operation, "", "", public.name, {}, 0)
    menu = _menu(Facts(call), CalmView(Snapshot("", {}, {public.name: public}, {})), 0.0)
    assert not isinstance(menu, Failure)
    return menu


def _verdicts(candidates: Sequence[Candidate], facts: Facts, view: View, now: float) -> dict[Candidate, Verdict]:
    """At most one for each candidate. The first refusal stands; else the first reason to keep the candidate for the
    end: a rule outranks a guess."""
    found: dict[Candidate, Verdict] = {}
    for policy, check in POLICIES:
        for item in candidates:
            reason = check(item, facts, view, now)
            if reason is not None:
                before = found.get(item)
                if before is None or (before.reason.is_last_resort and not reason.is_last_resort):
                    found[item] = Verdict(item.id, policy, reason)
    return {item: found[item] for item in candidates if item in found} if found else found


def _last_resort(found: dict[Candidate, Verdict], now: float) -> list[Candidate]:
    """The candidates that are kept for the end, first the one whose reason ends first."""
    kept = [item for item, verdict in found.items() if verdict.reason.is_last_resort]
    return sorted(kept, key=lambda item: found[item].reason.until or now) if kept else kept


def order_keys(call: Call, item: Candidate, rng: Dice) -> tuple[ProviderKey, ...]:
    """The keys in the order they are to be tried. What an account keeps is asked of one key, always the same."""
    if call.stateful:
        return tuple(sorted(item.keys, key=lambda key: (-key.weight, key.name))[:1])
    return weighted_order(item.keys, rng)


Found = tuple[Sequence[Candidate], str | None, str]  # candidates, strategy if their source names one, source


def find_candidates(call: Call, snapshot: Snapshot) -> Found | Failure:
    """Everything that could serve the call by its name: the public name's targets, else the provider it names, else
    whatever serves a bare name; and the fallbacks the request or the public name declare."""
    public = snapshot.models.get(call.model)
    if public is not None:
        found: Found = (public.targets, public.strategy, f"model {public.name}")
        declared: Sequence[Candidate] = public.fallbacks
    else:
        named = _named(call, snapshot)
        if isinstance(named, Failure):
            return named
        found, declared = named, ()
    if call.fallbacks:
        resolved = _resolve_fallbacks(call.fallbacks, snapshot)
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
    if call.provider is not None and public is not None:
        candidates = [item for item in candidates if item.endpoint.name == call.provider]
        if not candidates:
            message = f"x-pointsman-provider: model {call.model!r} has no target at provider {call.provider!r}"
            return Failure(failures.INVALID_REQUEST, message)
    return candidates, strategy, source


def _named(call: Call, snapshot: Snapshot) -> Found | Failure:
    endpoints = snapshot.endpoints
    prefix, slash, rest = call.model.partition("/")
    if call.provider is not None:
        endpoint = endpoints.get(call.provider)
        if endpoint is None:
            message = f"x-pointsman-provider: there is no provider {call.provider!r}; there are {_listed(endpoints)}"
            return Failure(failures.INVALID_REQUEST, message)
        model = rest if slash and prefix == call.provider else call.model
        return [candidate(endpoint, model)], None, "x-pointsman-provider"
    if slash and rest and prefix in endpoints:
        return [candidate(endpoints[prefix], rest)], None, "provider/model"
    if not call.model:
        able = [endpoint for endpoint in endpoints.values() if call.operation in endpoint.operations]
        if len(able) == 1:
            return [candidate(able[0], "")], None, "the only provider"
        message = (
            f"this path names no model, so the provider must be named by the header x-pointsman-provider; "
            f"there are {_listed(endpoints)}"
        )
        return Failure(failures.INVALID_REQUEST, message)
    serving = [endpoint for endpoint in endpoints.values() if _serves(endpoint, call.model)]
    if serving:
        return (
            [candidate(endpoint, call.model) for endpoint in serving],
            None,
            "providers that serve the name",
        )
    return model_not_found(call.model, snapshot, "model")


def _serves(endpoint: Endpoint, model: str) -> bool:
    """Whether a bare name may be resolved to this provider: only what it is said to serve, never by default."""
    if endpoint.serves:
        return any(fnmatchcase(model, pattern) for pattern in endpoint.serves)
    return any(key.serves and key.serves_model(model) for key in endpoint.keys)


def _resolve_fallbacks(names: Sequence[str], snapshot: Snapshot) -> list[Candidate] | Failure:
    resolved: list[Candidate] = []
    for index, name in enumerate(names):
        public = snapshot.models.get(name)
        prefix, slash, rest = name.partition("/")
        if public is not None:
            resolved += [replace(item, provenance=FALLBACK) for item in public.targets]
        elif slash and rest and prefix in snapshot.endpoints:
            resolved.append(candidate(snapshot.endpoints[prefix], rest, provenance=FALLBACK))
        else:
            return model_not_found(name, snapshot, f"fallbacks[{index}]")
    return resolved


def model_not_found(model: str, snapshot: Snapshot, param: str) -> Failure:
    """The 404 for a name that stands for nothing, with what would have worked."""
    names = _listed(snapshot.models) or "none"
    message = (
        f"the model {model!r} does not exist here. Public names: {names}. "
        f"A model can also be named as provider/model with one of the providers {_listed(snapshot.endpoints)}."
    )
    return Failure(failures.MODEL_NOT_FOUND, message, param=param)


def _listed(names: Iterable[str], limit: int = 12) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def _nothing_left(call: Call, verdicts: Sequence[Verdict]) -> Failure:
    said = "; ".join(f"{verdict.candidate}: {verdict.reason.message}" for verdict in verdicts)
    if verdicts and all(verdict.reason.code == "unsupported_operation" for verdict in verdicts):
        return Failure(failures.UNSUPPORTED_OPERATION, f"nothing that serves {call.model!r} can do this: {said}")
    return Failure(failures.NO_TARGET, f"no target of {call.model!r} can be used: {said}")
