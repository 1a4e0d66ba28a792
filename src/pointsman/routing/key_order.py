"""The order of a provider's keys for strategies that learn.

Weights are the prior: keys are drawn by them. Two facts lower the weight of a key:

    failures     by the square of the share of attempts that did not fail, in a decayed memory of `MEMORY_S`
    in progress  by the ratio to the fair number of attempts, if it has more than that

A key whose cache probably holds the most of the prompt comes first, while its weight is lowered by less than half. Else
requests with the same prompt draw the same numbers, so that workers choose the same key without an exchange.

A draw without replacement by weights: each key draws the time of an event whose rate is its weight (Efraimidis and
Spirakis, "Weighted random sampling with a reservoir", 2006).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import exp, log1p

from msgspec import Struct

from pointsman.domain.calls import Prefix
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing.prefixes import Domain, Prefixes, domain_of
from pointsman.routing.splits import fraction
from pointsman.wire.prefixes import LEAST_BLOCKS, tokens_of

MEMORY_S = 20.0
LEAST_DECAY_S = 0.05
MOST_KEYS = 10_000
WELL = 0.5  # of its weight: a key that is lowered further is not preferred for its cache
_LEAST = 1e-9  # of its weight, so that no key is divided by zero

KeyId = tuple[str, str]  # of a provider and its key


class _KeyState(Struct, gc=False):
    """The attempts of a key: those that are running, and the decayed numbers of those that ended well and badly."""

    running: int = 0
    served: float = 0.0
    failed: float = 0.0
    at: float = 0.0

    def share_of_failures(self, now: float) -> float:
        kept = exp(-max(now - self.at, 0.0) / MEMORY_S)
        return (self.failed * kept + 0.02) / ((self.served + self.failed) * kept + 2.0)


class KeyStates:
    """The attempts with each provider key, of strategies that learn. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._states: dict[KeyId, _KeyState] = {}

    def find(self, name: KeyId) -> _KeyState | None:
        """Return the attempts with a key, if there were some."""
        return self._states.get(name)

    def begin(self, name: KeyId) -> None:
        """Note the start of an attempt."""
        found = self._states.get(name)
        if found is None:
            if len(self._states) >= MOST_KEYS:
                self._states.clear()
            found = self._states[name] = _KeyState()
        found.running += 1

    def end(self, name: KeyId, now: float, *, failed: bool | None) -> None:
        """Note the end of an attempt. `failed` is `None` if it says nothing about the key."""
        found = self._states.get(name)
        if found is None:
            return
        found.running = max(found.running - 1, 0)
        if failed is None:
            return
        passed_s = now - found.at
        if passed_s > LEAST_DECAY_S:
            kept = exp(-passed_s / MEMORY_S)
            found.served, found.failed, found.at = found.served * kept, found.failed * kept, now
        if failed:
            found.failed += 1.0
        else:
            found.served += 1.0


class RankedKey(Struct, frozen=True, gc=False):
    """A key with the terms of its place: its weight, the share of it that is left, and the blocks of the prompt that
    its cache probably holds."""

    key: ProviderKey
    left: float
    failures: float
    running: int
    blocks: int

    @property
    def text(self) -> str:
        terms = [f"weight {self.key.weight:g}"]
        if self.blocks >= LEAST_BLOCKS:
            terms.append(f"{tokens_of(self.blocks)} tokens of the prompt probably cached")
        if self.left < 1.0:
            terms.append(f"{100 * self.failures:.2g} % failures, {self.running} in progress")
        return f"{self.key.name} ({', '.join(terms)})"


class KeyNotes(Struct, frozen=True, gc=False):
    """The notes of a strategy, and the keys of candidates in their order."""

    notes: Iterable[str]
    ranked: Sequence[tuple[Candidate, Sequence[RankedKey]]]

    def __iter__(self) -> Iterator[str]:
        yield from self.notes
        for item, ranked in self.ranked:
            yield f"keys of {item.id}: {', '.join([one.text for one in ranked])}"


class KeyOrder:
    """The orders of the keys of a candidate, which has several."""

    __slots__ = ("_domains", "_fractions", "_item", "_names", "_shares")

    def __init__(self, item: Candidate) -> None:
        self._item = item
        total = sum(key.weight for key in item.keys)
        self._shares = [key.weight / total if total > 0 else 1.0 / len(item.keys) for key in item.keys]
        self._names: list[KeyId] = [(item.endpoint.name, key.name) for key in item.keys]
        self._domains: list[Domain] = [domain_of(item, key) for key in item.keys]
        self._fractions = [fraction("key", f"{item.id}\0{key.name}") for key in item.keys]

    def order(
        self, states: KeyStates, prefixes: Prefixes, prefix: Prefix | None, random: Callable[[], float], now: float
    ) -> list[RankedKey]:
        """Return the keys in the order of use, with its terms. `random` draws a number in [0, 1)."""
        found = [states.find(name) for name in self._names]
        running = sum([state.running for state in found if state is not None])
        ranked: list[tuple[bool, int, float, RankedKey]] = []
        for place, state in enumerate(found):
            share, left, failures, count = self._shares[place], 1.0, 0.0, 0
            if state is not None:
                failures, count = state.share_of_failures(now), state.running
                left = (1.0 - max(failures - 0.01, 0.0)) ** 2
                if count:
                    left *= min((share * (running + 1) + 1.0) / (count + 1.0), 1.0)
            blocks = 0 if prefix is None else prefixes.matched(self._domains[place], prefix.blocks, now)
            drawn = random() if prefix is None else prefix.group * self._fractions[place] % 1.0
            time = -log1p(-drawn) / max(share * left, _LEAST)
            is_preferred = blocks >= LEAST_BLOCKS and left >= WELL
            key = RankedKey(self._item.keys[place], left, failures, count, blocks)
            ranked.append((not is_preferred, -blocks if is_preferred else 0, time, key))
        ranked.sort(key=_rank)
        return [one for _, _, _, one in ranked]


def _rank(entry: tuple[bool, int, float, RankedKey]) -> tuple[bool, int, float]:
    return entry[:3]
