"""From a call to a plan: candidates, policies, order, and the reason for everything left out."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Choice, Plan, Verdict
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate, Provenance, ProviderKey, candidate
from pointsman.routing.names import resolve
from pointsman.routing.needs import exceeds
from pointsman.routing.pins import pinned
from pointsman.routing.policies import POLICIES
from pointsman.routing.strategies import STRATEGIES
from pointsman.routing.view import CalmView, Dice, View
from pointsman.routing.weights import weighted_order

FALLBACK = Provenance.FALLBACK  # members are slow to look up on an enum class
_TARGET = Provenance.TARGET


def decide(facts: Facts, view: View, rng: Dice, now: float) -> Plan | Failure:
    """The plan for one call, or the refusal the client gets.

    `now` is in monotonic seconds. The plan keeps a verdict for every candidate a policy objected to.
    """
    call, key = facts.call, facts.virtual_key
    if key is not None and key.allow_models and (call.fallbacks or not _may_ask(key, call.model)):
        forbidden = _forbidden(key, call)
        if forbidden is not None:
            return forbidden
    public = view.snapshot.models.get(call.model)
    if public is None and call.head.provider is None:
        public = resolve(view.snapshot, call.model)
    is_calm = not (view.conditions or view.key_blocks or view.exhausted or view.crowded)
    if (
        public is None
        or call.fallbacks
        or call.head.provider is not None
        or call.pin is not None
        or not is_calm
        or (public.bounds is not None and exceeds(call, public.bounds))
    ):
        menu = _menu(facts, view, now)
        if isinstance(menu, Failure):
            return menu
    else:
        menu = _calm_menu(public, call.operation, key if key is not None and _decides(key) else None)
    routing = (public.routing if public is not None else None) or view.snapshot.routing
    strategy = menu.strategy or routing.strategy
    ordered = STRATEGIES[strategy](menu.targets, facts, view, rng)
    if menu.others:
        ordered = (*ordered, *menu.others)
    if not ordered:
        return nothing_left(call.model, menu.verdicts, now)
    ordered = tuple(ordered)
    choices = _sole_choices(ordered)
    if choices is None:
        choices = tuple([Choice(item, order_keys(call, item, rng)) for item in ordered])
    commit_s = routing.timeouts.commit_s
    return Plan(
        choices,
        menu.verdicts,
        strategy,
        menu.source,
        now,
        now + (commit_s if call.head.timeout_s is None else min(call.head.timeout_s, commit_s)),
        routing.max_attempts,
        rng.random(),
        call.stateful,
        call.stream,
        routing,
        call.operation,
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
    key = facts.virtual_key
    if key is not None and _decides(key):
        candidates = _with_keys_of(key, candidates)
        strategy = key.strategy or strategy
        if _has_weights(key):
            candidates = _weighted_by(key, candidates)
            strategy = key.strategy or "weighted"
        source = f"virtual key {key.name}, {source}"
    if (pin := facts.call.pin) is not None:
        kept = pinned(facts.call, pin, candidates, view.snapshot)
        if isinstance(kept, Failure):
            return kept
        candidates, source = kept, f"where {pin.what} is kept"
    found = _verdicts(candidates, facts, view, now)
    left = [item for item in candidates if item not in found]
    targets = tuple(item for item in left if item.provenance is _TARGET)
    fallbacks = tuple(item for item in left if item.provenance is not _TARGET)
    return _Menu(targets, (*fallbacks, *_last_resort(found, now)), tuple(found.values()), strategy, source)


@lru_cache(maxsize=4096)
def _calm_menu(public: PublicModel, operation: Operation, key: VirtualKey | None) -> _Menu:
    """The menu of a public name while nothing is wrong anywhere: policies then look at no more than this. Cached by
    the identity of what a snapshot holds. `key` is `None` where it has no say."""
    snapshot = Snapshot("", {}, {public.name: public}, {})
    call = Call(operation=operation, head=RequestHead(), snapshot=snapshot, model=public.name)
    menu = _menu(Facts(call, key), CalmView(snapshot), 0.0)
    assert not isinstance(menu, Failure)
    return menu


def _decides(key: VirtualKey) -> bool:
    """Whether a virtual key has a say in what serves its requests."""
    return bool(key.entries) or key.strategy is not None


def _has_weights(key: VirtualKey) -> bool:
    return any(entry.weight is not None for entry in key.entries.values())


def _weighted_by(key: VirtualKey, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with the weights of a key's providers, which the targets at one provider share as their own
    weights say."""
    totals: dict[str, float] = {}
    for item in candidates:
        totals[item.endpoint.name] = totals.get(item.endpoint.name, 0.0) + item.weight
    weighted: list[Candidate] = []
    for item in candidates:
        entry, total = key.entries.get(item.endpoint.name), totals[item.endpoint.name]
        if entry is not None and entry.weight is not None and total > 0:
            weight = entry.weight * (item.weight / total)
            weighted.append(_with(item, weight, item.keys))
        else:
            weighted.append(item)
    return weighted


