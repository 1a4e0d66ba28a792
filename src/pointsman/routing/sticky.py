"""Sticky targets: equal values, such as the id of a session, always get the same target first while weights stand."""

from collections import Counter
from collections.abc import Callable
from math import inf, log1p

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.routing.ordering import Ordered
from pointsman.routing.splits import fraction, hashed, salted
from pointsman.routing.weights import Draw
from pointsman.wire.end_users import end_user

KINDS = ("session", "end_user", "virtual_key", "header:NAME", "tag:NAME")

_UNUSED_BITS = 38  # of 64: of 53 bits of a product, 27 are left behind the point

ReadValue = Callable[[Facts], str]


def reader_of(kept: str) -> ReadValue | None:
    """Return the function that reads the value a split is kept by; it returns empty text if a request has none. Return
    `None` if `kept` is not one of `KINDS`."""
    if kept in _READERS:
        return _READERS[kept]
    kind, colon, name = kept.partition(":")
    if not colon or not name or name != name.strip().lower():
        return None
    if kind == "header":
        return lambda facts: facts.call.head.headers.get(name, "")
    if kind == "tag":
        return lambda facts: facts.call.head.tags.get(name, "")
    return None


def header_of(kept: str | None) -> str | None:
    """Return the name of the header that a split is kept by."""
    kind, _, name = (kept or "").partition(":")
    return name if kind == "header" else None


_READERS: dict[str, ReadValue] = {
    "session": lambda facts: facts.call.head.session or "",
    "end_user": lambda facts: end_user(facts.call),
    "virtual_key": lambda facts: facts.virtual_key.name if facts.virtual_key is not None else "",
}


class KeptOrders:
    """The orders of some weighted candidates, one of which each value always gets.

    Each candidate derives a number from the hash of the value. The smallest in proportion to its weight comes first
    (rendezvous hashing). So a larger weight only takes values from the others, and a candidate that is left out only
    gives up its own. One of weight zero never comes first, unless all weights are zero.

    A candidate multiplies a part of the hash by a fraction of its own and keeps the digits behind the point. The
    numbers of several candidates are jointly uniform (a Kronecker sequence), and cheaper than a hash for each.
    """

    def __init__(self, salt: str, candidates: tuple[Candidate, ...], kept: str) -> None:
        self.salt = salt
        self._beginning = salted(salt)
        notes = (f"the same {kept} always gets this target while weights stand",)
        self._drawing: list[tuple[float, float, Ordered]] = []
        before: Counter[str] = Counter()
        for order in Draw(candidates).orders:
            item = order[0]
            if item.weight > 0:
                factor = fraction("candidate", f"{item.id}\0{before[item.id]}")
                self._drawing.append((factor, -1 / item.weight, Ordered(order, notes, kept)))
                before[item.id] += 1
        self._otherwise = Ordered(candidates)

    def order(self, value: str) -> Ordered:
        """Return the order for a value."""
        number = hashed(self._beginning, value) >> _UNUSED_BITS
        least, found = inf, self._otherwise
        for factor, scale, order in self._drawing:
            drawn = log1p(-(number * factor % 1.0)) * scale
            if drawn < least:
                least, found = drawn, order
        return found
