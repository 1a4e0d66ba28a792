"""The beginnings of prompts that the caches of providers probably hold.

A cache belongs to a *domain*: a provider and model, and the organisation of a key. A request leaves all blocks of its
prompt in the cache of its domain. They are expected to stay for `TTL_S` after their last use, the default of OpenAI and
Anthropic. Reports of cached tokens correct the expectation: `trust` is the share of the expected tokens that a domain
reported. Until a domain has reported some, its `trust` does not fall below `LEAST_UNREPORTED`, since some servers cache
without reports.

A block is the hash of a prompt up to the block's end (`wire.prefixes`), so each known block implies those before it.
Blocks are kept in two generations, so that old ones are forgotten without a list of their order.
"""

from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.wire.prefixes import LEAST_BLOCKS, tokens_of

TTL_S = 300.0
MOST_BLOCKS = 100_000  # of both generations together
MOST_DOMAINS = 10_000  # names may come from clients
LEAST_UNREPORTED = 0.25
TRUST_STEP = 0.125  # the weight of the newest report

Domain = tuple[str, str]  # the id of a candidate, and a key's cache domain
_HASH_BITS = 32


def domain_of(item: Candidate, key: ProviderKey) -> Domain:
    """Return the domain of the cache that requests for a candidate with this key use."""
    return item.id, key.cache_domain or key.name


class _Known(Struct, gc=False):
    """The knowledge of a domain: its place in the upper bits of its blocks, the share of the expected tokens that it
    reports, and whether it ever reported some."""

    base: int
    trust: float = 1.0
    has_reported: bool = False


class Prefixes:
    """The blocks that the caches of all domains hold, as far as one worker knows. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._domains: dict[Domain, _Known] = {}
        self._young: dict[int, float] = {}  # the last use of each block of a domain
        self._old: dict[int, float] = {}
        self._turned_at = 0.0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def matched(self, domain: Domain, blocks: Sequence[int], now: float) -> int:
        """Return how many blocks of a prompt, from its beginning, the cache of a domain probably holds."""
        known = self._domains.get(domain)
        if known is None:
            return 0
        young, old, base, since = self._young, self._old, known.base, now - TTL_S
        low, high = 0, len(blocks)
        middle = 1  # most prompts are known by their first block or not at all
        while low < high:
            block = base | blocks[middle - 1]
            used_at = young.get(block)
            if used_at is None:
                used_at = old.get(block)
            if used_at is not None and used_at > since:
                low = middle
            else:
                high = middle - 1
            middle = (low + high + 1) // 2
        return low

    def tokens(self, domain: Domain, blocks: int) -> float:
        """Return the expected number of cached tokens of so many matched blocks."""
        known = self._domains.get(domain)
        return 0.0 if known is None or blocks < LEAST_BLOCKS else tokens_of(blocks) * known.trust

    def has_reported(self, domain: Domain) -> bool:
        """Return whether a domain ever reported cached tokens, so that it charges less for them."""
        known = self._domains.get(domain)
        return known is not None and known.has_reported

    def note(self, domain: Domain, blocks: Sequence[int], now: float) -> None:
        """Note that a request with these blocks was sent to a domain."""
        known = self._domains.get(domain) or self._add(domain)
        if len(self._young) >= MOST_BLOCKS // 2 or now - self._turned_at > TTL_S:
            self._old, self._young, self._turned_at = self._young, {}, now
        young, base = self._young, known.base
        for block in blocks:
            young[base | block] = now

    def forget(self, domain: Domain, blocks: Sequence[int], noted_at: float) -> None:
        """Forget blocks that a request left there, since it failed, unless they were used since."""
        known = self._domains.get(domain)
        if known is not None:
            for block in blocks:
                if self._young.get(known.base | block) == noted_at:
                    del self._young[known.base | block]

    def learn(self, domain: Domain, expected: float, reported: int) -> None:
        """Note the cached tokens that a provider reported for a request, beside the matched tokens: those that its
        blocks would have if all of them were cached."""
        known = self._domains.get(domain)
        if known is None:
            return
        known.has_reported = known.has_reported or reported > 0
        if expected > 0:
            known.trust += (min(reported / expected, 1.0) - known.trust) * TRUST_STEP
            if not known.has_reported:
                known.trust = max(known.trust, LEAST_UNREPORTED)

    def _add(self, domain: Domain) -> _Known:
        if len(self._domains) >= MOST_DOMAINS:
            self._domains.clear()
            self._young, self._old = {}, {}
        known = self._domains[domain] = _Known((len(self._domains) + 1) << _HASH_BITS)
        return known
