"""The judgement of policies on the candidates of a request."""

from collections.abc import Mapping, Sequence
from math import inf

from msgspec import Struct

from pointsman.domain.calls import Call, Facts
from pointsman.domain.plans import Choice
from pointsman.domain.quotas import QuotaNeed
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.routing import policies
from pointsman.routing.ordering import Order
from pointsman.routing.policies import Asker, Check, Watch
from pointsman.routing.view import View

BY_LOAD = "concurrency"  # the policy that compares the attempts in progress of all candidates
MAX_EVALUATION_S = 1.0  # the longest life of an objection of live state, since its message contains the remaining time

Choices = tuple[Choice, ...]
Verdicts = dict[Candidate, Verdict]


class Evaluation(Struct, frozen=True, eq=False):
    """A candidate set evaluated under the present live state. `order` orders the `targets`, `others` are the fallbacks
    and last resorts after them, and `verdicts` are all objections of policies. If these concern every target,
    `occurred` are their causes. It holds while the view has this `version`, and before `until`. `choices` keeps those
    of each order if no candidate has several keys to choose from. `instead` are the candidates that budgets fall
    to."""

    version: object
    until: float
    targets: tuple[Candidate, ...]
    order: Order
    others: tuple[Candidate, ...]
    verdicts: tuple[Verdict, ...]
    choices: dict[tuple[Candidate, ...], Choices]
    occurred: frozenset[str] = frozenset()
    instead: tuple[Candidate, ...] = ()


def static_verdicts(candidates: Sequence[Candidate], asker: Asker) -> Verdicts:
    """Return the objections that hold as long as the configuration."""
    found: Verdicts = {}
    for policy, static in policies.STATIC:
        for item in candidates:
            _note(found, item, policy, static(item, asker))
    return found


def bounded(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return those with a limit of attempts in progress. If there is no other candidate, the limit changes nothing."""
    if len(candidates) < 2:
        return ()
    return tuple([item for item in candidates if item.endpoint.max_concurrency is not None])


class Judge(Struct, frozen=True):
    """The candidates of a set, and the verdicts that the configuration gives. `bounded` are those with a limit of
    attempts in progress. `watches` test whether a policy that checks requests might object to a request."""

    candidates: tuple[Candidate, ...]
    static: Mapping[Candidate, Verdict]
    bounded: tuple[Candidate, ...] = ()
    watches: tuple[Watch, ...] = ()

    def is_special(self, call: Call, need: QuotaNeed | None, view: View, now: float) -> bool:
        """Return whether a policy that checks requests might object to this one. `need` is set while a limit of a
        provider's key is near its end."""
        if self.bounded and self.is_crowded(view):
            return True
        if need is not None and view.quotas.is_short(self.candidates, need, now):
            return True
        for watch in self.watches:  # noqa: SIM110, since a generator would cost every request more
            if watch(call):
                return True
        return False

    def is_crowded(self, view: View) -> bool:
        """Return whether some candidates have reached their limits of attempts in progress, and others have not."""
        running, full = view.in_progress, 0
        for item in self.bounded:
            most = view.most_in_progress(item)
            full += most is not None and running.get(item.id, 0) >= most
        return 0 < full < len(self.candidates)

    @property
    def usable(self) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
        """The targets that the configuration does not exclude, and all such candidates after them."""
        excluded = {item for item, verdict in self.static.items() if not verdict.reason.is_last_resort}
        left = [item for item in self.candidates if item not in excluded]
        targets = tuple([item for item in left if item.provenance == "target"])
        return targets, tuple([item for item in left if item.provenance != "target"])

    def verdicts(self, facts: Facts, view: View, now: float, checks: Sequence[tuple[str, Check]]) -> Verdicts:
        """Return the verdicts of these policies, and those of the configuration. There is at most one for each
        candidate. It is the first exclusion, else the first reason to try the candidate last: a rule outranks a
        guess. The limits of attempts in progress only matter while some candidates have room."""
        found, is_crowded = dict(self.static), self.is_crowded(view)
        for policy, check in checks:
            faults = policies.READS.get(policy)
            if (policy == BY_LOAD and not is_crowded) or (faults is not None and not getattr(view, faults)):
                continue
            for item in self.candidates:
                before = self.static.get(item)
                if before is None or before.reason.is_last_resort:
                    _note(found, item, policy, check(item, facts, view, now))
        return {item: found[item] for item in self.candidates if item in found} if found else found

    def until(self, found: Verdicts, now: float) -> float:
        """Return the time up to which these verdicts hold, in monotonic seconds."""
        if found == self.static:
            return inf
        ends = [verdict.reason.until for verdict in found.values() if verdict.reason.until is not None]
        return min([now + MAX_EVALUATION_S, *ends])


def _note(found: dict[Candidate, Verdict], item: Candidate, policy: str, reason: Reason | None) -> None:
    if reason is not None:
        before = found.get(item)
        if before is None or (before.reason.is_last_resort and not reason.is_last_resort):
            found[item] = Verdict(item.id, policy, reason)
