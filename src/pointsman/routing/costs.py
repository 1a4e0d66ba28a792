"""The expected costs of a request at its candidates, for strategies and ceilings."""

from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain.batches import BatchWork
from pointsman.domain.calls import Facts
from pointsman.domain.dollars import dollars
from pointsman.domain.identity import VirtualKey
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.money.batches import most_of, priced, unpriced
from pointsman.money.expected import expected_each
from pointsman.money.terms import terms_for_each
from pointsman.routing.view import View

POLICY = "max_cost"  # the name of the ceilings in verdicts


class Ceiling(Struct, frozen=True, gc=False):
    """The most that a request may be expected to cost, in nano-dollars. `source` is the setting that requires it."""

    nano: int
    source: str


def expected_costs(
    candidates: Sequence[Candidate], facts: Facts, view: View, cached: Sequence[float | None] | None = None
) -> list[int | None]:
    """Return the expected cost of a request at each candidate, in nano-dollars; `None` if its price is unknown. That of
    a batch is the most that its lines can cost. `cached` has the tokens of this prompt that each candidate is expected
    to read from its cache, if that is known."""
    if facts.call.batch is not None:
        return [_most_of(facts.call.batch, facts.virtual_key, item, view) for item in candidates]
    known = view.answers
    earlier = [known.get(item.id) for item in candidates] if known else [None] * len(candidates)
    each = terms_for_each(facts.virtual_key, tuple(candidates), view.snapshot)
    hits = [None] * len(candidates) if cached is None else cached
    return expected_each(each, facts.call, earlier, hits)


def _most_of(work: BatchWork, key: VirtualKey | None, item: Candidate, view: View) -> int | None:
    found = priced(work, key, item.endpoint, view.snapshot)
    return most_of(found)[0] if unpriced(found) is None else None


def price_text(nano: int | None) -> str:
    """Return an expected cost for people."""
    return "unknown price; set it in pricing.overrides" if nano is None else f"expected cost {dollars(nano)}"


def cost_text(item: Candidate, nano: int | None) -> str:
    """Return the expected cost at a candidate for people."""
    return f"{item.id}: {price_text(nano)}"


def ceiling_of(facts: Facts, configured: Ceiling | None) -> Ceiling | None:
    """Return the lower of the request's ceiling and the configured one."""
    requested = facts.call.head.max_nano
    if requested is None or (configured is not None and configured.nano <= requested):
        return configured
    return Ceiling(requested, "the header x-pointsman-max-usd")


def above(ceiling: Ceiling, candidates: Sequence[Candidate], facts: Facts, view: View) -> dict[Candidate, Verdict]:
    """Return a verdict for each candidate that is not known to be within the ceiling."""
    found = {}
    for item, nano in zip(candidates, expected_costs(candidates, facts, view), strict=True):
        if nano is None or nano > ceiling.nano:
            found[item] = Verdict(item.id, POLICY, _reason(ceiling, nano))
    return found


def _reason(ceiling: Ceiling, nano: int | None) -> Reason:
    most = f"the {dollars(ceiling.nano)} that {ceiling.source} allows"
    if nano is None:
        message = f"its price is unknown, so it may cost more than {most}; set the price in pricing.overrides"
    else:
        message = f"this request is expected to cost {dollars(nano)}, more than {most}"
    return Reason("above_max_cost", message)
