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
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.dollars import NANO
from pointsman.domain.identity import VirtualKey
from pointsman.domain.operations import Operation
from pointsman.domain.targets import Candidate
from pointsman.routing.affinity import Affinity, Match
from pointsman.routing.costs import expected_costs, price_text
from pointsman.routing.estimates import Estimates, Query
from pointsman.routing.health import subject
from pointsman.routing.normal import normal
from pointsman.routing.ordering import Order, Ordered, Probe
from pointsman.routing.pace import FIRST_PROBE_S, Pace
from pointsman.routing.paces import PROMPT_TOKEN_S, first_content_s, usual_s
from pointsman.routing.view import RandomSource, View
from pointsman.wire.prefixes import FIELDS_APART, LEAST_BYTES

_ENDLESS: Mapping[str, float] = {}

_OF_ANOTHER = ("heavy traffic: in the order of a similar request, less than 0.1 s ago",)  # `KEPT_S`

LEARNS = True  # attempts are observed for it
BALANCED = 100.0  # seconds for a dollar: one cent is worth a second
FIRST_LOOK = 0.8  # of the best score: that of a target without any answer
KEPT = 3  # orders of similar requests that are used under heavy traffic; noise makes them different
FEW_TOKENS = 128  # of an answer: a lower bound makes it cheaper than usual
LEAST_TOLD_S = 0.0005  # a smaller term is not told to people
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
    """The score of a candidate, which is the `total` of its terms and a little noise, all in seconds. `pace` is what is
    known of the candidate, if anything. `first_s` is the time of the first content at the ratio 1, without the `cached`
    tokens of the prompt, which are probably in its cache. `nano` is the expected cost in nano-dollars, if its price is
    known. `weight` is that of the evidence, in answers. At most one answer in twenty is expected to begin after
    `p95_s`."""

    candidate: Candidate
    pace: Pace | None
    first_s: float
    whole_s: float
    total: float
    expected_s: float
    cost_s: float
    nano: int | None
    cached: float
    failures_s: float = 0.0
    others_s: float = 0.0
    weight: float = 0.0
    p95_s: float = 0.0


class Scoring(Struct, frozen=True, gc=False):
    """The totals of the candidates for one request, in seconds, and all that they were computed from. `whole_s` and
    `first_s` are the times of the answer and of its first content at the ratio 1, without caches. `match` has the
    tokens in caches. `costs` are in nano-dollars, and `dearest` stands for unknown ones. `running` counts the attempts
    in progress at each candidate."""

    candidates: Sequence[Candidate]
    estimates: Estimates
    whole_s: float
    first_s: float
    match: Match | None
    costs: Sequence[int | None]
    dearest: int
    seconds_per_nano: float
    running: Sequence[int]
    totals: Sequence[float]

    def score(self, place: int) -> Score:
        """Return the score of a candidate with all of its terms."""
        known, nano = self.estimates.each[place], self.costs[place]
        cached = self.match.tokens[place] if self.match is not None else 0.0
        saved_s, count = cached * PROMPT_TOKEN_S, self.running[place]
        whole_s, first_s = self.whole_s - saved_s, self.first_s - saved_s
        ratio = known.ratio + known.slope * max(count - known.usual, 0.0)
        failures_s, pace = known.failures_s, known.pace
        return Score(
            self.candidates[place],
            pace,
            first_s,
            whole_s,
            self.totals[place],
            expected_s=ratio * whole_s,
            cost_s=(self.dearest if nano is None else nano) * self.seconds_per_nano,
            nano=nano,
            cached=cached,
            failures_s=failures_s,
            others_s=known.slope * count * whole_s,
            weight=known.weight,
            p95_s=ratio * pace.spread * first_s + failures_s if pace is not None else 0.0,
        )

    def describe(self, place: int) -> str:
        """Return the score of a candidate and its terms for people. Most requests have such a text, so it is made
        without a `Score`."""
        known, nano, total = self.estimates.each[place], self.costs[place], self.totals[place]
        tokens = self.match.tokens[place] if self.match is not None else 0.0
        count, slope, whole_s = self.running[place], known.slope, self.whole_s - tokens * PROMPT_TOKEN_S
        expected_s, others_s, failures_s = known.ratio * whole_s, 0.0, known.failures_s
        if count:
            if count > known.usual:
                expected_s += slope * (count - known.usual) * whole_s
            others_s = slope * count * whole_s
        cost_s = (self.dearest if nano is None else nano) * self.seconds_per_nano
        lost, recent = known.text
        # `%` formats a number in two thirds of the time of an f-string.
        text = "%s: %.3g = %.3g s expected, %s, %.2g s for cost" % (  # noqa: UP031
            self.candidates[place].id,
            total,
            expected_s,
            lost,
            cost_s,
        )
        if others_s:
            text += ", %.2g s of delay for others" % others_s  # noqa: UP031
        rest_s = total - expected_s - failures_s - cost_s - others_s
        if rest_s >= LEAST_TOLD_S or rest_s <= -LEAST_TOLD_S:
            text += ", %+.2g s %s" % (rest_s, "of noise" if known.pace is not None else "for a first look")  # noqa: UP031
        return f"{text} ({recent}; {tokens:.0f} cached tokens expected" if tokens else f"{text} ({recent}"


