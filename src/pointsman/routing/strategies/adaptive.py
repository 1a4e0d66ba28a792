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

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import cos, exp, inf, log, pi, sqrt
from operator import attrgetter
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.dollars import NANO
from pointsman.domain.targets import Candidate
from pointsman.routing.affinity import Affinity, Match
from pointsman.routing.costs import expected_costs, price_text
from pointsman.routing.ordering import Order, Ordered, Probe
from pointsman.routing.pace import FIRST_PROBE_S, K, Pace
from pointsman.routing.paces import PROMPT_TOKEN_S, first_content_s, mean_ratio, usual_s
from pointsman.routing.recent_orders import reusing
from pointsman.routing.view import RandomSource, View

LEARNS = True  # attempts are observed for it
BALANCED = 100.0  # seconds for a dollar: one cent is worth a second
NOISE = 0.25  # of the ratio of a target with little evidence
FIRST_LOOK = 0.8  # of the best score: that of a target without any answer
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


class RequestTerms(Struct, frozen=True, gc=False):
    """The terms of a candidate that follow from the request alone: its cost in seconds and in nano-dollars, and the
    times in seconds of the answer and of its first content at the ratio 1. They are without the `cached` tokens of the
    prompt, which are probably in its cache."""

    candidate: Candidate
    cost_s: float
    nano: int | None
    units: tuple[float, float]
    cached: float


class Score(Struct, frozen=True, gc=False):
    """The score of a candidate and its terms, in seconds: `total` is their sum with the cost and the noise. `pace` and
    `weight`, the number of recent answers, are the evidence. `p95_s` is the expected 95th percentile of the time to the
    first content, and the time lost by failures. Without an answer, `pace` is `None`, and only `total` and `expected_s`
    are set."""

    terms: RequestTerms
    pace: Pace | None
    total: float
    expected_s: float
    failures_s: float = 0.0
    others_s: float = 0.0
    p95_s: float = 0.0
    weight: float = 0.0

    @property
    def candidate(self) -> Candidate:
        return self.terms.candidate


class AdaptiveNotes(Struct, frozen=True, gc=False):
    """The scores of the candidates, in their order. The request is a `probe` of one of them, if that is set. `goal`
    bounds their 95th percentile, if it is set."""

    scores: Sequence[Score]
    goal: "Goal"
    probe: Score | None = None

    def __iter__(self) -> Iterator[str]:
        for one in self.scores:
            cost_s = one.terms.cost_s
            cached = f"; {one.terms.cached:.0f} cached tokens expected" if one.terms.cached else ""
            terms = f"{one.expected_s:.3g} s expected, {one.failures_s:.2g} s for failures, {cost_s:.2g} s for cost"
            terms += f", {one.others_s:.2g} s of delay for others" if one.others_s else ""
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
        return is_slow, inf if score.terms.nano is None else float(score.terms.nano)

    def describe(self, score: Score) -> str:
        """Return how a candidate compares with the bound, for people."""
        if self.p95_s == inf or score.pace is None:
            return ""
        relation = "above" if score.p95_s > self.p95_s else "within"
        text = f"; its 95th percentile of {score.p95_s:.3g} s is {relation} ttft_p95_ms"
        return f"{text}, {price_text(score.terms.nano)}" if self.by_cost else text


