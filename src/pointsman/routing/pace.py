"""The learned pace of candidates: how long they take, how often they fail, and how sure that is.

Times are compared as *ratios*: the time of an answer divided by the usual time of such an answer, so that a long prompt
is not taken for a slow provider. For a stream that is the time to its first content, for another answer the time of the
whole. One `Pace` belongs to one operation of a candidate, and to either kind of answer.

    recent ratio    decayed sums of about the last 15 s (`RECENT_S`), or of 20 requests if they are rarer
    usual ratio     the same over 900 s or 500 requests, which begins with the ratio of all candidates
    estimate        (recent sum + K · prior) / (recent weight + K). The prior moves from the last estimate back to the
                    usual ratio within a minute without answers
    overdue         two or more attempts without content for 2.5 times as long as usual count as slow answers, so that
                    a provider that has fallen silent is noticed before its first timeout
    silence         if several attempts are in progress, it is noticed sooner: the sum of their hazards since the last
                    answer shows that it is very unlikely. The next answer ends the suspicion
    probes          a candidate without an answer for some seconds gets a request if it used to be better than the best.
                    The pause grows with each probe that finds it no better
    tail            the ratio that one answer in a hundred exceeds, for the longest wait
    spread          the factor of the estimate that one answer in twenty exceeds, for targets of the 95th percentile
    change          if the ratios keep deviating in one direction (CUSUM), most of the memory is dropped
    load            the rise of the ratio with each attempt in progress (`routing.load`)
    failures        decayed counts, and the mean time that a failure takes
    news            sums of the evidence since the last exchange with other workers, whose news `merge` adds

The design and its constants are from an evaluation by simulation; docs/decisions/0052-adaptive-routing.md names what
each part is for.
"""

from math import exp, inf, log

from msgspec import Struct

from pointsman.routing.load import Load
from pointsman.routing.pace_news import PaceNews

RECENT_S, RECENT_REQUESTS = 15.0, 20.0
USUAL_S, USUAL_REQUESTS = 900.0, 500.0
FAILURES_S, FAILURES_REQUESTS = 20.0, 25.0
RETURN_S, RETURN_REQUESTS = 60.0, 40.0  # from the last estimate back to the usual ratio
K = 2.0  # the weight of the prior
MOST_RATIO = 5.0  # of an answer, in units of the estimate: one outlier must not count as many
DRIFT, CHANGED = 0.35, 2.5  # of the logarithm of the ratio: what is noise, and what is a change
MOST_RESIDUAL = 1.2  # of one answer, so that no two of them are a change
OVERDUE_USUAL, OVERDUE_ESTIMATE = 2.5, 2.0  # an attempt is overdue after so many times these ratios
MOST_OVERDUE = 12.0  # the ratio that an overdue attempt counts with at most
FEWEST_OVERDUE = 2  # one straggler is only the tail
SILENT = 9.0  # the hazard of an answer without one: less likely than one in 8,000
SILENT_RATIO = 3.0  # that an attempt counts with then, in units of the usual ratio
LEAST_USUAL_S = 0.3  # of a request
QUIET_UNTIL = 0.65  # of the expected time: an answer hardly comes before
FIRST_LOST_S = 0.5  # the time that a failure takes, before any is known
LEAST_DECAY_S = 0.02
PENDING = 4096  # attempts whose start is remembered
DOWN = 3  # failures in a row
FIRST_PROBE_S, LONGEST_PROBE_S = 3.0, 12.0  # without an answer, until a request tries again
PROBE_REQUESTS = 25.0  # of the model between two probes, at least
LOOK_S, LOOK_REQUESTS = 240.0, 500.0  # without an answer, until a candidate is tried that was never the best
PROBE_LEASE_S = 5.0  # after the start of a probe by another worker, none is made here
POOR_FAILURES, POOR_RATIO, POOR_WEIGHT = 0.05, 1.8, 3.0  # beyond one of the first two, a pace is poor
FAIR_FAILURES, FAIR_RATIO = 0.02, 1.4  # below both, it is as usual again
BETTER = 0.62  # of the estimate: a probe that took less is followed by another at once
FIRST_TAIL, LEAST_TAIL, MOST_TAIL = 5.0, 2.0, 30.0  # of the usual ratio: what one answer in a hundred exceeds
FIRST_SPREAD, LEAST_SPREAD, MOST_SPREAD = 2.0, 1.2, 10.0  # of the estimate: what one answer in twenty exceeds
SPREAD_STEP = 0.1  # of the logarithm: the weight of the newest answer


