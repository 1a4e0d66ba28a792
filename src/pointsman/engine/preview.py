"""Decides on a request without sending it: every provider counts as healthy, and every limit as unused."""

from time import monotonic

from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan, Reason, Verdict
from pointsman.engine.billing import Billing, ReservedAttempt
from pointsman.engine.live import Live
from pointsman.money.fit import ShortenedCall
from pointsman.money.ledger import Ledger
from pointsman.routing.decide import decide, nothing_left, without
from pointsman.routing.view import Dice


def decide_unsent(facts: Facts, rng: Dice, now: float) -> Plan | Failure:
    """Return the plan of a request after billing, or its refusal. `now` is in monotonic seconds."""
    plan = decide(facts, Live(facts.call.snapshot), rng, now)
    return preview(plan, facts) if isinstance(plan, Plan) else plan


def preview(plan: Plan, facts: Facts) -> Plan | Failure:
    """Return the plan without choices that billing rejects, or the refusal if none is left. If none has room but a
    shorter answer would, return the plan with that."""
    left, call, now = plan, facts.call, monotonic()
    shorter: Plan | None = None
    billing = Billing(Live(call.snapshot), Ledger(), None, None)
    for choice in plan.choices:
        item = choice.candidate
        tab = billing.billing_terms.find(call.snapshot, facts.virtual_key, item)
        found = billing.hold(tab, call, "preview", 1)
        if isinstance(found, ReservedAttempt):
            billing.ledger.release(found.attempt)
            continue
        reason = found if isinstance(found, Reason) else billing.fit(tab, call, found, now, shortens=False).reason
        left = without(left, item, Verdict(item.id, "billing", reason))
        fitting = billing.fit(tab, call, found, now, shortens=True) if isinstance(found, list) else None
        if shorter is None and isinstance(fitting, ShortenedCall):
            shorter = replace(plan, choices=(choice,), verdicts=(Verdict(item.id, "billing", fitting.reason),))
    if left.choices:
        return left
    if shorter is not None:
        own = shorter.verdicts[0]
        others = [verdict for verdict in left.verdicts if verdict.candidate != own.candidate]
        return replace(shorter, verdicts=(*others, own))
    return nothing_left(call.model, left.verdicts, now)
