"""The shortest expected time first, as learned from recent answers. Failures and costs count as time.

    score = expected time to the first content + time lost by failures + cost in seconds + delay of others

The expected time is the usual time of such a request, multiplied by the candidate's ratio to it (`routing.pace`). With
more attempts in progress than usual, the ratio rises by the learned slope (`routing.load`). By the same slope, one more
request delays each of those in progress there. So a small engine is not flooded when the best target fails. The time
lost is `p / (1 - p) · lost`, where `p` is the probability of a failure and `lost` the time that one takes: this
makes the ascending order of scores the best order of failover. A dollar is worth as many seconds as the policy says.

A target that has not answered yet is expected to be a little faster than the best one, so that it gets a first request.
A little noise lets targets of about the same speed share the requests; the surer the estimates, the less of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, inf, sqrt
from operator import attrgetter
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.dollars import NANO
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.routing.affinity import Affinity, Match
from pointsman.routing.costs import expected_costs, price_text
from pointsman.routing.health import subject
from pointsman.routing.normal import normal
from pointsman.routing.ordering import Order, Ordered, Probe
from pointsman.routing.pace import FIRST_PROBE_S, K, Memory, Pace
from pointsman.routing.paces import PROMPT_TOKEN_S, PaceName, first_content_s, mean_ratio, usual_s
from pointsman.routing.recent_orders import reusing
from pointsman.routing.view import RandomSource, View

LEARNS = True  # attempts are observed for it
BALANCED = 100.0  # seconds for a dollar: one cent is worth a second
NOISE = 0.25  # of the ratio of a target with little evidence
FIRST_LOOK = 0.8  # of the best score: that of a target without any answer
LEAST_TOLD_S = 0.0005  # a smaller term is not told to people
RESERVE_S = 0.1  # that the change to the next target takes
PATIENCE, LEAST_PATIENCE_S = 2.0, 4.0  # the longest wait: so many times the tail, and not less than this
PROBE_PATIENCE, LEAST_PROBE_S = 3.0, 0.5  # the longest wait for a probe, by the expected time of the best target


class AdaptiveSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`policy` weighs time against cost. `ttft_p95_ms` is a target for the time to the first content."""

    policy: Annotated[
        Literal["latency", "balanced", "cheapest-within-slo"],
        Meta(
            description="`latency` ignores costs. `balanced` takes one cent for as bad as one second. "
            "`cheapest-within-slo` prefers the cheapest target that is expected to meet `ttft_p95_ms`."
        ),
    ] = "balanced"
    ttft_p95_ms: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="The time to the first content in milliseconds that at most one answer in twenty may exceed. "
            "Targets that are expected to miss it come after the others. Default: no bound."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.policy == "cheapest-within-slo" and self.ttft_p95_ms is None:
            raise ValueError("set ttft_p95_ms for the policy cheapest-within-slo")


_TOTAL = attrgetter("total")


class Score(Struct, frozen=True, gc=False):
    """The score of a candidate, which is the `total` of its terms and a little noise, all in seconds. `pace` is what is
    known of the candidate, if anything. `units` are the times of the answer and of its first content at the ratio 1,
    without the `cached` tokens of the prompt, which are probably in its cache. `nano` is the expected cost in
    nano-dollars, if its price is known. `weight` is that of the evidence, in answers. At most one answer in twenty is
    expected to begin after `p95_s`."""

    candidate: Candidate
    pace: Pace | None
    units: tuple[float, float]
    total: float
    expected_s: float
    cost_s: float
    nano: int | None
    cached: float
    failures_s: float = 0.0
    others_s: float = 0.0
    weight: float = 0.0
    p95_s: float = 0.0


class Basis(Struct, frozen=True, gc=False):
    """The basis of all scores of one request. `known` are the paces of the candidates, and `peers` their mean ratio.
    `units` are the times of the answer and of its first content at the ratio 1, without caches."""

    known: Sequence[Pace | None]
    units: tuple[float, float]
    peers: float
    memory: Memory
    match: Match | None


