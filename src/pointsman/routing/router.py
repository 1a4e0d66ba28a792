"""A router for each snapshot: it keeps results that depend only on the configuration and that every request needs.

The memos are plain dicts which die with their snapshot. Clients invent names, so each of them is bounded. A router
never refers to its snapshot. Otherwise an old configuration, with its provider keys, would wait for the garbage
collector.
"""

from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Names, PublicModel, Snapshot
from pointsman.routing.caller_conditions import conditions_of
from pointsman.routing.candidate_set import CandidateSet
from pointsman.routing.candidates import directed_by, find_candidates, limited_by
from pointsman.routing.instead import with_instead
from pointsman.routing.names import find
from pointsman.routing.pins import pinned
from pointsman.routing.rulebook import RuleBook

MAX_ENTRIES = 8192  # entries of each memo


class Router:
    """The memos of one snapshot. `router_of` keeps it with its snapshot, which callers pass to its methods."""

    __slots__ = ("_names", "_resolved", "_sets", "rulebook")

    def __init__(self, snapshot: Snapshot) -> None:
        self._names = snapshot.names or Names(snapshot.endpoints, snapshot.pricing.catalog, siblings=False)
        self._resolved: dict[str, PublicModel | None] = {}
        self._sets: dict[tuple[object, ...], CandidateSet] = {}
        self.rulebook = RuleBook(snapshot.rules, snapshot.logged_facts)

    def resolve(self, model: str) -> PublicModel | None:
        """Return the candidates of a name that is not a public name; `None` if there are none."""
        resolved = self._resolved
        if model not in resolved:
            if len(resolved) >= MAX_ENTRIES:
                resolved.clear()
            resolved[model] = find(self._names, model)
        return resolved[model]

    def candidates(
        self, facts: Facts, snapshot: Snapshot, directive: Directive | None = None
    ) -> CandidateSet | Failure:
        """Return the candidates for a call, or the reason that there are none. `directive` is from the rules that
        match it."""
        call, key, pin, provider = facts.call, facts.virtual_key, facts.call.pin, facts.call.head.provider
        name: tuple[object, ...] = (call.model, call.operation, key)
        if provider is not None or call.fallbacks or pin is not None or call.head.require or directive is not None:
            location = (pin.provider, pin.key, pin.follows_rules) if pin is not None else None
            name = (*name, provider, call.fallbacks, location, call.head.require, directive)
        known = self._sets.get(name)
        if known is not None and facts.unix_s < known.until:
            return known
        named = find_candidates(call, snapshot, self.resolve, directive, key)
        if isinstance(named, Failure):
            return named
        if key is not None and (key.entries or key.strategy is not None):
            named = limited_by(key, named, directive)
        if pin is None:
            named = (with_instead(named[0], call, key, snapshot, self.resolve), *named[1:])
        if directive is not None:
            named = directed_by(directive, named)
        if pin is not None:
            located = pinned(call, pin, named[0], snapshot)
            if isinstance(located, Failure):
                return located
            named = (located, *named[1:])
        if len(self._sets) >= MAX_ENTRIES:
            self._sets.clear()
        found = self._sets[name] = CandidateSet(named, facts, snapshot, directive)
        return found


def router_of(snapshot: Snapshot) -> Router:
    """Return the router of a snapshot. It is made at its first use and dies with the snapshot."""
    memo: dict[str, Router] = snapshot.__dict__
    router = memo.get("router")
    if router is None:
        router = memo["router"] = Router(snapshot)
        conditions_of(snapshot)  # compiled before requests come, like those of rules
    return router
