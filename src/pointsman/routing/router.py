"""A router for each snapshot: it keeps results that depend only on the configuration and that every request needs.

The memos are plain dicts which die with their snapshot. Clients invent names, so each of them is bounded. A router
never refers to its snapshot. Otherwise an old configuration, with its provider keys, would wait for the garbage
collector.
"""

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Choice, Reason, Verdict
from pointsman.domain.snapshots import Names, PublicModel, Snapshot
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.routing import policies
from pointsman.routing.candidates import Named, find_candidates, limited_by
from pointsman.routing.names import find
from pointsman.routing.ordering import Order
from pointsman.routing.pins import pinned
from pointsman.routing.policies import Check
from pointsman.routing.strategies import STRATEGIES
from pointsman.routing.view import Dice, View
from pointsman.routing.weights import Draw

MAX_ENTRIES = 8192  # entries of each memo
MAX_EVALUATION_S = 1.0  # the longest life of an objection of live state, since its message contains the remaining time

Choices = tuple[Choice, ...]


class Evaluation(Struct, frozen=True, eq=False):
    """A candidate set evaluated under the present live state. `order` orders the targets, `others` are the fallbacks
    and last resorts behind them, and `verdicts` are all objections of policies. It holds while the view has this
    `version`, and before `until`. `choices` keeps those of each order if no candidate has several keys to choose
    from."""

    version: object
    until: float
    order: Order
    others: tuple[Candidate, ...]
    verdicts: tuple[Verdict, ...]
    choices: dict[tuple[Candidate, ...], Choices]


class CandidateSet:
    """The candidates for a model, an operation and a virtual key, with all results that hold as long as the snapshot.

    `watches` test whether a policy that checks requests might object to a request; `evaluation` is the last one.
    """

    def __init__(self, named: Named, call: Call, key: VirtualKey | None, snapshot: Snapshot) -> None:
        candidates, strategy, self.source = named
        public = snapshot.models.get(call.model)
        self.routing = (public.routing if public is not None else None) or snapshot.routing
        chosen = strategy or self.routing.strategy
        self.strategy, self._kind = chosen.name, STRATEGIES[chosen.name]
        self._settings = chosen.settings or self._kind.settings()
        found = [watching(candidates, snapshot) for watching in policies.WATCHES]
        self.watches = [watch for watch in found if watch is not None]
        self._candidates = tuple(candidates)
        self._draws = {item: Draw(item.keys) for item in candidates if len(item.keys) > 1}
        self._static: dict[Candidate, Verdict] = {}
        for policy, static in policies.STATIC:
            for item in candidates:
                _note(self._static, item, policy, static(item, call.operation, key, snapshot))
        self.evaluation = Evaluation(None, 0.0, self._kind.make((), self._settings), (), (), choices={})

    def refresh(self, facts: Facts, view: View, now: float) -> Evaluation:
        """Return the evaluation under the present state, for this request and those that follow."""
        self.evaluation = evaluation = self.evaluate(facts, view, now, policies.LIVE)
        return evaluation

    def evaluate(self, facts: Facts, view: View, now: float, checks: Sequence[tuple[str, Check]]) -> Evaluation:
        """Return the evaluation by these policies. There is at most one verdict for each candidate. It is the first
        exclusion, else the first reason to try the candidate last: a rule outranks a guess."""
        found = dict(self._static)
        for policy, check in checks:
            for item in self._candidates:
                before = self._static.get(item)
                if before is None or before.reason.is_last_resort:
                    _note(found, item, policy, check(item, facts, view, now))
        until = inf
        if found != self._static:
            ends = [verdict.reason.until for verdict in found.values() if verdict.reason.until is not None]
            until = min([now + MAX_EVALUATION_S, *ends])
        if found:
            found = {item: found[item] for item in self._candidates if item in found}
        remaining = [item for item in self._candidates if item not in found]
        targets = tuple([item for item in remaining if item.provenance == "target"])
        others = [item for item in remaining if item.provenance != "target"]
        last = [item for item, verdict in found.items() if verdict.reason.is_last_resort]
        last.sort(key=lambda item: found[item].reason.until or now)
        order = self._kind.make(targets, self._settings)
        return Evaluation(view.version, until, order, (*others, *last), tuple(found.values()), choices={})

    def choices(self, ordered: tuple[Candidate, ...], evaluation: Evaluation, call: Call, rng: Dice) -> Choices:
        """Return the choices of an order, each with its keys in the order of use. Objects of an account are always
        requested with the same key."""
        candidates, draws = (*ordered, *evaluation.others), self._draws
        if not draws:
            if len(evaluation.choices) >= MAX_ENTRIES:
                evaluation.choices.clear()
            found = evaluation.choices[ordered] = tuple([Choice(item, item.keys) for item in candidates])
            return found
        if call.stateful:
            return tuple([Choice(item, _heaviest(item.keys)) for item in candidates])
        return tuple([Choice(item, draws[item].order(rng) if item in draws else item.keys) for item in candidates])


def _note(found: dict[Candidate, Verdict], item: Candidate, policy: str, reason: Reason | None) -> None:
    if reason is not None:
        before = found.get(item)
        if before is None or (before.reason.is_last_resort and not reason.is_last_resort):
            found[item] = Verdict(item.id, policy, reason)


def _heaviest(keys: tuple[ProviderKey, ...]) -> tuple[ProviderKey, ...]:
    return tuple(sorted(keys, key=lambda key: (-key.weight, key.name))[:1])


class Router:
    """The memos of one snapshot. `router_of` keeps it with its snapshot, which callers pass to its methods."""

    __slots__ = ("_names", "_resolved", "_sets")

    def __init__(self, snapshot: Snapshot) -> None:
        self._names = snapshot.names or Names(snapshot.endpoints, snapshot.pricing.catalog, siblings=False)
        self._resolved: dict[str, PublicModel | None] = {}
        self._sets: dict[tuple[object, ...], CandidateSet] = {}

    def resolve(self, model: str) -> PublicModel | None:
        """Return the candidates of a name that is not a public name; `None` if there are none."""
        resolved = self._resolved
        if model not in resolved:
            if len(resolved) >= MAX_ENTRIES:
                resolved.clear()
            resolved[model] = find(self._names, model)
        return resolved[model]

    def candidates(self, facts: Facts, snapshot: Snapshot) -> CandidateSet | Failure:
        """Return the candidates for a call, or the reason that there are none."""
        call, key, pin, provider = facts.call, facts.virtual_key, facts.call.pin, facts.call.head.provider
        name: tuple[object, ...] = (call.model, call.operation, key)
        if provider is not None or call.fallbacks or pin is not None:
            location = (pin.provider, pin.key) if pin is not None else None
            name = (*name, provider, call.fallbacks, location)
        known = self._sets.get(name)
        if known is not None:
            return known
        named = find_candidates(call, snapshot, self.resolve)
        if isinstance(named, Failure):
            return named
        if key is not None and (key.entries or key.strategy is not None):
            named = limited_by(key, named)
        if pin is not None:
            located = pinned(call, pin, named[0], snapshot)
            if isinstance(located, Failure):
                return located
            named = (located, *named[1:])
        if len(self._sets) >= MAX_ENTRIES:
            self._sets.clear()
        found = self._sets[name] = CandidateSet(named, call, key, snapshot)
        return found


def router_of(snapshot: Snapshot) -> Router:
    """Return the router of a snapshot. It is made at its first use and dies with the snapshot."""
    memo: dict[str, Router] = snapshot.__dict__
    router = memo.get("router")
    if router is None:
        router = memo["router"] = Router(snapshot)
    return router
