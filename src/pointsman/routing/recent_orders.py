"""Orders of a moment ago, for similar requests under heavy traffic.

An order by learned estimates costs microseconds for each candidate. If a model has hundreds of requests a second, the
estimates hardly change from one to the next. So each similar request gets one of the latest orders, drawn at random: a
few of them are kept, since orders contain noise that spreads requests over equal candidates. At a usual rate nothing is
reused, and each order is that of its own request.

Requests are similar if they have the same candidates, operation and bounds, and prompts of about the same size. Those
with fields that change their price or their cache are never similar to others.
"""

from collections.abc import Hashable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.view import RandomSource, View
from pointsman.wire.prefixes import FIELDS_APART, LEAST_BYTES

HEAVY_S = 0.002  # the mean time between the requests for a model, below which orders are reused


class RecentNotes(Struct, frozen=True, gc=False):
    """The notes of the request that an order was computed for, `age_s` seconds ago."""

    ordered: Ordered
    age_s: float

    def __iter__(self) -> Iterator[str]:
        yield f"heavy traffic: in the order of a similar request {self.age_s * 1000:.0f} ms ago"
        yield from self.ordered.notes


def reusing(candidates: tuple[Candidate, ...], settings: Hashable, order: Order) -> Order:
    """Return the order that reuses the latest orders under heavy traffic."""
    if len(candidates) < 2:
        return order

    has_owners: bool | None = None  # of prices: whether the virtual key matters

    def reuse(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        call, paces = facts.call, view.paces
        if paces.gap_s(call.model) >= HEAVY_S or not _is_alike(call):
            return order(facts, view, rng, now)
        nonlocal has_owners
        if has_owners is None:
            has_owners = any(one.owner is not None for one in view.snapshot.pricing.overrides)
        owner = facts.virtual_key if has_owners else None
        size, most = call.size.bit_length(), (call.max_tokens or 0).bit_length()
        kind = (candidates, settings, call.model, call.operation, call.stream, call.answers, size, most, owner)
        kept = paces.recent.find(kind, rng.random(), now)
        if kept is not None and isinstance(kept.value, Ordered):
            return replace(kept.value, notes=RecentNotes(kept.value, now - kept.at))
        ordered = order(facts, view, rng, now)
        if not ordered.probe and ordered.prefix is None:  # these are for their own request alone
            paces.recent.add(kind, ordered, now)
        return ordered

    return reuse


def _is_alike(call: Call) -> bool:
    """Return whether nothing sets the request apart from others of its kind."""
    return (
        call.size < LEAST_BYTES  # else a cache may have it
        and call.head.session is None
        and not call.media.count
        and FIELDS_APART.isdisjoint(call.fields)
    )