def strategy(candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> Order:
    return reusing(candidates, settings, _Adaptive(candidates, settings).order)


class _Adaptive:
    """The scores of some candidates, and all that does not change with a request."""

    def __init__(self, candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> None:
        heaviest = max([item.weight for item in candidates], default=1.0)
        slo_s = inf if settings.ttft_p95_ms is None else settings.ttft_p95_ms / 1000
        self._candidates = candidates
        self._priors = [sqrt(heaviest / item.weight) if item.weight > 0 else 1.0 for item in candidates]
        self._reads_costs, self._unpriced = settings.policy != "latency", [0] * len(candidates)
        self._seconds_per_nano = BALANCED / NANO if settings.policy == "balanced" else 0.0
        self._goal = Goal(slo_s, settings.policy == "cheapest-within-slo")
        self._affinity = Affinity(candidates)

    def order(self, facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        call, goal, affinity = facts.call, self._goal, self._affinity
        stream, gap_s = call.stream, view.paces.gap_s(call.model)
        match = affinity.match(call, view, now)
        known = [view.paces.find(item, call.operation, stream=stream) for item in self._candidates]
        peers = mean_ratio(known)
        group = match.prefix.group if match is not None else 0
        scores, unknown = self._scores(
            self._terms(facts, view, match),
            known,
            (lambda place: affinity.normal(place, group)) if group else lambda _: _normal(rng),
            now=now,
            peers=peers,
            gap_s=gap_s,
            running=view.in_progress,
        )
        if group and len(unknown) > 1:
            places = sorted(range(len(scores)), key=lambda place: affinity.rank(place, group))
            scores = [scores[place] for place in places]  # of equals, that of the group comes first
        ranked = sorted(scores, key=_TOTAL if goal.is_unbounded else goal.rank)
        probe = _probe(ranked, now, gap_s=gap_s, peers=peers, goal=goal)
        probe_s = max(PROBE_PATIENCE * ranked[0].expected_s, LEAST_PROBE_S) if probe is not None else 0.0
        return Ordered(
            tuple([one.terms.candidate for one in ranked]),
            AdaptiveNotes(ranked, goal, probe),
            patience=_patience(ranked, usual_s(call), peers) if stream else {},
            probe=Probe(probe.candidate.id, probe_s) if probe is not None else None,
            prefix=match.prefix if match is not None else None,
        )

    def _terms(self, facts: Facts, view: View, match: Match | None) -> list[RequestTerms]:
        """Return the terms of all candidates that follow from the request."""
        candidates, call = self._candidates, facts.call
        whole_s = usual_s(call)
        first_s = whole_s if call.stream else first_content_s(call)
        costs: Sequence[int | None] = self._unpriced
        if self._reads_costs:
            costs = expected_costs(candidates, facts, view, match.charged if match is not None else None)
        dearest = 0
        if None in costs:
            dearest = max([nano for nano in costs if nano is not None], default=0)
        terms, cached, units = list[RequestTerms](), 0.0, (whole_s, first_s)
        for place, nano in enumerate(costs):
            cost_s = (dearest if nano is None else nano) * self._seconds_per_nano
            if match is not None:
                cached = match.tokens[place]
                units = whole_s - cached * PROMPT_TOKEN_S, first_s - cached * PROMPT_TOKEN_S
            terms.append(RequestTerms(candidates[place], cost_s, nano, units, cached))
        return terms

    def _scores(
        self,
        terms: Sequence[RequestTerms],
        known: Sequence[Pace | None],
        draw: Callable[[int], float],
        *,
        now: float,
        peers: float,
        gap_s: float,
        running: Mapping[str, int],
    ) -> tuple[list[Score], Sequence[int]]:
        """Return the scores of all candidates, and the places of those without an answer. `draw` returns a normally
        distributed number for a place. `running` counts the attempts in progress, by the ids of candidates."""
        priors, scores, unknown, best = self._priors, list[Score](), list[int](), inf
        for place, pace in enumerate(known):
            one, prior = terms[place], priors[place]
            if pace is None or pace.is_new:
                unknown.append(place)
                expected_s = peers * one.units[0]
                scores.append(Score(one, None, expected_s * prior + one.cost_s, expected_s))
                continue
            ratio, weight = pace.estimate(now, gap_s, peers * prior)
            others_s, load, count = 0.0, pace.load, running.get(one.candidate.id, 0)
            if count:
                slope = load.slope(ratio)
                ratio += slope * max(count - load.usual, 0.0)
                others_s = slope * count * one.units[0]
            expected_s, share = ratio * one.units[0], pace.failure_share()
            failures_s = share / (1.0 - share) * (pace.lost_s + RESERVE_S)
            total = expected_s + failures_s + one.cost_s + others_s
            if weight > 1.0:
                total += expected_s * (exp(draw(place) * NOISE / sqrt(weight + K + 2.0)) - 1.0)
            best, p95_s = min(best, total), ratio * pace.spread * one.units[1] + failures_s
            scores.append(
                Score(one, pace, total, expected_s, failures_s, p95_s=p95_s, weight=weight, others_s=others_s)
            )
        for place in unknown:
            if scores[place].total >= best * priors[place]:
                scores[place] = replace(scores[place], total=best * FIRST_LOOK * priors[place])
        return scores, unknown


def _probe(scores: Sequence[Score], now: float, *, gap_s: float, peers: float, goal: Goal) -> Score | None:
    """Return the candidate that this request tries first to find out how it is now, if any. It had no answer for some
    time, and would be the best if it were as it usually is, or had none for very long."""
    if len(scores) < 2:
        return None
    for one in scores[1:]:
        pace = one.pace
        if pace is None or now - pace.recent_at < FIRST_PROBE_S:
            continue
        if pace.wants_look(now, gap_s):
            return one
        if pace.wants_probe(now, gap_s):
            ratio, (unit_s, first_s) = pace.usual(peers), one.terms.units
            usual = replace(one, p95_s=ratio * pace.spread * first_s, total=ratio * unit_s + one.terms.cost_s)
            if goal.rank(usual) < goal.rank(scores[0]):
                return one
    return None


def _patience(scores: Sequence[Score], unit_s: float, peers: float) -> dict[str, float]:
    """Return how long each candidate may take until the first content, if another one is left."""
    found = {}
    for one in scores:
        if one.pace is not None:
            longest_s = PATIENCE * one.pace.tail * one.pace.usual(peers) * unit_s
            found[one.terms.candidate.id] = max(LEAST_PATIENCE_S, longest_s)
    return found


def _normal(rng: RandomSource) -> float:
    """Draw from the normal distribution, by the method of Box and Muller."""
    return sqrt(-2.0 * log(1.0 - rng.random())) * cos(2.0 * pi * rng.random())
