"""From a call to a plan: candidates, policies, order, and the reason for every candidate left out."""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.plans import Plan
from pointsman.domain.requirements import merged
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.verdicts import Verdict
from pointsman.routing.hedging import hedged
from pointsman.routing.instead import opened
from pointsman.routing.mirrors import mirrored
from pointsman.routing.model_rights import forbidden_name, is_allowed, not_allowed
from pointsman.routing.policies import ON_REQUEST
from pointsman.routing.router import router_of
from pointsman.routing.view import RandomSource, View
from pointsman.wire.dialects import DIALECTS

PINNED = "the provider that stores "  # the beginning of the source of a plan for stored objects


def decide(facts: Facts, view: View, rng: RandomSource, now: float) -> Plan | failures.Failure:
    """Return the plan for one call, or the rejection for the client.

    `now` is in monotonic seconds. The plan keeps a verdict for every candidate a policy objected to.
    """
    call, key, snapshot = facts.call, facts.virtual_key, view.snapshot
    if key is not None and (
        not call.model or (key.allow_models and (call.fallbacks or not is_allowed(key, call.model)))
    ):
        forbidden = forbidden_name(key, call)
        if forbidden is not None:
            return forbidden
    reads_facts = snapshot.rules or snapshot.logged_facts
    return _by_rules(facts, view, rng, now) if reads_facts else _plan(facts, view, rng, now)


def decide_copy(facts: Facts, view: View, rng: RandomSource, now: float) -> Plan | failures.Failure:
    """Return the plan for the copy of a request that a mirror gets, or the reason that there is none. No rule applies.
    The copy has one attempt, no rival, and no copy of its own."""
    plan = _plan(facts, view, rng, now)
    if isinstance(plan, failures.Failure):
        return plan
    return replace(plan, max_attempts=1, hedging=None, mirror=None)


def _by_rules(facts: Facts, view: View, rng: RandomSource, now: float) -> Plan | failures.Failure:
    """Return the plan for a call as the rules change it, or the rejection. Both have the evaluation of the rules."""
    call, book = facts.call, router_of(view.snapshot).rulebook
    ruling = book.apply(facts, view, now)
    if isinstance(ruling, failures.Failure):
        return ruling
    directive = ruling.directive
    if directive is None:
        found = _plan(facts, view, rng, now)
        return replace(found, rules=ruling.trace)
    routed = directed(facts, ruling.call, directive, view.snapshot)
    if isinstance(routed, failures.Failure):
        return replace(routed, rules=ruling.trace)
    found = _plan(replace(facts, call=routed), view, rng, now, directive)
    if isinstance(found, failures.Failure):
        return replace(found, rules=ruling.trace)
    changed = ruling.call if ruling.call.model == call.model else replace(ruling.call, model=call.model)
    return replace(found, rules=ruling.trace, call=changed, model=call.model)


def directed(facts: Facts, changed: Call, directive: Directive, snapshot: Snapshot) -> Call | failures.Failure:
    """Return the call to route instead of the request, or the rejection if its key may not use the model that a rule
    sets. `changed` is the call as rules changed it."""
    key, asked = facts.virtual_key, snapshot.models.get(facts.call.model)
    if directive.model is not None and key is not None and not is_allowed(key, directive.model):
        requested = f"the model {directive.model!r}, which the rule {directive.routed_by} sets"
        return not_allowed(key, requested, "model")
    if asked is None or not asked.require or changed.model == facts.call.model:
        return changed
    # The requirements of a public name hold for whatever serves it.
    return replace(changed, head=replace(changed.head, require=merged(asked.require, changed.head.require)))


def _plan(
    facts: Facts, view: View, rng: RandomSource, now: float, directive: Directive | None = None
) -> Plan | failures.Failure:
    call, snapshot = facts.call, view.snapshot
    found = router_of(snapshot).candidates(facts, snapshot, directive)
    if isinstance(found, failures.Failure):
        return found
    need = view.quotas.need(found.judge.candidates, call) if view.quotas.mirrors else None
    evaluation = found.evaluation
    if found.judge.is_special(call, need, view, now):
        evaluation = found.evaluate(facts, view, now, ON_REQUEST)
    elif evaluation.version is not view.version or now >= evaluation.until:
        evaluation = found.refresh(facts, view, now)
    if found.ceiling is not None or call.head.max_nano is not None:
        evaluation = found.below_ceiling(evaluation, facts, view)
    ordered = evaluation.order(facts, view, rng, now)
    choices = evaluation.choices.get(ordered.candidates)
    if choices is None:
        choices, ordered = found.choices(ordered, evaluation, call, view=view, rng=rng, now=now)
    instead = found.instead(evaluation, call, rng) if evaluation.instead else ()
    if not choices:
        choices, instead = opened(instead, evaluation.verdicts), ()
        if not choices:
            return replace(nothing_left(call.model, evaluation.verdicts, now), require=found.require)
    elif found.is_paced:
        choices, ordered = found.pace(choices, ordered, facts, directive, view=view, rng=rng)
    routing, timeout_s, commit_s = found.routing, call.head.timeout_s, found.routing.timeouts.commit_s
    plan = Plan(
        choices,
        evaluation.verdicts,
        found.strategy,
        found.source if call.pin is None else f"{PINNED}{call.pin.what}",
        now,
        deadline=now + (commit_s if timeout_s is None else min(timeout_s, commit_s)),
        max_attempts=routing.max_attempts,
        jitter=rng.random(),
        pinned=call.stateful and _needs_storage(call),
        stream=call.stream,
        routing=routing,
        operation=call.operation,
        notes=ordered.notes,
        model=call.model,
    )
    # With more arguments the call above would cost every request more.
    if found.require or instead or found.declared or ordered.kept_by:
        declared, occurred = found.declared, evaluation.occurred
        kept_by, require = ordered.kept_by, found.require
        plan = replace(plan, require=require, instead=instead, declared=declared, occurred=occurred, kept_by=kept_by)
    if need is not None:
        plan = view.quotas.arranged(plan, need, now)
    if not found.is_shaped:
        return plan
    plan = hedged(found.shaped(plan, ordered, call), ordered.probe, facts, view, now)
    return plan if found.mirror is None else mirrored(plan, found.mirror, call, rng)


