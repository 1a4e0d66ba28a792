"""The lowest expected cost of this request first. Equal costs follow by descending weight, then in the order of the
configuration. Unknown prices come after known ones."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from pointsman.domain.calls import Facts
from pointsman.domain.dollars import nano_of
from pointsman.domain.targets import Candidate
from pointsman.routing.costs import Ceiling, cost_text, expected_costs
from pointsman.routing.health import subject
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.view import RandomSource, View


class CheapestSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`max_ttft_s` and `max_usd` bound the time to the first content and the expected cost."""

    max_ttft_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="The time in seconds to the first content of a stream. Targets that took longer on average "
            "come after the others. Default: no bound."
        ),
    ] = None
    max_usd: Annotated[
        Annotated[float, Meta(gt=0, le=1_000_000)] | None,
        Meta(
            description="The most that a request may be expected to cost, in dollars. Targets and fallbacks that would "
            "cost more, or whose price is unknown, are left out. Default: no bound."
        ),
    ] = None


class CheapestNotes(Struct, frozen=True, gc=False):
    """The costs of candidates, listed in their order, and the times to the first content that were too long, by the ids
    of candidates."""

    ordered: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    costs: list[int | None]
    slow: Mapping[str, float]
    max_ttft_s: float | None

    def __iter__(self) -> Iterator[str]:
        costs = dict(zip(self.candidates, self.costs, strict=True))
        for item in self.ordered:
            text, took_s = cost_text(item, costs[item]), self.slow.get(item.id)
            if took_s is not None:
                text += f", but its first content takes {took_s:.3g} s, more than max_ttft_s of {self.max_ttft_s:g} s"
            yield text


def strategy(candidates: tuple[Candidate, ...], settings: CheapestSettings) -> Order:
    max_ttft_s, places = settings.max_ttft_s, range(len(candidates))
    weights = [-item.weight for item in candidates]

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        costs = expected_costs(candidates, facts, view)
        slow = _NOBODY if max_ttft_s is None else _slow(candidates, facts, view, max_ttft_s)
        ranked = [
            (nano is None, nano or 0, weight, place) for nano, weight, place in zip(costs, weights, places, strict=True)
        ]
        ranked.sort()
        ordered = tuple([candidates[one[3]] for one in ranked])
        if slow:
            ordered = (*[one for one in ordered if one.id not in slow], *[one for one in ordered if one.id in slow])
        return Ordered(ordered, CheapestNotes(ordered, candidates, costs, slow, max_ttft_s))

    return order


def ceiling(settings: CheapestSettings) -> Ceiling | None:
    """Return the most that a request may be expected to cost."""
    return Ceiling(nano_of(settings.max_usd), "max_usd of the strategy") if settings.max_usd is not None else None


_NOBODY: Mapping[str, float] = {}


def _slow(candidates: tuple[Candidate, ...], facts: Facts, view: View, max_ttft_s: float) -> Mapping[str, float]:
    """Return the measured times to the first content that are too long, by the ids of candidates."""
    operation, readings = facts.call.operation, view.readings
    found = {item.id: readings.get(subject(item, operation)) for item in candidates}
    return {name: one.content_s for name, one in found.items() if one is not None and one.content_s > max_ttft_s}