class AdaptiveNotes(Struct, frozen=True, gc=False):
    """The scores of the candidates, in their order. The request is a `probe` of one of them, if that is set. `goal`
    bounds their 95th percentile, if it is set."""

    scores: Sequence[Score]
    goal: "Goal"
    probe: Score | None = None

    def __iter__(self) -> Iterator[str]:
        for one in self.scores:
            cost_s = one.cost_s
            cached = f"; {one.cached:.0f} cached tokens expected" if one.cached else ""
            terms = f"{one.expected_s:.3g} s expected, {one.failures_s:.2g} s for failures, {cost_s:.2g} s for cost"
            terms += f", {one.others_s:.2g} s of delay for others" if one.others_s else ""
            rest_s = one.total - one.expected_s - one.failures_s - one.cost_s - one.others_s
            if abs(rest_s) >= LEAST_TOLD_S:
                terms += f", {rest_s:+.2g} s {'of noise' if one.pace is not None else 'for a first look'}"
            known = f"from {one.weight:.1f} recent answers" if one.weight >= 0.05 else "no recent answers"
            first = "; probed, since it had no answer for a while" if one is self.probe else ""
            yield f"{one.candidate.id}: {one.total:.3g} = {terms} ({known}{cached}{first}){self.goal.describe(one)}"


class Goal(Struct, frozen=True, gc=False):
    """The bound on the 95th percentile of the time to the first content, in seconds. With `by_cost`, the cheapest
    candidate within it comes first."""

    p95_s: float = inf
    by_cost: bool = False

    @property
    def is_unbounded(self) -> bool:
        """True if only the totals count."""
        return self.p95_s == inf and not self.by_cost

    def rank(self, score: Score) -> tuple[bool, float]:
        """Return the sort key of a candidate: those within the bound first."""
        is_slow = score.p95_s > self.p95_s
        if is_slow or not self.by_cost:
            return is_slow, score.total
        return is_slow, inf if score.nano is None else float(score.nano)

    def describe(self, score: Score) -> str:
        """Return how a candidate compares with the bound, for people."""
        if self.p95_s == inf or score.pace is None:
            return ""
        relation = "above" if score.p95_s > self.p95_s else "within"
        text = f"; its 95th percentile of {score.p95_s:.3g} s is {relation} ttft_p95_ms"
        return f"{text}, {price_text(score.nano)}" if self.by_cost else text