class Memory(Struct, frozen=True, gc=False):
    """The lengths of all memories, for requests with a mean time of `gap_s` seconds between them. The others are the
    parts that are forgotten per second."""

    gap_s: float
    recent: float
    usual: float
    failures: float
    back: float


def memory_of(gap_s: float) -> Memory:
    """Return the lengths of memories: some time, or some requests if these are rarer."""
    return Memory(
        gap_s,
        1.0 / max(RECENT_S, RECENT_REQUESTS * gap_s),
        1.0 / max(USUAL_S, USUAL_REQUESTS * gap_s),
        1.0 / max(FAILURES_S, FAILURES_REQUESTS * gap_s),
        1.0 / max(RETURN_S, RETURN_REQUESTS * gap_s),
    )


class Pace:
    """The knowledge of one kind of answer of a candidate. Times are monotonic seconds."""

    __slots__ = (
        "_anchor",
        "_answered_in_row",
        "_down",
        "_failed",
        "_failed_in_row",
        "_falling",
        "_heard_at",
        "_pending",
        "_probe_s",
        "_probes",
        "_quiet",
        "_rising",
        "_served",
        "_sum",
        "_updated_at",
        "_weight",
        "is_poor",
        "late_s",
        "load",
        "long_sum",
        "long_weight",
        "lost_s",
        "news",
        "probe_from",
        "recent_at",
        "spread",
        "tail",
    )

    def __init__(self, now: float) -> None:
        self._weight = self._sum = 0.0
        self.long_weight = self.long_sum = 0.0  # of the ratios, over the long memory
        self._served = self._failed = 0.0
        self.lost_s = FIRST_LOST_S  # the time that a failing attempt takes
        self._rising = self._falling = 0.0
        self._anchor: float | None = None
        self._failed_in_row = self._answered_in_row = 0
        self._down = False
        self.tail = FIRST_TAIL  # the factor of the usual ratio that one answer in a hundred exceeds
        self.spread = FIRST_SPREAD  # the factor of the estimate that one answer in twenty exceeds
        self._probe_s = FIRST_PROBE_S
        self.probe_from = now + FIRST_PROBE_S  # no probe before
        self._probes: set[str] = set()
        # The last answer came at `recent_at`. It is `-inf` after a probe that found the candidate better, so that the
        # next may follow at once.
        self.recent_at = self._updated_at = self._heard_at = now
        self._quiet = 0.0
        self._pending: dict[str, tuple[float, float]] = {}  # start and usual time of attempts without content
        self.news: PaceNews | None = None  # collected if it is present
        self.load = Load(now)
        self.is_poor = False  # it fails often, or takes much longer than usual
        self.late_s = 0.0  # added to the pause before a probe, so that workers do not probe at once

    @property
    def weight(self) -> float:
        """The number of recent answers, decayed to the last update."""
        return self._weight

    @property
    def is_new(self) -> bool:
        """True if the candidate has neither answered nor failed yet."""
        return not self.long_weight and not self._failed

    def usual(self, peers: float) -> float:
        """Return the usual ratio. `peers` is that of all candidates, with the weight of one answer."""
        return (self.long_sum + peers) / (self.long_weight + 1.0)

    def estimate(self, now: float, memory: Memory, peers: float) -> tuple[float, float]:
        """Return the expected ratio of the next answer, and the weight of the evidence for it."""
        self._decay(now, memory)
        usual = prior = self.usual(peers)
        if self._anchor is not None:
            prior += (self._anchor - usual) * exp((self.recent_at - now) * memory.back)
        weight, total = self._weight, self._sum
        if self._pending:
            expected = (total + K * prior) / (weight + K)
            late = max(OVERDUE_USUAL * usual, OVERDUE_ESTIMATE * expected)
            count, added = 0, 0.0
            for began_at, usual_s in self._pending.values():  # the oldest first
                age = (now - began_at) / usual_s
                if age <= late:
                    break
                count += 1
                added += min(1.5 * age, MOST_OVERDUE * usual)
            silent = self._silent(now, expected) if count < FEWEST_OVERDUE else 0
            if silent:
                added, count = silent * SILENT_RATIO * usual, silent
            if count >= FEWEST_OVERDUE:
                first_at, usual_s = next(iter(self._pending.values()))
                if weight > K and self.recent_at < first_at + late * usual_s / 2:
                    total *= K / weight  # none has answered since: what was before matters little
                    weight = K
                weight, total = weight + count, total + added
        return (total + K * prior) / (weight + K), weight

    def _silent(self, now: float, estimate: float) -> int:
        """Return the number of attempts in progress if it is very unlikely that none has answered since the last
        answer, else 0. The hazard is that of a time whose 95th percentile is the spread."""
        pending, hazard, spread = self._pending, self._quiet, self.spread
        if hazard + len(pending) * _hazard(now - self._heard_at, LEAST_USUAL_S * estimate, spread) < SILENT:
            return 0  # the usual case: not even the shortest requests would be silent
        for began_at, usual_s in pending.values():
            expected_s = usual_s * estimate
            quiet_from = max(self._heard_at, began_at + QUIET_UNTIL * expected_s)
            hazard += _hazard(now - quiet_from, expected_s, spread)
        return len(pending) if hazard > SILENT else 0

    def failure_share(self) -> float:
        """Return the probability that the next attempt fails."""
        return (self._failed + 0.02) / (self._served + self._failed + 2.0)

    def judge(self, peers: float) -> bool:
        """Note whether the pace is poor, by the estimate at the last answer. Return whether that has changed."""
        share, ratio, usual = self.failure_share(), self._anchor or 0.0, self.usual(peers)
        if self.is_poor:
            is_poor = share >= FAIR_FAILURES or ratio >= FAIR_RATIO * usual
        else:
            is_poor = share > POOR_FAILURES or (self._weight >= POOR_WEIGHT and ratio > POOR_RATIO * usual)
        has_changed, self.is_poor = is_poor != self.is_poor, is_poor
        return has_changed

    def describe(self, peers: float) -> str:
        """Return failures and speed in words."""
        speed = (self._anchor or 0.0) / self.usual(peers)
        return (
            f"{100 * self.failure_share():.0f} % of attempts fail, and answers take {speed:.1f} times as long as usual"
        )

    def wants_look(self, now: float, memory: Memory) -> bool:
        """Return whether no answer has come for so long that even a usually slow candidate is tried."""
        return not self._pending and now - self.recent_at > max(LOOK_S, LOOK_REQUESTS * memory.gap_s) + self.late_s

    def wants_probe(self, now: float, memory: Memory) -> bool:
        """Return whether a request may find out how the candidate is. No attempt is in progress, no probe was made a
        moment ago, and no answer has come for long, unless the last one was a probe that found it better."""
        if self._pending or now < self.probe_from:
            return False
        return now - self.recent_at > max(self._probe_s, PROBE_REQUESTS * memory.gap_s) + self.late_s

    def begin(self, attempt_id: str, now: float, usual_s: float, *, is_probe: bool = False) -> None:
        """Note the start of an attempt that takes `usual_s` seconds at the ratio 1. A probe is made to find out how the
        candidate is."""
        if len(self._pending) < PENDING:
            if is_probe:
                self._probes.add(attempt_id)
                if self.news is not None:
                    self.news.probes_at = now
            self._pending[attempt_id] = (now, usual_s)

    def answer(self, attempt_id: str, now: float, ratio: float, memory: Memory, peers: float) -> float:
        """Note the content of a stream, or the end of another answer. Return its ratio, at most `MOST_RATIO` times the
        estimate."""
        self._pending.pop(attempt_id, None)
        estimate, _ = self.estimate(now, memory, peers)
        usual = self.usual(peers)
        is_late = ratio > self.tail * usual
        self.tail = min(max(self.tail * exp(0.2 * (is_late - 0.01)), LEAST_TAIL), MOST_TAIL)
        self.spread = _spread_after(self.spread, is_above=ratio > self.spread * estimate)
        is_better = self._end_probe(attempt_id, now, memory, is_better=self._down or ratio < BETTER * estimate)
        kept_ratio, residual = min(ratio, MOST_RATIO * estimate), log(max(ratio, 1e-3) / estimate)
        residual = min(max(residual, -MOST_RESIDUAL), MOST_RESIDUAL)
        self._note_change(residual, kept_ratio)
        self._failed_in_row, self._answered_in_row = 0, self._answered_in_row + 1
        if self._down and self._answered_in_row >= 2:
            self._down, self._failed = False, 0.0  # it is back, and its outage says nothing about now
            if self.news is not None:
                self.news.is_back, self.news.failed, self.news.lost_s = True, 0.0, 0.0
        self._weight += 1.0
        self._sum += kept_ratio
        self.long_weight += 1.0
        self.long_sum += min(ratio, 3.0 * usual)
        self._served += 1.0
        self._heard_at, self._quiet = now, 0.0
        self.recent_at = -inf if is_better else now  # a better one is probed again at once
        self._anchor = self.estimate(now, memory, peers)[0]
        if (news := self.news) is not None:
            news.answers += 1.0
            news.ratios += kept_ratio
            news.usual_answers += 1.0
            news.usual_ratios += min(ratio, 3.0 * usual)
            news.deviations += residual
            news.served += 1.0
            news.answered_at = now
        return kept_ratio

    def fail(self, attempt_id: str, now: float, took_s: float, memory: Memory) -> None:
        """Note an attempt that failed by the provider's fault."""
        self._pending.pop(attempt_id, None)
        self._decay(now, memory)
        self._end_probe(attempt_id, now, memory, is_better=False)
        self._failed_in_row, self._answered_in_row = self._failed_in_row + 1, 0
        self._down = self._down or self._failed_in_row >= DOWN
        self._failed += 1.0
        self.lost_s += 0.2 * (min(took_s, 10.0) - self.lost_s)
        if self.news is not None:
            self.news.failed += 1.0
            self.news.lost_s += min(took_s, 10.0)

    def cancel(self, attempt_id: str, now: float, memory: Memory, peers: float) -> None:
        """Note an attempt that was cancelled before any content, by its client or for another attempt. If it had taken
        longer than expected, that counts as half a slow answer."""
        began = self._pending.pop(attempt_id, None)
        if began is None:
            return
        self._end_probe(attempt_id, now, memory, is_better=False)
        age = (now - began[0]) / began[1]
        estimate, _ = self.estimate(now, memory, peers)
        expected_s = began[1] * estimate
        quiet_from = max(self._heard_at, began[0] + QUIET_UNTIL * expected_s)
        self._quiet += _hazard(now - quiet_from, expected_s, self.spread)
        if age > self.spread * estimate:
            self.spread = _spread_after(self.spread, is_above=True)  # else hedges would hide the slowest answers
        if age > estimate:
            self._weight += 0.5
            self._sum += 0.5 * min(1.3 * age, MOST_RATIO * estimate)
            self.recent_at = now
            if self.news is not None:
                self.news.answers += 0.5
                self.news.ratios += 0.5 * min(1.3 * age, MOST_RATIO * estimate)
                self.news.answered_at = now

    def merge(self, news: PaceNews, at: float, now: float, memory: Memory, peers: float) -> None:
        """Add the evidence that another worker had at the time `at`, decayed by its age. The failures of others do not
        count as failures in a row."""
        self._decay(now, memory)
        kept = exp((at - now) * memory.recent)
        if news.is_back:
            self._down, self._failed = False, 0.0
        if news.answers:
            self._note_change(news.deviations, news.ratios / news.answers, news.usual_answers)
        self.long_weight += news.usual_answers
        self.long_sum += news.usual_ratios
        self._weight += kept * news.answers
        self._sum += kept * news.ratios
        self._served += kept * news.served
        self._failed += kept * news.failed
        if news.failed:
            mean_s = news.lost_s / news.failed
            self.lost_s = mean_s + (self.lost_s - mean_s) * 0.8**news.failed
        if news.answers:
            self.recent_at = max(self.recent_at, news.answered_at)
            self._anchor = self.estimate(now, memory, peers)[0]
        if news.probe_s:
            self._probe_s = news.probe_s
        if news.probes_at:
            self.probe_from = max(self.probe_from, news.probes_at + PROBE_LEASE_S)

    def whole(self, name: str, now: float, *, stream: bool) -> PaceNews:
        """Return all that is known, for a worker that knows nothing yet."""
        self._decay(now, memory_of(0.0))
        return PaceNews(
            name,
            stream,
            answers=self._weight,
            ratios=self._sum,
            usual_answers=self.long_weight,
            usual_ratios=self.long_sum,
            served=self._served,
            failed=self._failed,
            lost_s=self.lost_s * self._failed,
            answered_at=max(self.recent_at, 0.0),
            probe_s=self._probe_s,
        )

    def forget(self, attempt_id: str) -> None:
        """Forget the start of an attempt whose end says nothing about the provider."""
        self._pending.pop(attempt_id, None)
        self._probes.discard(attempt_id)

    def _end_probe(self, attempt_id: str, now: float, memory: Memory, *, is_better: bool) -> bool:
        """Note the end of a probe. Return whether it found the candidate better than expected, so that the next one may
        follow at once."""
        if attempt_id not in self._probes:
            if self._weight:
                self._probe_s = FIRST_PROBE_S
            return False
        self._probes.discard(attempt_id)
        if is_better:
            self._probe_s, self.probe_from = FIRST_PROBE_S, now
            return True
        self._probe_s = min(self._probe_s * 1.5, LONGEST_PROBE_S)
        self.probe_from = now + max(self._probe_s, PROBE_REQUESTS * memory.gap_s)
        if self.news is not None:
            self.news.probe_s = self._probe_s
        return False

    def _note_change(self, residual: float, ratio: float, count: float = 1.0) -> None:
        """Drop most of the memory if the ratios keep deviating in one direction. `residual` is the sum over `count`
        answers, and `ratio` their mean."""
        self._rising = max(0.0, self._rising + residual - count * DRIFT)
        self._falling = max(0.0, self._falling - residual - count * DRIFT)
        if max(self._rising, self._falling) > CHANGED and self._weight > K:
            mean = self._sum / self._weight
            self._weight, self._sum = K, mean + ratio
            self._anchor = ratio
            self._rising = self._falling = 0.0

    def _decay(self, now: float, memory: Memory) -> None:
        passed_s = now - self._updated_at
        if passed_s < LEAST_DECAY_S:
            return  # many requests in a moment need it only once
        self._updated_at = now
        kept = exp(-passed_s * memory.recent)
        self._weight *= kept
        self._sum *= kept
        kept = exp(-passed_s * memory.usual)
        self.long_weight *= kept
        self.long_sum *= kept
        kept = exp(-passed_s * memory.failures)
        self._served *= kept
        self._failed *= kept


def _spread_after(spread: float, *, is_above: bool) -> float:
    """Approximate a quantile: the spread rests where one answer in twenty exceeds it (Robbins and Monro)."""
    step = SPREAD_STEP * (is_above - 0.05)
    return min(max(spread * exp(step), LEAST_SPREAD), MOST_SPREAD)


def _hazard(quiet_s: float, expected_s: float, spread: float) -> float:
    """Return the hazard of an answer in `quiet_s` seconds without it, after a part of the expected time. It is `-ln` of
    the probability that the answer did not come, and 3 at the 95th percentile."""
    return 3.0 * quiet_s / (expected_s * (spread - QUIET_UNTIL)) if quiet_s > 0 else 0.0
