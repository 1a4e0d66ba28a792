"""The candidates of requests that differ only in their bodies, with all results that hold as long as the snapshot."""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.plans import Choice, Plan
from pointsman.domain.rules import Directive
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import Candidate
from pointsman.routing import fallbacks, policies
from pointsman.routing.candidates import Named
from pointsman.routing.compliance import compliant, requirements_of, valid_until
from pointsman.routing.costs import above, ceiling_of
from pointsman.routing.evaluation import Choices, Evaluation, Judge, bounded, static_verdicts
from pointsman.routing.key_choices import KeyChoices
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.pacing import pace, paced_budgets, paces_users, value_of
from pointsman.routing.strategies import STRATEGIES
from pointsman.routing.view import RandomSource, View

MAX_ORDERS = 8192  # whose choices are kept
MAX_SUBSETS = 64  # of targets whose orders are kept
_ONLY = STRATEGIES["priority"]  # the order of a single target


def _has_orders(candidates: Sequence[Candidate]) -> bool:
    """Return whether targets, or the keys of one candidate, can be tried in several orders. Otherwise there is nothing
    to learn."""
    targets = [item for item in candidates if item.provenance == "target"]
    return len(targets) > 1 or any(len(item.keys) > 1 for item in candidates)


class CandidateSet:
    """The candidates for a model, an operation and a virtual key, with all results that hold as long as the snapshot.

    `require` are the requirements of the request, which every candidate meets with each of its keys. The set holds
    before `until`, in Unix seconds. `paced` are the paced budgets that attempts count in, and `is_paced` is true if
    there are some, of end users too. With `is_shaped`, plans need more facts of their requests. `mirror` has the copies
    of requests for a public name. `judge` has all candidates, and `evaluation` is the last one.
    """

    def __init__(self, named: Named, facts: Facts, snapshot: Snapshot, directive: Directive | None) -> None:
        found, strategy, self.source = named
        call, unix_s = facts.call, facts.unix_s
        self.require = requirements_of(facts, snapshot, directive)
        self.until = valid_until(found, self.require, unix_s)
        candidates = [compliant(item, self.require, unix_s) for item in found]
        asker = policies.Asker(call.operation, facts.virtual_key, snapshot, unix_s, directive)
        public = snapshot.models.get(call.model)
        self.routing = (public.routing if public is not None else None) or snapshot.routing
        if directive is not None and directive.timeouts:
            self.routing = replace(self.routing, timeouts=replace(self.routing.timeouts, **directive.timeouts))
        self.mirror = public.mirror if public is not None else None
        if directive is not None and (directive.targets or directive.provider_key is not None):
            self.mirror = None  # the rule restricts the providers that may get the request
        failover = self.routing.failover
        chosen = strategy or self.routing.strategy
        kind = STRATEGIES[chosen.name]
        self.learns = kind.learns and _has_orders(candidates)
        self.is_shaped = bool(self.learns or self.routing.hedging or self.mirror or failover.first_token_s is not None)
        self.declared = fallbacks.declared_causes(candidates, self.routing.failover)
        self.strategy = chosen.name
        settings = chosen.settings or kind.settings()
        self.ceiling = kind.ceiling(settings) if kind.ceiling is not None else None
        if kind.learns and not self.learns:
            kind, settings = _ONLY, _ONLY.settings()
        self._kind, self._settings = kind, settings
        self.paced = paced_budgets(candidates, facts.virtual_key)
        self.is_paced = bool(self.paced) or paces_users(facts.virtual_key)
        self._has_instead = any(item.then for item in candidates)
        self.keys = KeyChoices(candidates, learns=self.learns)
        watches = [watch for watching in policies.WATCHES if (watch := watching(candidates, asker)) is not None]
        self.judge = Judge(tuple(candidates), static_verdicts(candidates, asker), bounded(candidates), tuple(watches))
        self._choices = {item: Choice(item, item.keys) for item in candidates}  # with all keys of each
        self._orders: dict[tuple[Candidate, ...], Order] = {}
        self.evaluation = Evaluation(None, 0.0, targets=(), order=self._order(()), others=(), verdicts=(), choices={})

    def refresh(self, facts: Facts, view: View, now: float) -> Evaluation:
        """Return the evaluation under the present state, for this request and those that follow."""
        self.evaluation = evaluation = self.evaluate(facts, view, now, policies.LIVE)
        return evaluation

    def evaluate(
        self, facts: Facts, view: View, now: float, checks: Sequence[tuple[str, policies.Check]]
    ) -> Evaluation:
        """Return the evaluation by these policies."""
        candidates = self.judge.candidates
        found = self.judge.verdicts(facts, view, now, checks)
        remaining = [item for item in candidates if item not in found]
        targets = tuple([item for item in remaining if item.provenance == "target"])
        others = [item for item in remaining if item.provenance not in ("target", "then")]
        last = [item for item, verdict in found.items() if verdict.reason.is_last_resort]
        last.sort(key=lambda item: found[item].reason.until or now)
        others += [item for item in last if not item.then]
        occurred = self.declared
        if self.declared:
            occurred = fallbacks.causes_before([item for item in candidates if not item.then], found)
        reachable, verdicts = self._reachable(targets, others, occurred), tuple(found.values())
        if self._has_instead and not any(verdict.reason.then for verdict in verdicts):
            # Nothing falls to the others, so their faults do not matter.
            verdicts = tuple([verdict for item, verdict in found.items() if not item.then])
        return Evaluation(
            version=view.version,
            until=self.judge.until(found, now),
            targets=targets,
            order=self._order(targets),
            others=reachable,
            verdicts=verdicts,
            choices={},
            occurred=occurred,
            instead=tuple([item for item in (*remaining, *last) if item.then]) if self._has_instead else (),
        )

    def _order(self, targets: tuple[Candidate, ...]) -> Order:
        """Return the order of some of the targets. It is kept, since it is costly to make and may count turns."""
        order = self._orders.get(targets)
        if order is None:
            if len(self._orders) >= MAX_SUBSETS:
                self._orders.clear()
            order = self._orders[targets] = self._kind.make(targets, self._settings)
        return order

    def _reachable(
        self, targets: Sequence[Candidate], others: Sequence[Candidate], occurred: frozenset[str]
    ) -> tuple[Candidate, ...]:
        """Return the candidates after the targets, but none if no attempt could open one of them."""
        if self.declared and not targets and fallbacks.none_is_open(others, self.routing.failover, occurred):
            return ()
        return tuple(others)

    def instead(self, evaluation: Evaluation, call: Call, rng: RandomSource) -> Choices:
        """Return the choices that budgets fall to."""
        return tuple([self.keys.drawn(item, call, rng) for item in evaluation.instead])

    def below_ceiling(self, evaluation: Evaluation, facts: Facts, view: View) -> Evaluation:
        """Return the evaluation without candidates at which this request may cost more than its ceiling."""
        ceiling = ceiling_of(facts, self.ceiling)
        if ceiling is None:
            return evaluation
        every = (*evaluation.targets, *evaluation.others, *evaluation.instead)
        found = above(ceiling, every, facts, view)
        if not found:
            return evaluation
        targets = tuple([item for item in evaluation.targets if item not in found])
        others = tuple([item for item in evaluation.others if item not in found])
        instead = tuple([item for item in evaluation.instead if item not in found])
        names = {verdict.candidate for verdict in found.values()}
        verdicts = (*[one for one in evaluation.verdicts if one.candidate not in names], *found.values())
        others = self._reachable(targets, others, evaluation.occurred)
        order = self._order(targets)
        return replace(
            evaluation, targets=targets, order=order, others=others, verdicts=verdicts, choices={}, instead=instead
        )

    def pace(
        self,
        choices: Choices,
        ordered: Ordered,
        facts: Facts,
        directive: Directive | None,
        *,
        view: View,
        rng: RandomSource,
    ) -> tuple[Choices, Ordered]:
        """Return the choices and the order as the paced budgets of the request change them."""
        return pace(self.paced, choices, ordered, facts, value_of(directive), view=view, rng=rng)

    def shaped(self, plan: Plan, ordered: Ordered, call: Call) -> Plan:
        """Return the plan with the facts that a hedge, a mirror, a limit on the first token or learning need."""
        most = call.max_tokens * call.answers if call.max_tokens is not None else None
        return replace(
            plan,
            answers=call.answers,
            most_tokens=most,
            learns=self.learns,
            patience=ordered.patience,
            prefix=ordered.prefix,
        )

    def choices(
        self, ordered: Ordered, evaluation: Evaluation, call: Call, *, view: View, rng: RandomSource, now: float
    ) -> tuple[Choices, Ordered]:
        """Return the choices of an order, each with its keys in the order of use. If that follows from what is known of
        them, the notes of the order have its terms."""
        candidates = (*ordered.candidates, *evaluation.others)
        if not self.keys.has_several:
            if len(evaluation.choices) >= MAX_ORDERS:
                evaluation.choices.clear()
            own = self._choices
            found = evaluation.choices[ordered.candidates] = tuple([own[item] for item in candidates])
            return found, ordered
        if self.learns and not call.stateful:
            return self.keys.learned(candidates, ordered, view.paces, rng, now)
        return tuple([self.keys.drawn(item, call, rng) for item in candidates]), ordered
