"""The shortest expected time first, as learned from recent answers. Failures and costs count as time.

    score = expected time to the first content + time lost by failures + cost in seconds

The expected time is the usual time of such a request, multiplied by the candidate's ratio to it (`routing.pace`). The
time lost is `p / (1 - p) · lost`, where `p` is the probability of a failure and `lost` the time that one takes: this
makes the ascending order of scores the best order of failover. A dollar is worth as many seconds as the policy says.

A target that has not answered yet is expected to be a little faster than the best one, so that it gets a first request.
A little noise lets targets of about the same speed share the requests; the surer the estimates, the less of it.
"""

from collections.abc import Iterator, Sequence
from math import cos, exp, inf, log, pi, sqrt
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Facts
from pointsman.domain.dollars import NANO
from pointsman.domain.targets import Candidate
from pointsman.routing.costs import cost_text, expected_costs
from pointsman.routing.ordering import Order, Ordered
from pointsman.routing.pace import FIRST_PROBE_S, K, Pace
from pointsman.routing.paces import first_content_s, mean_ratio, usual_s
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


class Score(Struct, frozen=True, gc=False):
    """The score of a candidate and its terms, in seconds. `pace` is what is known of it, if anything, and `weight` that
    of the evidence, in answers. At most one answer in twenty is expected to have its first content after `p95_s`."""

    candidate: Candidate
    pace: Pace | None
    total: float
    expected_s: float
    failures_s: float
    cost_s: float
    nano: int | None
    p95_s: float = 0.0
    weight: float = 0.0


class AdaptiveNotes(Struct, frozen=True, gc=False):
    """The scores of the candidates, in their order. The request is a `probe` of the first one, if that is set. `goal`
    bounds their 95th percentile, if it is set."""

    scores: Sequence[Score]
    goal: "Goal"
    probe: Score | None = None

    def __iter__(self) -> Iterator[str]:
        for one in self.scores:
            terms = f"{one.expected_s:.3g} s expected, {one.failures_s:.2g} s for failures, {one.cost_s:.2g} s for cost"
            known = f"from {one.weight:.1f} recent answers" if one.weight >= 0.05 else "no recent answers"
            first = "; tried first, since it had no answer for a while" if one is self.probe else ""
            yield f"{one.candidate.id}: {one.total:.3g} = {terms} ({known}{first}){self.goal.describe(one)}"


class Goal(Struct, frozen=True, gc=False):
    """The bound on the 95th percentile of the time to the first content, in seconds. With `by_cost`, the cheapest
    candidate within it comes first."""

    p95_s: float = inf
    by_cost: bool = False

    def rank(self, p95_s: float, total: float, nano: int | None) -> tuple[bool, float]:
        """Return the sort key of a candidate: those within the bound first."""
        is_slow = p95_s > self.p95_s
        if is_slow or not self.by_cost:
            return is_slow, total
        return is_slow, inf if nano is None else float(nano)

    def describe(self, score: Score) -> str:
        """Return how a candidate compares with the bound, for people."""
        if self.p95_s == inf or score.pace is None:
            return ""
        relation = "above" if score.p95_s > self.p95_s else "within"
        text = f"; its 95th percentile of {score.p95_s:.3g} s is {relation} ttft_p95_ms"
        return f"{text}, {cost_text(score.candidate, score.nano).partition(': ')[2]}" if self.by_cost else text


