"""What billing would say of a plan, for who wants to know beforehand: as a request meets it, with nothing spent yet."""

from time import monotonic

from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan, Reason, Verdict
from pointsman.domain.targets import Candidate
from pointsman.engine.billing import Billing, Hold
from pointsman.engine.live import Live
from pointsman.money.ledger import Ledger, Short
from pointsman.routing.decide import nothing_left, without


def preview(plan: Plan, facts: Facts) -> Plan | Failure:
    """The plan without what could not be paid for, or the refusal where nothing is left. Where nothing has room but a
    shorter answer would, the plan with that."""
    left, short = plan, dict[Candidate, list[Short]]()
    snapshot = facts.call.snapshot
    billing = Billing(Live(snapshot), Ledger(), None, None)
    for choice in plan.choices:
        item = choice.candidate
        found = billing.hold(billing.tab(snapshot, facts.virtual_key, item), facts.call, "preview", 1)
        if isinstance(found, Hold):
            billing.ledger.release(found.attempt)
            continue
        if isinstance(found, list):
            short[item] = found
        reason = found if isinstance(found, Reason) else billing.refusal(found)
        left = without(left, item, Verdict(item.id, "billing", reason))
    if left.choices:
        return left
    now = monotonic()
    for item, shorts in short.items():
        shortened = billing.shortened(billing.tab(snapshot, facts.virtual_key, item), facts.call, shorts, now)
        if shortened is not None:
            others = [verdict for verdict in left.verdicts if verdict.candidate != item.id]
            choices = tuple(choice for choice in plan.choices if choice.candidate is item)
            verdict = Verdict(item.id, "billing", shortened.reason)
            return replace(plan, choices=choices, verdicts=(*others, verdict))
    return nothing_left(facts.call.model, left.verdicts, now)
