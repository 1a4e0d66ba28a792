"""The affinity of a request to the candidates whose caches probably hold the beginning of its prompt.

It is never a filter: tokens that are expected in a cache lower the expected time and cost of a candidate, so a strategy
leaves the cache once another candidate is better by more than that. All requests with the same group draw the same
random numbers, so that workers agree without an exchange. A prompt without a group has that of the first block after
those in the fullest cache.
"""

from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain.calls import Call, Prefix
from pointsman.domain.targets import Candidate
from pointsman.routing.health import block_of
from pointsman.routing.prefixes import domain_of
from pointsman.routing.splits import fraction
from pointsman.routing.view import View
from pointsman.wire.prefixes import prefix_of
from pointsman.wire.tokens import about_by_size


class Match(Struct, frozen=True, gc=False):
    """The tokens of a prompt that each candidate is expected to read from its cache. `charged` has those that lower its
    price, or `None` if it never reported any. `prefix` has a group that is not 0."""

    prefix: Prefix
    tokens: Sequence[float]
    charged: Sequence[float | None]


class Affinity:
    """The caches of some candidates, each with one or several keys."""

    __slots__ = ("_candidates", "_domains", "_shares", "is_needed")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._domains = [[(key.name, domain_of(item, key)) for key in item.keys] for item in candidates]
        self.is_needed = len({domain for domains in self._domains for _, domain in domains}) > 1
        self._shares = [fraction("affinity", item.id) for item in candidates]

    def match(self, call: Call, view: View, now: float) -> Match | None:
        """Return the match of a prompt, or `None` if no cache can have it. Blocked keys do not count."""
        prefix = prefix_of(call) if self.is_needed else None
        if prefix is None:
            return None
        prefixes, blocks, key_blocks = view.paces.prefixes, prefix.blocks, view.key_blocks
        size = about_by_size(call)
        tokens, charged, longest = list[float](), list[float | None](), 0
        for item, domains in zip(self._candidates, self._domains, strict=True):
            most, found, has_reported = 0, None, False
            for name, domain in domains:
                has_reported = has_reported or prefixes.has_reported(domain)
                if key_blocks and block_of(key_blocks, item, name, now) is not None:
                    continue
                matched = prefixes.matched(domain, blocks, now)
                if matched > most:
                    most, found = matched, domain
            held: float = prefixes.tokens(found, most) if found is not None else 0.0
            if held > size:  # noqa: PLR1730 -- `min` and `max` cost more, once for each candidate
                held = size
            if most > longest:  # noqa: PLR1730
                longest = most
            tokens.append(held)
            charged.append(held if has_reported else None)
        if not prefix.group:
            prefix = Prefix(blocks, blocks[min(longest, len(blocks) - 1)] or 1)
        return Match(prefix, tokens, charged)

    def share(self, place: int, group: int) -> float:
        """Return the number in [0, 1) that requests of a group draw for a candidate. The smallest comes first."""
        return group * self._shares[place] % 1.0