def strategy(candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> Order:
    return reusing(candidates, settings, _Adaptive(candidates, settings).order)


class _Adaptive:
    """The scores of some candidates, and all that does not change with a request."""

    def __init__(self, candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> None:
        heaviest = max([item.weight for item in candidates], default=1.0)
        slo_s = inf if settings.ttft_p95_ms is None else settings.ttft_p95_ms / 1000
        self._candidates = candidates
        self._priors = [sqrt(heaviest / item.weight) if item.weight > 0 else 1.0 for item in candidates]
        self._names: dict[tuple[Operation, bool], list[PaceName]] = {}
        self._reads_costs, self._free = settings.policy != "latency", [0] * len(candidates)
        self._seconds_per_nano = BALANCED / NANO if settings.policy == "balanced" else 0.0
        self._goal = Goal(slo_s, settings.policy == "cheapest-within-slo")
        self._affinity = Affinity(candidates)

    def order(self, facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        call, goal, affinity, paces = facts.call, self._goal, self._affinity, view.paces
        names = self._names.get((call.operation, call.stream))
        if names is None:
            names = [(subject(item, call.operation), call.stream) for item in self._candidates]
            self._names[call.operation, call.stream] = names
        known, match = paces.find_each(names), affinity.match(call, view, now)
        whole_s = usual_s(call)
        first_s = whole_s if call.stream else first_content_s(call)
        basis = Basis(known, (whole_s, first_s), mean_ratio(known), paces.memory(call.model), match)
        scores = self._scores(basis, self._costs(facts, view, match), view.in_progress, rng, now)
        if match is not None and sum([one.pace is None for one in scores]) > 1:
            group = match.prefix.group
            places = sorted(range(len(scores)), key=lambda place: affinity.share(place, group))
            scores = [scores[place] for place in places]  # of equals, that of the group comes first
        ranked = sorted(scores, key=_TOTAL if goal.is_unbounded else goal.rank)
        probe = _probe(ranked, basis, goal, now)
        return Ordered(
            tuple([one.candidate for one in ranked]),
            AdaptiveNotes(ranked, goal, probe),
            patience=Patience(ranked, whole_s, basis.peers) if call.stream else {},
            probe=None if probe is None else Probe(probe.candidate.id, _longest_probe_s(ranked[0])),
            prefix=match.prefix if match is not None else None,
        )

    def _costs(self, facts: Facts, view: View, match: Match | None) -> Sequence[int | None]:
        """Return the expected costs in nano-dollars, or zeros if they do not count."""
        if not self._reads_costs:
            return self._free
        return expected_costs(self._candidates, facts, view, match.charged if match is not None else None)

    def _scores(
        self,
        basis: Basis,
        costs: Sequence[int | None],
        running: Mapping[str, int],
        rng: RandomSource,
        now: float,
    ) -> list[Score]:
        """Return the scores of all candidates. `running` counts the attempts in progress, by the ids of candidates."""
        scores, unknown, best, cached, group = list[Score](), list[int](), inf, 0.0, 0
        memory, peers, match, units = basis.memory, basis.peers, basis.match, basis.units
        whole_s, first_s = units
        if match is not None:
            group = match.prefix.group
        dearest = max([nano for nano in costs if nano is not None], default=0) if None in costs else 0
        for place, item in enumerate(self._candidates):
            pace, prior, nano = basis.known[place], self._priors[place], costs[place]
            cost_s = (dearest if nano is None else nano) * self._seconds_per_nano
            if match is not None:
                cached = match.tokens[place]
                units = whole_s, first_s = _without(basis.units, cached)
            if pace is None or pace.is_new:
                unknown.append(place)
                expected_s = peers * whole_s
                total = expected_s * prior + cost_s
                scores.append(Score(item, None, units, total, expected_s, cost_s=cost_s, nano=nano, cached=cached))
                continue
            ratio, weight = pace.estimate(now, memory, peers * prior)
            others_s, count = 0.0, running.get(item.id, 0)
            if count:
                slope = pace.load.slope(ratio)
                ratio += slope * max(count - pace.load.usual, 0.0)
                others_s = slope * count * whole_s
            expected_s, share = ratio * whole_s, pace.failure_share()
            failures_s = share / (1.0 - share) * (pace.lost_s + RESERVE_S)
            total = expected_s + failures_s + cost_s + others_s
            if weight > 1.0:
                drawn = self._affinity.share(place, group) if group else rng.random()
                total += expected_s * (exp(normal(drawn) * NOISE / sqrt(weight + K + 2.0)) - 1.0)
            best, p95_s = min(best, total), ratio * pace.spread * first_s + failures_s
            scores.append(
                Score(
                    item,
                    pace,
                    units,
                    total,
                    expected_s,
                    cost_s=cost_s,
                    nano=nano,
                    cached=cached,
                    failures_s=failures_s,
                    others_s=others_s,
                    weight=weight,
                    p95_s=p95_s,
                )
            )
        for place in unknown:
            if scores[place].total >= best * self._priors[place]:
                scores[place] = replace(scores[place], total=best * FIRST_LOOK * self._priors[place])
        return scores


def _without(units: tuple[float, float], cached: float) -> tuple[float, float]:
    """Return the times at the ratio 1 without so many tokens of the prompt."""
    saved_s = cached * PROMPT_TOKEN_S
    return units[0] - saved_s, units[1] - saved_s


def _probe(scores: Sequence[Score], basis: Basis, goal: Goal, now: float) -> Score | None:
    """Return the candidate that this request tries first to find out how it is now, if any. It had no answer for some
    time, and would be the best if it were as it usually is, or had none for very long."""
    for one in scores[1:]:
        pace = one.pace
        if pace is None or now < pace.probe_from or now - pace.recent_at < FIRST_PROBE_S:
            continue
        if pace.wants_look(now, basis.memory):
            return one
        if pace.wants_probe(now, basis.memory):
            ratio, (whole_s, first_s) = pace.usual(basis.peers), one.units
            total = ratio * whole_s + one.cost_s
            if goal.is_unbounded:
                is_best = total < scores[0].total
            else:
                usual = replace(one, p95_s=ratio * pace.spread * first_s, total=total)
                is_best = goal.rank(usual) < goal.rank(scores[0])
            if is_best:
                return one
    return None


def _longest_probe_s(best: Score) -> float:
    return max(PROBE_PATIENCE * best.expected_s, LEAST_PROBE_S)


class Patience(Mapping[str, float]):
    """The longest waits for the first content of a stream in seconds, by the ids of candidates, while another one is
    left. `unit_s` is the time at the ratio 1. Few are ever read."""

    __slots__ = ("_peers", "_scores", "_unit_s")

    def __init__(self, scores: Sequence[Score], unit_s: float, peers: float) -> None:
        self._scores, self._unit_s, self._peers = scores, unit_s, peers

    def __getitem__(self, name: str) -> float:
        for one in self._scores:
            if one.candidate.id == name and one.pace is not None:
                return max(PATIENCE * one.pace.tail * one.pace.usual(self._peers) * self._unit_s, LEAST_PATIENCE_S)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter([one.candidate.id for one in self._scores if one.pace is not None])

    def __len__(self) -> int:
        return sum([one.pace is not None for one in self._scores])