def _needs_storage(call: Call) -> bool:
    """Return whether a stateful call names stored objects, or asks to store one. A response that is stored only by
    default may move on like any other: its client gets no id of an attempt that failed."""
    stored = DIALECTS[call.head.dialect].stored
    return stored is None or bool(stored(call))


_FORBIDDEN = frozenset({"provider_not_allowed", "model_not_allowed"})
_INEXPRESSIBLE = frozenset({"not_expressible", "unsupported_operation"})
_LIMITS = frozenset({"over_budget", "over_rate_limit"})
_UNAVAILABLE = {
    "budget_unavailable": failures.BUDGET_UNAVAILABLE,
    "journal_unavailable": failures.JOURNAL_UNAVAILABLE,
}

# Codes of requirements, with the failures and the beginnings of their messages. They decide if no other reason ends by
# itself, or depends on a price.
_REFUSED = {
    "provider_tool_not_allowed": failures.PROVIDER_TOOL_NOT_ALLOWED,
    "no_compliant_provider": failures.NO_COMPLIANT_PROVIDER,
}
_REFUSALS = {
    "provider_tool_not_allowed": "no provider may serve",
    "no_compliant_provider": "no provider meets the requirements of",
}
_MAY_END = _LIMITS | _UNAVAILABLE.keys() | {"price_unknown"}


def nothing_left(model: str, verdicts: Sequence[Verdict], now: float) -> failures.Failure:
    """Return the rejection of a call that has a verdict for every candidate. `now` is in monotonic seconds."""
    return replace(_nothing_left(model, verdicts, now), verdicts=tuple(verdicts))


def _nothing_left(model: str, verdicts: Sequence[Verdict], now: float) -> failures.Failure:
    reasons = "; ".join(f"{verdict.candidate.rstrip('/')}: {verdict.reason.message}" for verdict in verdicts)
    requested = f"model {model!r}" if model else "a request that names no model"
    codes = {verdict.reason.code for verdict in verdicts}
    if codes and codes <= {"context_window"}:
        message = f"the request is too long for every target for {requested}: {reasons}"
        return failures.Failure(failures.CONTEXT_TOO_LONG, message, param="messages")
    if codes and codes <= {"unsupported_operation"}:
        return failures.Failure(
            failures.UNSUPPORTED_OPERATION, f"no target for {requested} supports the operation: {reasons}"
        )
    if "not_expressible" in codes and codes <= _INEXPRESSIBLE:
        return failures.Failure(
            failures.NOT_SUPPORTED, f"no target for {requested} can serve all of the request: {reasons}"
        )
    if codes and codes <= _FORBIDDEN:
        message = (
            f"the virtual key allows no target for {requested}; request another model, or extend the key: {reasons}"
        )
        return failures.Failure(failures.MODEL_NOT_ALLOWED, message, param="model")
    for code, kind in _REFUSED.items():
        if code in codes and codes.isdisjoint(_MAY_END):
            return failures.Failure(kind, f"{_REFUSALS[code]} {requested}: {reasons}")
    for code, kind in _UNAVAILABLE.items():
        if code in codes:
            return failures.Failure(kind, f"no target for {requested} is available now: {reasons}", retry_after_s=1.0)
    if codes & _LIMITS:
        return _over_limits(requested, verdicts, reasons, now)
    if "above_max_cost" in codes:
        return failures.Failure(failures.MAX_COST_EXCEEDED, f"no target for {requested} is cheap enough: {reasons}")
    if "price_unknown" in codes:
        return failures.Failure(
            failures.PRICE_UNKNOWN, f"no target for {requested} has a known maximum cost: {reasons}", param="model"
        )
    return failures.Failure(failures.NO_TARGET, f"no target for {requested} is usable: {reasons}")


def _over_limits(requested: str, verdicts: Sequence[Verdict], reasons: str, now: float) -> failures.Failure:
    """Return a 402 if only a budget prevents the call, since no retry helps. Return a 429 if a rate limit does, with
    the time to wait if waiting helps."""
    rate_limits = [verdict.reason for verdict in verdicts if verdict.reason.code == "over_rate_limit"]
    message = f"no target for {requested} has room in its limits: {reasons}"
    if not rate_limits:
        return failures.Failure(failures.BUDGET_EXCEEDED, message)
    until = [reason.until for reason in rate_limits if reason.until is not None]
    return failures.Failure(failures.RATE_LIMITED, message, retry_after_s=max(min(until) - now, 0.0) if until else None)