def _with_keys_of(key: VirtualKey, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """The candidates with no other keys of their providers than those that a virtual key may use. So no attempt can be
    made with another one."""
    if all(entry.keys is None for entry in key.entries.values()):
        return candidates
    kept: list[Candidate] = []
    for item in candidates:
        entry = key.entries.get(item.endpoint.name)
        if entry is None or entry.keys is None:
            kept.append(item)
        else:
            kept.append(_with(item, item.weight, tuple([one for one in item.keys if one.name in entry.keys])))
    return kept


@lru_cache(maxsize=8192)
def _with(item: Candidate, weight: float, keys: tuple[ProviderKey, ...]) -> Candidate:
    """The candidate with another weight and keys. Asked twice for the same, it gives the same object."""
    return replace(item, weight=weight, keys=keys)


def _forbidden(key: VirtualKey, call: Call) -> Failure | None:
    """The refusal of what the client itself asks for, if its key does not let it. What the configuration declares
    behind a public name is the operator's choice."""
    if not _may_ask(key, call.model):
        return _not_allowed(key, f"the model {call.model!r}" if call.model else "a path that names no model", "model")
    for index, name in enumerate(call.fallbacks):
        if not _may_ask(key, name):
            return _not_allowed(key, f"the model {name!r}", f"fallbacks[{index}]")
    return None


def _may_ask(key: VirtualKey, model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in key.allow_models)


def _not_allowed(key: VirtualKey, asked: str, param: str) -> Failure:
    message = f"virtual key {key.name} may not ask for {asked}; its allow_models are {_listed(key.allow_models)}"
    return Failure(failures.MODEL_NOT_ALLOWED, message, param=param)


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


@lru_cache(maxsize=4096)
def _sole_choices(ordered: tuple[Candidate, ...]) -> tuple[Choice, ...] | None:
    """The choices where none of the candidates has several keys to choose from. Cached by their identity."""
    if any(len(item.keys) > 1 for item in ordered):
        return None
    return tuple([Choice(item, item.keys) for item in ordered])


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
    listed = public
    if public is None and call.head.provider is None:
        public = resolve(snapshot, call.model)
    if public is not None:
        found: Found = (public.targets, public.strategy, public.source or f"model {public.name}")
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
    if call.head.provider is not None and listed is not None:
        candidates = [item for item in candidates if item.endpoint.name == call.head.provider]
        if not candidates:
            message = f"x-pointsman-provider: model {call.model!r} has no target at provider {call.head.provider!r}"
            return Failure(failures.INVALID_REQUEST, message)
    return candidates, strategy, source


def _named(call: Call, snapshot: Snapshot) -> Found | Failure:
    endpoints, named_provider = snapshot.endpoints, call.head.provider
    prefix, slash, rest = call.model.partition("/")
    if named_provider is not None:
        endpoint = endpoints.get(named_provider)
        if endpoint is None:
            known = _listed(endpoints)
            message = f"x-pointsman-provider: there is no provider {named_provider!r}; the providers are {known}"
            return Failure(failures.INVALID_REQUEST, message)
        model = rest if slash and prefix == named_provider else call.model
        public = resolve(snapshot, model)
        named = [item for item in public.targets if item.endpoint is endpoint] if public is not None else []
        return named or [candidate(endpoint, model)], None, "x-pointsman-provider"
    if not call.model and call.pin is not None:
        kept_by = endpoints.get(call.pin.provider)
        return [candidate(kept_by, "")] if kept_by is not None else [], None, ""
    if not call.model:
        able = [endpoint for endpoint in endpoints.values() if call.operation in endpoint.operations]
        if len(able) == 1:
            return [candidate(able[0], "")], None, "the only provider"
        for endpoint in able:
            if endpoint.name == snapshot.default_provider:
                return [candidate(endpoint, "")], None, "server.default_provider"
        message = (
            f"this path names no model, so the provider must be named by the header x-pointsman-provider, or by "
            f"server.default_provider in the configuration; "
            f"there are {_listed(endpoints)}"
        )
        return Failure(failures.INVALID_REQUEST, message)
    return model_not_found(call.model, snapshot, "model")


def _resolve_fallbacks(names: Sequence[str], snapshot: Snapshot) -> list[Candidate] | Failure:
    resolved: list[Candidate] = []
    for index, name in enumerate(names):
        public = snapshot.models.get(name) or resolve(snapshot, name)
        if public is None:
            return model_not_found(name, snapshot, f"fallbacks[{index}]")
        resolved += [replace(item, provenance=FALLBACK) for item in public.targets]
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


_FORBIDDEN = frozenset({"provider_not_allowed", "model_not_allowed"})
_LIMITS = frozenset({"over_budget", "over_rate_limit"})
_UNAVAILABLE = {
    "budget_unavailable": failures.BUDGET_UNAVAILABLE,
    "journal_unavailable": failures.JOURNAL_UNAVAILABLE,
}


def nothing_left(model: str, verdicts: Sequence[Verdict], now: float) -> Failure:
    """The refusal of a call for whose every candidate there is a verdict. `now` is in monotonic seconds."""
    said = "; ".join(f"{verdict.candidate.rstrip('/')}: {verdict.reason.message}" for verdict in verdicts)
    asked = repr(model) if model else "a call that names no model"
    codes = {verdict.reason.code for verdict in verdicts}
    if codes and codes <= {"context_window"}:
        message = f"the request is too long for whatever serves {asked}: {said}"
        return Failure(failures.CONTEXT_TOO_LONG, message, param="messages")
    if codes and codes <= {"unsupported_operation"}:
        return Failure(failures.UNSUPPORTED_OPERATION, f"nothing that serves {asked} can do this: {said}")
    if codes and codes <= _FORBIDDEN:
        return Failure(failures.MODEL_NOT_ALLOWED, f"nothing that serves {asked} is allowed: {said}", param="model")
    for code, kind in _UNAVAILABLE.items():
        if code in codes:
            return Failure(kind, f"nothing that serves {asked} can be used now: {said}", retry_after_s=1.0)
    if codes & _LIMITS:
        return _over_limits(asked, verdicts, said, now)
    if "price_unknown" in codes:
        return Failure(failures.PRICE_UNKNOWN, f"nothing that serves {asked} can be paid for: {said}", param="model")
    return Failure(failures.NO_TARGET, f"no target of {asked} can be used: {said}")


def _over_limits(asked: str, verdicts: Sequence[Verdict], said: str, now: float) -> Failure:
    """402 where only a budget stands in the way, which no retry will mend; 429 where a rate limit does, with the time
    to wait where waiting helps."""
    rates = [verdict.reason for verdict in verdicts if verdict.reason.code == "over_rate_limit"]
    message = f"no limit has room for this request ({asked}): {said}"
    if not rates:
        return Failure(failures.BUDGET_EXCEEDED, message)
    until = [reason.until for reason in rates if reason.until is not None]
    return Failure(failures.RATE_LIMITED, message, retry_after_s=max(min(until) - now, 0.0) if until else None)


def without(plan: Plan, item: Candidate, verdict: Verdict) -> Plan:
    """The plan with a candidate left out after all."""
    choices = tuple(choice for choice in plan.choices if choice.candidate is not item)
    return replace(plan, choices=choices, verdicts=(*plan.verdicts, verdict))
