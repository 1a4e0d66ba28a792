"""The choices of a plan: each candidate with its keys in the order of use."""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.plans import Choice
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing.key_order import KeyNotes, KeyOrder, RankedKey
from pointsman.routing.ordering import Ordered
from pointsman.routing.paces import Paces
from pointsman.routing.view import RandomSource
from pointsman.routing.weights import Draw


class KeyChoices:
    """The keys of some candidates. They are drawn by their weights. For a strategy that `learns`, the order also
    follows from what is known of each key. `has_several` is true if some candidate has more than one."""

    __slots__ = ("_draws", "_orders", "has_several")

    def __init__(self, candidates: Sequence[Candidate], *, learns: bool) -> None:
        several = [item for item in candidates if len(item.keys) > 1]
        self.has_several = bool(several)
        self._draws = {item: Draw(item.keys) for item in several}
        self._orders = {item: KeyOrder(item) for item in several} if learns else {}

    def drawn(self, item: Candidate, call: Call, rng: RandomSource) -> Choice:
        """Return a candidate with its keys as weights draw them. Objects of an account are always requested with the
        same key."""
        if call.stateful:
            return Choice(item, _heaviest(item.keys))
        return Choice(item, self._draws[item].order(rng) if item in self._draws else item.keys)

    def learned(
        self, candidates: Sequence[Candidate], ordered: Ordered, paces: Paces, rng: RandomSource, now: float
    ) -> tuple[tuple[Choice, ...], Ordered]:
        """Return candidates with their keys as weights and their attempts order them, and the order with their
        terms."""
        found, ranked, orders = list[Choice](), list[tuple[Candidate, Sequence[RankedKey]]](), self._orders
        for item in candidates:
            if item not in orders:
                found.append(Choice(item, item.keys))
                continue
            keys = orders[item].order(paces.keys, paces.prefixes, ordered.prefix, rng.random, now)
            ranked.append((item, keys))
            found.append(Choice(item, tuple([one.key for one in keys])))
        return tuple(found), replace(ordered, notes=KeyNotes(ordered.notes, ranked))


def _heaviest(keys: tuple[ProviderKey, ...]) -> tuple[ProviderKey, ...]:
    return tuple(sorted(keys, key=lambda key: (-key.weight, key.name))[:1])
