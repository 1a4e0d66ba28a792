"""Paced budgets in the order of a plan: candidates that cost more than they are worth come after cheaper ones.

Any strategy makes the order first, and it is taken as the order of quality. The first candidate is worth the value of
the request, and the last of the cheaper ones behind it nothing. If several cheaper ones follow each other, the value
falls evenly from one to the next. The candidates are then sorted by `value - price * expected cost`, where the price is
the dual price of the budget. At the price 0, the order holds. Only costs that count in the budget are included. If
several paced budgets apply, that with the highest price decides.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.dollars import NANO
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.plans import Choice
from pointsman.domain.rules import Directive
from pointsman.domain.targets import Candidate
from pointsman.money.pacing import Pacer, steps_of
from pointsman.money.terms import limits_for
from pointsman.routing.costs import expected_costs
from pointsman.routing.ordering import Ordered
from pointsman.routing.view import RandomSource, View

DEFAULT_VALUE = 1.0  # of a request without a hint
CHEAPER = 0.9  # a candidate is cheaper than another if its cost is below this part of the other's

Paced = Mapping[Limit, frozenset[Candidate]]
"""The paced budgets of a candidate set, each with the candidates whose attempts count in it."""


class PacingNotes(Struct, frozen=True, gc=False):
    """The notes of a strategy, and one on the budget that decided. `moved` is the candidate that would be first without
    it, and `behind` the one that is. The price is not known before the first requests, nor to a dry run."""

    notes: Iterable[str]
    limit: Limit
    used: float
    planned: float
    price: float
    value: float
    moved: str
    behind: str
    is_known: bool = True

    def __iter__(self) -> Iterator[str]:
        yield from self.notes
        yield self.text

    @property
    def text(self) -> str:
        """The note on the budget."""
        effect = f"{self.moved} comes after {self.behind}" if self.moved != self.behind else "the order holds"
        if not self.is_known:
            effect = "its dual price is unknown before the first requests"
            return f"paced {self.limit}: {self.used:.1%} used, {self.planned:.1%} of the window over, {effect}"
        return (
            f"paced {self.limit}: {self.used:.1%} used, {self.planned:.1%} of the window over, "
            f"dual price {self.price:.4g} per dollar, value {self.value:g}: {effect}"
        )


def paces_users(key: VirtualKey | None) -> bool:
    """Return whether end users of a key have paced budgets."""
    return key is not None and any(limit.paced for one in key.end_users for limit in one.limits)


def value_of(directive: Directive | None) -> float:
    """Return the value of a request: that of the rules that match it, else 1."""
    return DEFAULT_VALUE if directive is None or directive.value is None else directive.value


def paced_budgets(candidates: Iterable[Candidate], key: VirtualKey | None) -> Paced:
    """Return the paced budgets that attempts of a key count in."""
    found: dict[Limit, list[Candidate]] = {}
    for item in candidates:
        for limit in limits_for(key, item):
            if limit.paced and item.provenance == "target":
                found.setdefault(limit, []).append(item)
    return {limit: frozenset(items) for limit, items in found.items()}


def pace(
    paced: Paced,
    choices: tuple[Choice, ...],
    ordered: Ordered,
    facts: Facts,
    value: float,
    *,
    view: View,
    rng: RandomSource,
) -> tuple[tuple[Choice, ...], Ordered]:
    """Return the choices in the order of the paced budgets, and the order of the strategy with a note on them. Only the
    targets that the strategy ordered are moved: fallbacks and last resorts are for failures. Every request teaches the
    pacers its costs. `value` is that of the request relative to others."""
    candidates = ordered.candidates
    if not candidates:
        return choices, ordered
    movable, key = len(candidates), facts.virtual_key
    if key is not None and key.end_users:
        of_user = [limit for limit in view.end_users.limits_of(facts.call, key, facts.unix_s) if limit.paced]
        paced = {**paced, **dict.fromkeys(of_user, frozenset(candidates))}
        if not paced:
            return choices, ordered
    costs = expected_costs(candidates, facts, view)
    best: _Priced | None = None
    for limit, counted in paced.items():
        pacer = _advanced(view, limit, facts.unix_s)
        charges = [_charge(item, nano, counted) for item, nano in zip(candidates, costs, strict=True)]
        priced = _Priced(limit, pacer, charges, value, rng)
        if best is None or priced.price > best.price:
            best = priced
    assert best is not None  # a candidate set without paced budgets does not come here
    places = best.places()
    first = choices[places[0]]
    pacer = best.pacer
    notes = PacingNotes(
        ordered.notes,
        best.limit,
        pacer.used,
        pacer.planned,
        best.price * NANO,
        value=value,
        moved=candidates[0].id,
        behind=first.candidate.id,
        is_known=best.is_known,
    )
    kept_by = ordered.kept_by if first is choices[0] else ""
    return (*[choices[place] for place in places], *choices[movable:]), replace(ordered, notes=notes, kept_by=kept_by)


class _Priced:
    """The candidates of a request under one paced budget, with the costs that count in it; `None` if unknown."""

    __slots__ = ("_scores", "is_known", "limit", "pacer", "price")

    def __init__(
        self, limit: Limit, pacer: Pacer, charges: Sequence[float | None], value: float, rng: RandomSource
    ) -> None:
        self.limit = limit
        self.pacer = pacer
        self.price = price = pacer.low if pacer.low == pacer.high else pacer.price(rng.random())
        self.is_known = pacer.is_informed or price > 0
        known = [charge for charge in charges if charge is not None]
        values = values_of(known, value)
        if known:
            pacer.offer(*steps_of(values, known))
        scores = iter([worth - price * cost for worth, cost in zip(values, known, strict=True)])
        self._scores = [-inf if charge is None else next(scores) for charge in charges]

    def places(self) -> list[int]:
        """Return the places of the candidates by descending score. Equal ones keep their order."""
        places = list(range(len(self._scores)))
        if self.price > 0:
            places.sort(key=lambda place: -self._scores[place])
        return places


def _charge(item: Candidate, nano: int | None, counted: frozenset[Candidate]) -> float | None:
    """Return the cost that counts in a budget."""
    if nano is None:
        return None
    return float(nano) if item in counted else 0.0


def values_of(costs: Sequence[float], value: float) -> list[float]:
    """Return the values of candidates in the order of quality: in proportion to the longest row of ever cheaper
    candidates that follows each."""
    ranks = [0] * len(costs)
    for place in reversed(range(len(costs))):
        behind = range(place + 1, len(costs))
        ranks[place] = max([ranks[one] + 1 for one in behind if costs[one] < CHEAPER * costs[place]], default=0)
    highest = max(ranks, default=0) or 1
    return [value * rank / highest for rank in ranks]


def _advanced(view: View, limit: Limit, unix_s: float) -> Pacer:
    """Return the pacer of a budget with its present price. While the used amount is unknown, the last price holds."""
    pacer = view.pacer(limit)
    used = view.used(limit, unix_s)
    if used is not None:
        pacer.advance(limit, used, unix_s)
    return pacer
