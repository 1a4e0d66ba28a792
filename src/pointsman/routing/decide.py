"""From a call to a plan: candidates, policies, order, and the reason for every candidate left out."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Plan, Verdict
from pointsman.domain.targets import Candidate
from pointsman.routing.candidates import listed
from pointsman.routing.policies import ON_REQUEST
from pointsman.routing.router import router_of
from pointsman.routing.view import Dice, View


def decide(facts: Facts, view: View, rng: Dice, now: float) -> Plan | Failure:
    """Return the plan for one call, or the rejection for the client.

    `now` is in monotonic seconds. The plan keeps a verdict for every candidate a policy objected to.
    """
    call, key, snapshot = facts.call, facts.virtual_key, view.snapshot
    if key is not None and key.allow_models and (call.fallbacks or not _is_allowed(key, call.model)):
        forbidden = _forbidden(key, call)
        if forbidden is not None:
            return forbidden
    found = router_of(snapshot).candidates(facts, snapshot)
    if isinstance(found, Failure):
        return found
    evaluation = found.evaluation
    if evaluation.version is not view.version or now >= evaluation.until:
        evaluation = found.refresh(facts, view, now)
    for watch in found.watches:
        if watch(call):
            evaluation = found.evaluate(facts, view, now, ON_REQUEST)
            break
    ordered = evaluation.order(facts, view, rng, now)
    choices = evaluation.choices.get(ordered.candidates)
    if choices is None:
        choices = found.choices(ordered.candidates, evaluation, call, rng)
    if not choices:
        return nothing_left(call.model, evaluation.verdicts, now)
    routing = found.routing
    timeout_s, commit_s = call.head.timeout_s, routing.timeouts.commit_s
    return Plan(
        choices,
        evaluation.verdicts,
        found.strategy,
        found.source if call.pin is None else f"the provider that stores {call.pin.what}",
        now,
        deadline=now + (commit_s if timeout_s is None else min(timeout_s, commit_s)),
        max_attempts=routing.max_attempts,
        jitter=rng.random(),
        pinned=call.stateful,
        stream=call.stream,
        routing=routing,
        operation=call.operation,
        notes=ordered.notes,
        model=call.model,
    )


def _forbidden(key: VirtualKey, call: Call) -> Failure | None:
    """Return the rejection of a name that the client chose and its key does not allow. The operator chose the targets
    of a public name, so they are not checked."""
    if not _is_allowed(key, call.model):
        return _not_allowed(key, f"the model {call.model!r}" if call.model else "a path that names no model", "model")
    for index, name in enumerate(call.fallbacks):
        if not _is_allowed(key, name):
            return _not_allowed(key, f"the model {name!r}", f"fallbacks[{index}]")
    return None


def _is_allowed(key: VirtualKey, model: str) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in key.allow_models)


def _not_allowed(key: VirtualKey, requested: str, param: str) -> Failure:
    message = f"virtual key {key.name} may not use {requested}; its allow_models are {listed(key.allow_models)}"
    return Failure(failures.MODEL_NOT_ALLOWED, message, param=param)


_FORBIDDEN = frozenset({"provider_not_allowed", "model_not_allowed"})
_LIMITS = frozenset({"over_budget", "over_rate_limit"})
_UNAVAILABLE = {
    "budget_unavailable": failures.BUDGET_UNAVAILABLE,
    "journal_unavailable": failures.JOURNAL_UNAVAILABLE,
}


def nothing_left(model: str, verdicts: Sequence[Verdict], now: float) -> Failure:
    """Return the rejection of a call that has a verdict for every candidate. `now` is in monotonic seconds."""
    reasons = "; ".join(f"{verdict.candidate.rstrip('/')}: {verdict.reason.message}" for verdict in verdicts)
    requested = f"model {model!r}" if model else "a request that names no model"
    codes = {verdict.reason.code for verdict in verdicts}
    if codes and codes <= {"context_window"}:
        message = f"the request is too long for every target for {requested}: {reasons}"
        return Failure(failures.CONTEXT_TOO_LONG, message, param="messages")
    if codes and codes <= {"unsupported_operation"}:
        return Failure(failures.UNSUPPORTED_OPERATION, f"no target for {requested} supports the operation: {reasons}")
    if codes and codes <= _FORBIDDEN:
        return Failure(failures.MODEL_NOT_ALLOWED, f"no target for {requested} is allowed: {reasons}", param="model")
    for code, kind in _UNAVAILABLE.items():
        if code in codes:
            return Failure(kind, f"no target for {requested} is available now: {reasons}", retry_after_s=1.0)
    if codes & _LIMITS:
        return _over_limits(requested, verdicts, reasons, now)
    if "price_unknown" in codes:
        return Failure(
            failures.PRICE_UNKNOWN, f"no target for {requested} has a known maximum cost: {reasons}", param="model"
        )
    return Failure(failures.NO_TARGET, f"no target for {requested} is usable: {reasons}")


def _over_limits(requested: str, verdicts: Sequence[Verdict], reasons: str, now: float) -> Failure:
    """Return a 402 if only a budget prevents the call, since no retry helps. Return a 429 if a rate limit does, with
    the time to wait if waiting helps."""
    rate_limits = [verdict.reason for verdict in verdicts if verdict.reason.code == "over_rate_limit"]
    message = f"no target for {requested} has room in its limits: {reasons}"
    if not rate_limits:
        return Failure(failures.BUDGET_EXCEEDED, message)
    until = [reason.until for reason in rate_limits if reason.until is not None]
    return Failure(failures.RATE_LIMITED, message, retry_after_s=max(min(until) - now, 0.0) if until else None)


def without(plan: Plan, item: Candidate, verdict: Verdict) -> Plan:
    """Return the plan without a candidate, which gets a verdict instead."""
    choices = tuple(choice for choice in plan.choices if choice.candidate is not item)
    return replace(plan, choices=choices, verdicts=(*plan.verdicts, verdict))