class AdaptiveNotes(Struct, frozen=True, gc=False):
    """The scores of the candidates, by their places in the order. The request is a `probe` of the candidate at that
    place, if it is set. `goal` bounds their 95th percentile, if it is set."""

    scoring: Scoring
    places: Sequence[int]
    goal: "Goal"
    probe: int | None

    @property
    def scores(self) -> list[Score]:
        """All terms of the scores, in the order of the candidates."""
        return [self.scoring.score(place) for place in self.places]

    def __iter__(self) -> Iterator[str]:
        scoring, goal = self.scoring, self.goal
        for place in self.places:
            first = "; probed, since it had no answer for a while" if place == self.probe else ""
            bound = goal.describe(scoring.score(place)) if goal.p95_s != inf else ""
            yield f"{scoring.describe(place)}{first}){bound}"


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
        if score.pace is None:
            return ""
        relation = "above" if score.p95_s > self.p95_s else "within"
        text = f"; its 95th percentile of {score.p95_s:.3g} s is {relation} ttft_p95_ms"
        return f"{text}, {price_text(score.nano)}" if self.by_cost else text


def strategy(candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> Order:
    return _Adaptive(candidates, settings).order


class _Adaptive:
    """The order of some candidates, and all that does not change with a request."""

    def __init__(self, candidates: tuple[Candidate, ...], settings: AdaptiveSettings) -> None:
        heaviest = max([item.weight for item in candidates], default=1.0)
        slo_s = inf if settings.ttft_p95_ms is None else settings.ttft_p95_ms / 1000
        self._settings = settings
        self._candidates, self._ids = candidates, [item.id for item in candidates]
        self._places = range(len(candidates))
        self._priors = tuple([sqrt(heaviest / item.weight) if item.weight > 0 else 1.0 for item in candidates])
        self._queries: dict[tuple[Operation, bool], Query] = {}
        self._reads_costs, self._free = settings.policy != "latency", [0] * len(candidates)
        self._seconds_per_nano = BALANCED / NANO if settings.policy == "balanced" else 0.0
        self._goal = Goal(slo_s, settings.policy == "cheapest-within-slo")
        self._affinity = Affinity(candidates)
        self._has_owners: bool | None = None  # of prices in the snapshot

    def order(self, facts: Facts, view: View, rng: RandomSource, now: float) -> Ordered:
        call = facts.call
        query = self._queries.get((call.operation, call.stream))
        if query is None:
            query = self._queries[call.operation, call.stream] = self._query(call.operation, stream=call.stream)
        estimates = view.paces.estimates(query, call.model, now)
        if estimates.orders is None or not _is_alike(call):
            return self._computed(facts, estimates, view, rng, now)
        most = call.max_tokens
        kind = (self._payer(facts, view), call.size.bit_length() // 2, most is not None and most < FEW_TOKENS)
        kept = estimates.orders.setdefault(kind, [])
        if len(kept) >= KEPT and isinstance(found := kept[int(rng.random() * KEPT)], Ordered):
            return found
        ordered = self._computed(facts, estimates, view, rng, now)
        if ordered.probe is None:  # a probe is for its request alone
            kept.append(replace(ordered, notes=_OF_ANOTHER))
        return ordered

    def _computed(self, facts: Facts, estimates: Estimates, view: View, rng: RandomSource, now: float) -> Ordered:
        call, goal, affinity = facts.call, self._goal, self._affinity
        match = affinity.match(call, view, now)
        costs = self._costs(facts, view, match)
        scoring = self._scoring(call, estimates, costs, match, view.in_progress, rng=rng)
        totals, places = scoring.totals, list(self._places)
        if match is not None and sum([one.pace is None for one in estimates.each]) > 1:
            group = match.prefix.group
            places.sort(key=lambda place: affinity.share(place, group))  # of equals, that of the group comes first
        if goal.is_unbounded:
            places.sort(key=totals.__getitem__)
        else:
            scores = [scoring.score(place) for place in self._places]
            places.sort(key=lambda place: goal.rank(scores[place]))
        probe = _probe(scoring, places, goal, now) if now >= estimates.probe_from else None
        items = self._candidates
        return Ordered(
            tuple([items[place] for place in places]),
            AdaptiveNotes(scoring, places, goal, probe),
            patience=Patience(scoring) if call.stream else _ENDLESS,
            probe=None if probe is None else Probe(self._ids[probe], _longest_probe_s(scoring.score(places[0]))),
            prefix=match.prefix if match is not None else None,
        )

    def _query(self, operation: Operation, *, stream: bool) -> Query:
        names = [(subject(item, operation), stream) for item in self._candidates]
        return Query(names, self._priors, (self._candidates, self._settings, operation, stream))

    def _payer(self, facts: Facts, view: View) -> VirtualKey | None:
        """Return the virtual key if it may have prices of its own."""
        if self._has_owners is None:
            self._has_owners = any(one.owner is not None for one in view.snapshot.pricing.overrides)
        return facts.virtual_key if self._has_owners else None

    def _costs(self, facts: Facts, view: View, match: Match | None) -> Sequence[int | None]:
        """Return the expected costs in nano-dollars, or zeros if they do not count."""
        if not self._reads_costs:
            return self._free
        return expected_costs(self._candidates, facts, view, match.charged if match is not None else None)

    def _scoring(
        self,
        call: Call,
        estimates: Estimates,
        costs: Sequence[int | None],
        match: Match | None,
        in_progress: Mapping[str, int],
        rng: RandomSource,
    ) -> Scoring:
        """Return the totals of all candidates. `in_progress` counts the attempts there, by the ids of candidates."""
        usual = usual_s(call)
        first_s = usual if call.stream else first_content_s(call)
        running = [in_progress.get(name, 0) for name in self._ids]
        per_nano, priors = self._seconds_per_nano, self._priors
        dearest = max([nano for nano in costs if nano is not None], default=0) if None in costs else 0
        totals, has_unknown, best, whole_s, group = list[float](), False, inf, usual, 0
        if match is not None:
            group = match.prefix.group
        for place, known in enumerate(estimates.each):
            nano, ratio = costs[place], known.ratio
            cost_s = (dearest if nano is None else nano) * per_nano
            if match is not None:
                whole_s = usual - match.tokens[place] * PROMPT_TOKEN_S
            if known.pace is None:
                has_unknown = True
                totals.append(ratio * whole_s * priors[place] + cost_s)
                continue
            total, count = known.failures_s + cost_s, running[place]
            if count:
                if count > known.usual:
                    ratio += known.slope * (count - known.usual)
                total += known.slope * count * whole_s
            if known.noise:
                drawn = self._affinity.share(place, group) if group else rng.random()
                total += ratio * whole_s * exp(normal(drawn) * known.noise)
            else:
                total += ratio * whole_s
            best = total if total < best else best  # noqa: FURB136 -- once for each candidate
            totals.append(total)
        if has_unknown:
            for place, known in enumerate(estimates.each):
                if known.pace is None and totals[place] >= best * priors[place]:
                    totals[place] = best * FIRST_LOOK * priors[place]
        return Scoring(
            self._candidates,
            estimates,
            usual,
            first_s,
            match,
            costs=costs,
            dearest=dearest,
            seconds_per_nano=per_nano,
            running=running,
            totals=totals,
        )


def _is_alike(call: Call) -> bool:
    """Return whether nothing sets the request apart from others of its length."""
    return (
        call.size < LEAST_BYTES  # else a cache may have it
        and call.head.session is None
        and not call.media.count
        and FIELDS_APART.isdisjoint(call.fields)
    )


def _probe(scoring: Scoring, places: Sequence[int], goal: Goal, now: float) -> int | None:
    """Return the place of the candidate that this request tries first to find out how it is now, if any. It had no
    answer for some time, and would be the best if it were as it usually is, or had none for very long."""
    estimates = scoring.estimates
    for place in places[1:]:
        pace = estimates.each[place].pace
        if pace is None or now < pace.probe_from or now - pace.recent_at < FIRST_PROBE_S:
            continue
        if pace.wants_look(now, estimates.memory):
            return place
        if pace.wants_probe(now, estimates.memory):
            one, ratio = scoring.score(place), pace.usual(estimates.peers)
            total = ratio * one.whole_s + one.cost_s
            if goal.is_unbounded:
                is_best = total < scoring.totals[places[0]]
            else:
                usual = replace(one, p95_s=ratio * pace.spread * one.first_s, total=total)
                is_best = goal.rank(usual) < goal.rank(scoring.score(places[0]))
            if is_best:
                return place
    return None


def _longest_probe_s(best: Score) -> float:
    return max(PROBE_PATIENCE * best.expected_s, LEAST_PROBE_S)


class Patience(Mapping[str, float]):
    """The longest waits for the first content of a stream in seconds, by the ids of candidates, while another one is
    left. Few are ever read."""

    __slots__ = ("_scoring",)

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def __getitem__(self, name: str) -> float:
        scoring = self._scoring
        for item, known in zip(scoring.candidates, scoring.estimates.each, strict=True):
            if item.id == name and known.pace is not None:
                usual_s = known.pace.usual(scoring.estimates.peers) * scoring.whole_s
                return max(PATIENCE * known.pace.tail * usual_s, LEAST_PATIENCE_S)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        scoring = self._scoring
        known = zip(scoring.candidates, scoring.estimates.each, strict=True)
        return iter([item.id for item, one in known if one.pace is not None])

    def __len__(self) -> int:
        return sum([one.pace is not None for one in self._scoring.estimates.each])
