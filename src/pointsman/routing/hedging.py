"""Hedging: whether a slow attempt gets a rival, when, and at which candidate.

The rival is sent the same request, and the first attempt to commit serves the client. So a request is paid for twice,
and whatever it does happens twice. A rival is started only if the policy of the public name asks for it, and if

    the request may be sent twice     it uses and stores no object, runs no tool of its provider, and has no bound on
                                      its own cost
    the share of rivals is not used   each request earns `share` of one
    its candidate has headroom        no fault at present, no rate limit in the last `PRESSURE_S`, and at least
                                      `HEADROOM` of each hard limit left
    its reservation fits at once      the engine never waits for room

Rights and requirements need no rule here: a plan has no candidate without them.
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
from pointsman.routing.view import View
from pointsman.wire.ways_out import REMOTE, ways_out_of

HEADROOM = 0.3  # of a limit
PRESSURE_S = 10.0  # since the last rate limit of a provider
_ABSENT = Raw(b"")
_NO_LIMITS: tuple[Limit, ...] = ()
REPEATABLE = frozenset[Operation]({"chat", "completion", "responses", "embedding", "moderation", "rerank"})


def hedged(plan: Plan, facts: Facts, view: View, now: float) -> Plan:
    """Return the plan with the terms of a second attempt, if its request may be sent twice."""
    settings = plan.routing.hedging
    if settings is None or plan.pinned or len(plan.choices) < 2 or not may_be_sent_twice(facts.call):
        return plan
    key, of_user = facts.virtual_key, _NO_LIMITS
    if key is not None and key.end_users:
        of_user = view.end_users.limits_of(facts.call, key, facts.unix_s)
    return replace(plan, hedging=HedgeTerms(settings, key, facts.unix_s - now, of_user))


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
    """Return the time after which an attempt at a candidate gets a rival; `None` if too little is known."""
    settings = terms.settings
    if settings.after_s is not None:
        return settings.after_s
    found = view.hedges.percentile(item, operation, settings.percentile, stream=stream)
    return None if found is None else max(found, settings.at_least_s)


def has_headroom(terms: HedgeTerms, item: Candidate, operation: Operation, view: View, now: float) -> bool:
    """Return whether a candidate may get a rival of another attempt."""
    if subject(item, operation) in view.conditions:
        return False
    provider = item.endpoint.name
    for (name, _, _), block in view.key_blocks.items():
        if name == provider and block.failure.kind.fault is Fault.QUOTA and now - block.since < PRESSURE_S:
            return False
    for limit in limits_for(terms.virtual_key, item, terms.of_user):
        used = view.used(limit, now + terms.ahead_s) if not limit.soft else 0
        if used is None or used > (1 - HEADROOM) * limit.amount:
            return False
    return True