def strategy(candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> Order:
    heaviest = max([item.weight for item in candidates], default=1.0)
    priors = [sqrt(heaviest / item.weight) if item.weight > 0 else 1.0 for item in candidates]
    reads_costs, unpriced = settings.policy != "latency", [0] * len(candidates)
    seconds_per_nano = BALANCED / NANO if settings.policy == "balanced" else 0.0
    goal = Goal(
        inf if settings.ttft_p95_ms is None else settings.ttft_p95_ms / 1000, settings.policy == "cheapest-within-slo"
    )

    def order(facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        call, paces = facts.call, view.paces
        operation, stream, gap_s, unit_s = call.operation, call.stream, paces.gap_s(call.model), usual_s(call)
        first_s = unit_s if stream else first_content_s(call)
        known = [paces.find(item, operation, stream=stream) for item in candidates]
        peers = mean_ratio(known)
        costs = expected_costs(candidates, facts, view) if reads_costs else unpriced
        dearest = max([nano for nano in costs if nano is not None], default=0)
        scores, unknown, best = list[Score](), list[int](), inf
        for place, pace in enumerate(known):
            item, nano = candidates[place], costs[place]
            cost_s = (dearest if nano is None else nano) * seconds_per_nano
            if pace is None or pace.is_new:
                unknown.append(place)
                total = peers * priors[place] * unit_s + cost_s
                scores.append(Score(item, None, total, peers * unit_s, 0.0, cost_s=cost_s, nano=nano))
                continue
            ratio, weight = pace.estimate(now, gap_s, peers * priors[place])
            expected_s, share = ratio * unit_s, pace.failure_share()
            failures_s = share / (1.0 - share) * (pace.lost_s + RESERVE_S)
            noise = exp(_normal(rng) * NOISE / sqrt(weight + K + 2.0)) if weight > 1.0 else 1.0
            total = expected_s * noise + failures_s + cost_s
            best = min(best, total)
            p95_s = ratio * pace.spread * first_s + failures_s
            scores.append(
                Score(item, pace, total, expected_s, failures_s, cost_s=cost_s, nano=nano, p95_s=p95_s, weight=weight)
            )
        for place in unknown:
            one = scores[place]
            if one.total >= best * priors[place]:
                first_look = best * FIRST_LOOK * priors[place]
                scores[place] = replace(one, total=first_look)
        ranked = sorted(scores, key=lambda one: goal.rank(one.p95_s, one.total, one.nano))
        probe = _probe(ranked, now, gap_s=gap_s, units=(unit_s, first_s), peers=peers, goal=goal)
        if probe is not None:
            ranked = [probe, *[one for one in ranked if one is not probe]]
        return Ordered(
            tuple([one.candidate for one in ranked]),
            AdaptiveNotes(ranked, goal, probe),
            patience=_patience(ranked, probe, unit_s, peers) if stream else {},
            probe=probe.candidate.id if probe is not None else "",
        )

    return order


def _probe(
    scores: Sequence[Score], now: float, *, gap_s: float, units: tuple[float, float], peers: float, goal: Goal
) -> Score | None:
    """Return the candidate that this request tries first to find out how it is now, if any. It had no answer for some
    time, and would be the best if it were as it usually is, or had none for very long. `units` are the times in seconds
    of the answer and of its first content at the ratio 1."""
    if len(scores) < 2:
        return None
    best = goal.rank(scores[0].p95_s, scores[0].total, scores[0].nano)
    for one in scores[1:]:
        pace = one.pace
        if pace is None or now - pace.recent_at < FIRST_PROBE_S:
            continue
        usual = pace.usual(peers)
        hope = goal.rank(usual * pace.spread * units[1], usual * units[0] + one.cost_s, one.nano)
        if (hope < best and pace.wants_probe(now, gap_s)) or pace.wants_look(now, gap_s):
            return one
    return None


def _patience(scores: Sequence[Score], probe: Score | None, unit_s: float, peers: float) -> dict[str, float]:
    """Return how long each candidate may take until the first content, if another one is left."""
    found = {}
    for one in scores:
        if one.pace is not None:
            longest_s = PATIENCE * one.pace.tail * one.pace.usual(peers) * unit_s
            found[one.candidate.id] = max(LEAST_PATIENCE_S, longest_s)
    if probe is not None:
        found[probe.candidate.id] = max(PROBE_PATIENCE * scores[1].expected_s, LEAST_PROBE_S)
    return found


def _normal(rng: RandomSource) -> float:
    """Draw from the normal distribution, by the method of Box and Muller."""
    return sqrt(-2.0 * log(1.0 - rng.random())) * cos(2.0 * pi * rng.random())
