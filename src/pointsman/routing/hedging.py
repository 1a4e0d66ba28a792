"""Hedges and races: whether an attempt gets a rival, when, and at which candidate.

The rival is sent the same request, and the first attempt to commit serves the client. So a request is paid for twice,
and whatever it does happens twice. A hedge is the rival of a slow attempt. A race starts at once: its rival is a
candidate that the strategy wants to find out about. A rival is started only if the policy of the public name asks for
it, and if

    the request may be sent twice     it uses and stores no object, runs no tool of its provider, and has no bound on
                                      its own cost
    the share of rivals is not used   each request earns `share` of one
    its candidate has headroom        no fault at present, no rate limit in the last `PRESSURE_S`, and at least
                                      `HEADROOM` of each hard limit and of a key's known rate limit left, and fewer
                                      attempts in progress than its limit. A race may be the trial of a candidate, or
                                      try one whose breaker has been open for some seconds
    its reservation fits at once      the engine never waits for room

Rights and requirements need no rule here: a plan has no candidate without them.

A race replaces a probe, in which the client waits for the candidate that the strategy wants to find out about. The
probe remains for a request that may not be sent twice. If only the share of races is used, a later request finds out.
"""

from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Fault
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.plans import HedgeTerms, Plan
from pointsman.domain.targets import Candidate
from pointsman.money.terms import limits_for
from pointsman.routing.health import subject
from pointsman.routing.hedges import FEWEST
from pointsman.routing.ordering import Probe
from pointsman.routing.paces import usual_s
from pointsman.routing.view import View
from pointsman.wire.ways_out import REMOTE, ways_out_of

HEADROOM = 0.3  # of a limit
LATER = 1.1  # than the 95th percentile, so that some of the share is left for a fault
LEARNED_PERCENTILE = 95.0  # that `Pace.spread` is of
PROBE_PATIENCE, LEAST_PROBE_S = 3.0, 0.5  # the longest race with a blocked target, by its usual time
PRESSURE_S = 10.0  # since the last rate limit of a provider
_ABSENT = Raw(b"")
_NO_LIMITS: tuple[Limit, ...] = ()
REPEATABLE = frozenset[Operation]({"chat", "completion", "responses", "embedding", "moderation", "rerank"})


def hedged(plan: Plan, probe: Probe | None, facts: Facts, view: View, now: float) -> Plan:
    """Return the plan with the terms of a second attempt, if its request may be sent twice. With a `probe`, its request
    also finds out about that candidate."""
    plan = _with_terms(plan, facts, view, now)
    if probe is None and view.conditions and plan.learns:
        probe = _blocked(plan, facts.call, view, now)
    return plan if probe is None else _probed(plan, probe, view, now)


def _with_terms(plan: Plan, facts: Facts, view: View, now: float) -> Plan:
    settings = plan.routing.hedging
    racing = plan.routing.racing if plan.learns else None  # another strategy never wants to find out
    if (settings is None and racing is None) or plan.pinned or len(plan.choices) < 2:
        return plan
    if not may_be_sent_twice(facts.call):
        return plan
    key, of_user = facts.virtual_key, _NO_LIMITS
    if key is not None and key.end_users:
        of_user = view.end_users.limits_of(facts.call, key, facts.unix_s)
    usual = usual_s(facts.call) if plan.learns else 0.0
    ahead_s = facts.unix_s - now
    terms = HedgeTerms(settings, key, ahead_s, of_user, racing=racing, usual_s=usual)
    return replace(plan, hedging=terms)


def _blocked(plan: Plan, call: Call, view: View, now: float) -> Probe | None:
    """Return the probe of a target that is blocked after failures, in a race. Without it, the return of the provider
    would be noticed only at the end of the block."""
    if plan.hedging is None or plan.hedging.racing is None:
        return None
    for choice in plan.choices[1:]:
        item = choice.candidate
        condition = view.conditions.get(subject(item, plan.operation))
        if condition is None or item.provenance != "target" or not condition.may_race(now):
            continue
        pace = view.paces.find(item, plan.operation, stream=plan.stream)
        if pace is not None and has_headroom(plan.hedging, item, plan.operation, view, now, race=True):
            return Probe(item.id, max(PROBE_PATIENCE * pace.usual(1.0) * usual_s(call), LEAST_PROBE_S))
    return None


def _probed(plan: Plan, probe: Probe, view: View, now: float) -> Plan:
    """Return the plan by which its request finds out how a candidate is now: in a race if that is allowed, else by
    trying it first."""
    name, terms, choices = probe.candidate, plan.hedging, plan.choices
    found = [choice for choice in choices if choice.candidate.id == name]
    if not found:
        return plan
    if terms is not None and terms.racing is not None:
        if not view.hedges.may_start(terms.racing, plan.model):
            return plan
        if found[0] is not choices[0] and has_headroom(terms, found[0].candidate, plan.operation, view, now, race=True):
            return replace(plan, probe=name, hedging=replace(terms, race_s=probe.patience_s))
    choices = (found[0], *[choice for choice in choices if choice is not found[0]])
    patience = {**plan.patience, name: probe.patience_s} if plan.stream else plan.patience
    return replace(plan, probe=name, choices=choices, patience=patience)


def may_be_sent_twice(call: Call) -> bool:
    """Return whether a request may be sent to two providers at once. A pinned request may not either."""
    return call.operation in REPEATABLE and call.head.max_nano is None and acts_once(call)


def acts_once(call: Call) -> bool:
    """Return whether nothing acts twice if two providers get a request. It uses and stores no object, and lets its
    provider run no tool."""
    if call.stateful or call.pin is not None or bytes(call.fields.get("store", _ABSENT)) == b"true":
        return False
    return all(way.name == REMOTE for way in ways_out_of(call))


def delay_s(terms: HedgeTerms, item: Candidate, operation: Operation, view: View, *, stream: bool) -> float | None:
    """Return the time after which an attempt at a candidate gets a rival; `None` if it gets none, or too little is
    known. If its strategy learns, the time is in proportion to the usual time of such a request."""
    settings = terms.settings
    if settings is None:
        return None
    if settings.after_s is not None:
        return settings.after_s
    if terms.usual_s and settings.percentile == LEARNED_PERCENTILE:
        pace = view.paces.find(item, operation, stream=stream)
        if pace is None or pace.long_weight < FEWEST:
            return None
        return max(LATER * pace.usual(1.0) * pace.spread * terms.usual_s, settings.at_least_s)
    found = view.hedges.percentile(item, operation, settings.percentile, stream=stream)
    return None if found is None else max(found, settings.at_least_s)


def has_headroom(
    terms: HedgeTerms, item: Candidate, operation: Operation, view: View, now: float, *, race: bool = False
) -> bool:
    """Return whether a candidate may get a rival of another attempt."""
    condition = view.conditions.get(subject(item, operation))
    if condition is not None and (not race or (condition.is_blocked(now) and not condition.may_race(now))):
        return False
    most = view.most_in_progress(item)
    if most is not None and view.in_progress.get(item.id, 0) >= most:
        return False
    provider = item.endpoint.name
    for (name, _, _), block in view.key_blocks.items():
        if name == provider and block.failure.kind.fault is Fault.QUOTA and now - block.since < PRESSURE_S:
            return False
    quotas = view.quotas
    if quotas.mirrors and all(quotas.headroom(item, key.name, now) < HEADROOM for key in item.keys):
        return False
    for limit in limits_for(terms.virtual_key, item, terms.of_user):
        used = view.used(limit, now + terms.ahead_s) if not limit.soft else 0
        if used is None or used > (1 - HEADROOM) * limit.amount:
            return False
    return True
