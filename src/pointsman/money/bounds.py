"""The reservation of an attempt: the most that it can cost, or the reason why nothing bounds it under a budget."""

from pointsman.domain.calls import Call
from pointsman.domain.verdicts import Reason
from pointsman.money.batches import most_of, unpriced
from pointsman.money.charges import Bound
from pointsman.money.pricing import upper_bound
from pointsman.money.provider_tools import most_nano, not_bounded, unbounded_of
from pointsman.money.terms import Terms


def bound_of(terms: Terms, call: Call) -> Bound | Reason:
    """Return the upper bound of an attempt's cost. Return a `Reason` if a budget applies and there is none."""
    nano, tokens = upper_bound(terms, call)
    unbounded = unbounded_of(terms, call)
    if unbounded is not None:
        reason = not_bounded(terms, unbounded) if terms.has_budget else None
        if reason is not None:
            return reason
        nano = most_nano(terms, call, unbounded)
    return Bound(nano, tokens, unbounded)


def bound_of_batch(
    call: Call, provider: str, *, has_budget: bool, denies_unknown: bool, is_bounded: bool
) -> Bound | Reason:
    """Return the same for a batch, which costs as much as the lines of its file. `denies_unknown` rejects models
    without a known price. `is_bounded` requires a maximum for every answer."""
    work = call.batch
    assert work is not None
    model = unpriced(work)
    if model is not None and (has_budget or denies_unknown):
        return no_price(f"{provider}/{model}", has_budget=has_budget)
    if is_bounded and not work.is_bounded:
        return _UNBOUNDED_LINES
    nano, tokens = most_of(work)
    return Bound(nano, tokens)


def no_price(what: str, *, has_budget: bool, more: str = "") -> Reason:
    """Return the reason not to send an attempt whose price is unknown."""
    why = "and a budget applies" if has_budget else "and pricing.unknown is deny"
    return Reason("price_unknown", f"the price of {what} is unknown, {why}; set it in pricing.overrides{more}")


_UNBOUNDED_LINES = Reason(
    "price_unknown",
    "its file was uploaded with a key without limits, and some of its lines set no maximum for the answer; upload it "
    "again with the key that requests the batch",
)
