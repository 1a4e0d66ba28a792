"""The paces of all candidates in one worker, and the usual time of an answer.

Workers of one machine exchange their evidence: `take_delta` returns the sums since the last one, and `merge` adds those
of another worker. `whole` and `adopt` do so for a worker that has just started. Without `share`, nothing is collected.
"""

from collections.abc import Callable, Container, Hashable, Iterable, Sequence
from math import exp

from msgspec import Struct

from pointsman.domain.calls import Call, Prefix
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.operations import GENERATING, Operation
from pointsman.domain.plans import Plan
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.money.charges import USUAL_ANSWER
from pointsman.routing.estimates import HEAVY_S, KEPT_S, Estimates, Query, estimate, probe_from
from pointsman.routing.health import subject
from pointsman.routing.key_order import KeyStates
from pointsman.routing.pace import Memory, Pace, memory_of
from pointsman.routing.pace_news import MOST_NEWS, STALE_S, PaceDelta, PaceNews
from pointsman.routing.prefixes import Prefixes, domain_of
from pointsman.wire.prefixes import LEAST_BLOCKS, tokens_of
from pointsman.wire.tokens import about_by_size

MOST_PACES = 10_000  # names may come from clients
MOST_NAMES = 10_000
FIRST_GAP_S = 0.2
LONGEST_GAP_S = 60.0
ENOUGH_S = 0.01  # between two observed attempts for a model: a hundred a second say as much as more would
GAP_STEP = 0.02  # of the mean time between requests
MOST_KEPT = 1_000
OTHERS_S = 10.0  # the memory of the requests at other workers
LATE_S = 1.5  # between the probes of two workers of successive ranks: longer than an exchange takes
FIRST_TOKEN_S, PROMPT_TOKEN_S, ANSWER_TOKEN_S = 0.3, 1e-4, 0.02  # of a usual provider: only ratios to it matter
_OF_KEYS = frozenset({None, Fault.PROVIDER, Fault.QUOTA, Fault.CREDENTIAL})  # the ends that tell about a key
PaceName = tuple[str, bool]  # the name of an operation (`health.subject`), and whether its answers are streams
_PRIOR = 2.0  # the number of answers at the ratio 1 that the mean of all candidates begins with


def first_content_s(call: Call, cached: float = 0.0) -> float:
    """Return the time in seconds that a usual provider takes until its answer begins, whether it streams it or not. Of
    the prompt, `cached` tokens take no time."""
    tokens = about_by_size(call) - cached
    return FIRST_TOKEN_S + PROMPT_TOKEN_S * tokens if tokens > 0.0 else FIRST_TOKEN_S


def usual_s(call: Call, tokens_out: float | None = None, cached: float = 0.0) -> float:
    """Return the time in seconds that a usual provider takes for the first content of a stream, or for the whole of
    another answer. `tokens_out` is the length of the answer; by default it is an expectation. Of the prompt, `cached`
    tokens take no time."""
    seconds = first_content_s(call, cached)
    if call.stream or call.operation not in GENERATING:
        return seconds
    if tokens_out is None:
        tokens_out = USUAL_ANSWER if call.max_tokens is None else min(USUAL_ANSWER, call.max_tokens)
    return seconds + ANSWER_TOKEN_S * tokens_out


class Tried(Struct, gc=False):
    """An attempt that a strategy learns from: its candidate, the call, the requested model, its id, and its start in
    monotonic seconds. `peers` are all candidates of its plan. `has_content` says that its first content was noted.
    `key` is its provider key, if it is known. `blocks` of the prompt's `prefix` were probably in the cache, so that
    `cached` tokens are expected to be read from it. With it, so many attempts were `running` at the candidate."""

    item: Candidate
    call: Call
    model: str
    id: str
    began_at: float
    peers: Sequence[Candidate]
    has_content: bool = False
    key: ProviderKey | None = None
    prefix: Prefix | None = None
    blocks: int = 0
    cached: float = 0.0
    running: int = 1


def mean_ratio(paces: Iterable[Pace | None]) -> float:
    """Return the mean usual ratio of some candidates."""
    weight = total = _PRIOR
    for pace in paces:
        if pace is not None:
            weight += pace.long_weight
            total += pace.long_sum
    return total / weight


class Paces:
    """The paces by operation of a candidate and kind of answer, and the mean time between requests for each model.
    `on_quality` is called with the name of an operation, whether its pace is poor, the time and the reason, when that
    changes. `prefixes` and `keys` are what attempts left in caches, and how they went by key."""

    def __init__(self) -> None:
        self.prefixes = Prefixes()
        self.keys = KeyStates()
        self.on_quality: Callable[[str, bool, float, str], None] | None = None
        self._kept: dict[Hashable, Estimates] = {}
        self._paces: dict[PaceName, Pace] = {}
        self._gaps: dict[str, tuple[float, float]] = {}  # the mean gap and the last arrival, by requested model
        self._memories: dict[str, Memory] = {}
        self._observed: dict[str, float] = {}  # when the last attempt was observed, of models with heavy traffic
        self._rank: int | None = None
        self._news: dict[PaceName, PaceNews] = {}
        self._arrivals: dict[str, int] = {}
        self._others: dict[str, float] = {}  # requests of the last `OTHERS_S` at other workers, decayed
        self._taken_at = 0.0

    def keep(self, providers: Container[str]) -> None:
        """Forget other providers."""
        self._kept = {}
        self._paces = {name: one for name, one in self._paces.items() if name[0].partition("/")[0] in providers}
        self._news = {name: one for name, one in self._news.items() if name in self._paces}

    def find(self, item: Candidate, operation: Operation, *, stream: bool) -> Pace | None:
        """Return the pace of a candidate, if it has been tried."""
        return self._paces.get((subject(item, operation), stream))

    def estimates(self, query: Query, model: str, now: float) -> Estimates:
        """Return the estimates of some candidates. Under heavy traffic for the requested model, they are those of a
        moment ago."""
        is_heavy = self.gap_s(model) < HEAVY_S
        if is_heavy:
            found = self._kept.get((query.key, model))
            if found is not None and now - found.at < KEPT_S:
                return found
        known, memory = [self._paces.get(name) for name in query.names], self.memory(model)
        peers = mean_ratio(known)
        each = [estimate(pace, memory, peers, prior, now) for pace, prior in zip(known, query.priors, strict=True)]
        if not is_heavy:
            return Estimates(each, peers, memory, now, probe_from(each))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        made = self._kept[query.key, model] = Estimates(each, peers, memory, now, probe_from(each), orders={})
        return made

    def _open(self, tried: Tried, now: float) -> Pace:
        name = (subject(tried.item, tried.call.operation), tried.call.stream)
        found = self._paces.get(name)
        if found is None:
            found = self._add(name, now)
        if self._rank is not None and found.news is None:
            found.news = self._news[name] = PaceNews(*name, tried.model)
        return found

    def _add(self, name: PaceName, now: float) -> Pace:
        if len(self._paces) >= MOST_PACES:
            oldest = next(iter(self._paces))
            del self._paces[oldest]
            self._news.pop(oldest, None)
        found = self._paces[name] = Pace(now)
        found.late_s = LATE_S * (self._rank or 0)
        return found

    def peers(self, items: Iterable[Candidate], operation: Operation, *, stream: bool) -> float:
        """Return the mean usual ratio of some candidates."""
        return mean_ratio([self._paces.get((subject(item, operation), stream)) for item in items])

    def observes(
        self, plan: Plan, item: Candidate, attempt_id: str, now: float, *, key: ProviderKey | None = None
    ) -> bool:
        """Return whether an attempt is worth observing. Under heavy traffic some are enough, so that learning costs
        little; the choice depends on the time alone, so that failures keep their share. Call `started` if it is. Of the
        others, only the prompts in caches are noted."""
        model = plan.model
        known = self._gaps.get(model)
        if known is None or known[0] >= ENOUGH_S or plan.probe:
            return True
        if now - self._observed.get(model, 0.0) < ENOUGH_S:
            if attempt_id.endswith("-1"):
                self._arrive(model, now)
            if plan.prefix is not None and key is not None:
                self.prefixes.note(domain_of(item, key), plan.prefix.blocks, now)
            return False
        if len(self._observed) >= MOST_NAMES:
            self._observed.clear()
        self._observed[model] = now
        return True

    def started(
        self,
        plan: Plan,
        item: Candidate,
        call: Call,
        attempt_id: str,
        now: float,
        *,
        key: ProviderKey | None = None,
        running: int = 1,
    ) -> Tried:
        """Note the start of an attempt, which is the first of its request if its id ends with `-1`. With it, so many
        are `running` at the candidate."""
        if attempt_id.endswith("-1"):
            self._arrive(plan.model, now)
        peers = [choice.candidate for choice in plan.choices]
        tried = Tried(item, call, plan.model, attempt_id, began_at=now, peers=peers, key=key, running=running)
        if key is not None:
            self.keys.begin((item.endpoint.name, key.name))
            if plan.prefix is not None:
                domain, tried.prefix = domain_of(item, key), plan.prefix
                tried.blocks = self.prefixes.matched(domain, plan.prefix.blocks, now)
                tried.cached = self.prefixes.tokens(domain, tried.blocks)
                self.prefixes.note(domain, plan.prefix.blocks, now)
        is_late = call.stream and plan.routing.failover.stream_recovery == "buffer"
        if not is_late:  # the content of a buffered stream comes at its end
            pace = self._open(tried, now)
            pace.begin(attempt_id, now, usual_s(call), is_probe=plan.probe == item.id)
            pace.load.begin(running)
        return tried

    def content(self, tried: Tried, at: float) -> None:
        """Note the first content of a stream."""
        tried.has_content = True
        self._answer(tried, at, (at - tried.began_at) / usual_s(tried.call, cached=tried.cached))

    def ended(
        self,
        tried: Tried,
        failure: Failure | None,
        now: float,
        *,
        tokens_out: int,
        content_at: float | None,
        tokens_cached: int | None = None,
    ) -> None:
        """Note the end of an attempt. `content_at` is the time of its first content, if any came. `tokens_cached` are
        those that the provider reported, if it did."""
        call, memory, pace = tried.call, self.memory(tried.model), self._open(tried, now)
        if call.stream and content_at is not None and not tried.has_content:
            self.content(tried, content_at)
        if failure is None:
            if not call.stream:
                self._answer(tried, now, (now - tried.began_at) / usual_s(call, tokens_out or None, tried.cached))
        elif failure.kind.fault is Fault.PROVIDER:
            pace.fail(tried.id, now, now - tried.began_at, memory)
            self._judge(pace, tried, now, self.peers(tried.peers, call.operation, stream=call.stream))
        elif failure.kind.fault is Fault.CLIENT:
            pace.cancel(tried.id, now, memory, self.peers(tried.peers, call.operation, stream=call.stream))
        pace.forget(tried.id)
        if tried.key is not None:
            self._note_key(tried, tried.key, failure, now, tokens_cached)

    def _note_key(
        self, tried: Tried, key: ProviderKey, failure: Failure | None, now: float, tokens_cached: int | None
    ) -> None:
        """Note the end of an attempt for its key, and for the cache that it used."""
        fault = None if failure is None else failure.kind.fault
        is_failed = None if fault not in _OF_KEYS else fault is not None
        self.keys.end((tried.item.endpoint.name, key.name), now, failed=is_failed)
        prefix = tried.prefix
        if prefix is None:
            return
        domain = domain_of(tried.item, key)
        if tokens_cached is not None and failure is None:
            held = tokens_of(tried.blocks) if tried.blocks >= LEAST_BLOCKS else 0
            expected = min(held, about_by_size(tried.call))
            self.prefixes.learn(domain, expected, tokens_cached)
        elif is_failed:
            self.prefixes.forget(domain, prefix.blocks[tried.blocks :], tried.began_at)

    def _answer(self, tried: Tried, at: float, ratio: float) -> None:
        operation, stream = tried.call.operation, tried.call.stream
        peers = self.peers(tried.peers, operation, stream=stream)
        pace = self._open(tried, at)
        memory = self.memory(tried.model)
        kept_ratio = pace.answer(tried.id, at, ratio, memory, peers)
        pace.load.learn(tried.running, kept_ratio, at, memory.gap_s)
        if pace.news is not None:
            pace.news.peers = peers
        self._judge(pace, tried, at, peers)

    def _judge(self, pace: Pace, tried: Tried, now: float, peers: float) -> None:
        if pace.judge(peers) and self.on_quality is not None:
            name, stream = subject(tried.item, tried.call.operation), tried.call.stream
            other = self._paces.get((name, not stream))
            is_poor = pace.is_poor or (other is not None and other.is_poor)
            self.on_quality(name, is_poor, now, pace.describe(peers))

    def _arrive(self, model: str, now: float) -> None:
        """Note a request for a model."""
        gap_s, last = self._gaps.get(model, (FIRST_GAP_S, None))
        if last is None and len(self._gaps) >= MOST_NAMES:
            self._gaps.clear()
        if last is not None:
            gap_s += 0.05 * (min(now - last, LONGEST_GAP_S) - gap_s)
        self._gaps[model] = (gap_s, now)
        if self._rank is not None:
            self._arrivals[model] = self._arrivals.get(model, 0) + 1

    def gap_s(self, model: str) -> float:
        """Return the mean time between requests for a model, in seconds, at all workers that share their evidence."""
        found = self._gaps.get(model)
        gap_s = FIRST_GAP_S if found is None else found[0]
        return 1.0 / (1.0 / gap_s + self._others.get(model, 0.0) / OTHERS_S) if self._others else gap_s

    def memory(self, model: str) -> Memory:
        """Return the lengths of the memories of the requests for a model. They follow the mean time between requests
        in small steps, since most requests need not compute them anew."""
        gap_s, kept = self.gap_s(model), self._memories.get(model)
        if kept is None or abs(gap_s - kept.gap_s) > GAP_STEP * kept.gap_s:
            if len(self._memories) >= MOST_NAMES:
                self._memories.clear()
            kept = self._memories[model] = memory_of(gap_s)
        return kept

    def share(self, rank: int | None) -> None:
        """Collect news for other workers from now on. Ranks, from 0 on, distinguish the workers: each one waits a
        little longer than that before it until it probes. `None` ends the collection: the worker is alone."""
        self._rank = rank
        if rank is None:
            self._news, self._arrivals, self._others = {}, {}, {}
        for pace in self._paces.values():
            pace.late_s = LATE_S * (rank or 0)
            if rank is None:
                pace.news = None

    def take_delta(self, now: float) -> PaceDelta | None:
        """Return the news since the last delta, of `MOST_NEWS` paces at most, or `None` if there are none. It is called
        about every second."""
        kept = exp((self._taken_at - now) / OTHERS_S)
        self._others = {model: count * kept for model, count in self._others.items() if count * kept > 0.01}
        self._taken_at = now
        if not self._news and not self._arrivals:
            return None
        names = list(self._news)[:MOST_NEWS]
        news = [self._news.pop(name) for name in names]
        for name in names:
            self._paces[name].news = None
        arrivals = dict(list(self._arrivals.items())[:MOST_NEWS])
        self._arrivals = {}
        return PaceDelta(now, news, arrivals)

    def merge(self, delta: PaceDelta, now: float) -> None:
        """Add the evidence of another worker, unless it is too old. Deltas may arrive in any order."""
        if now - delta.at > STALE_S:
            return
        for model, count in delta.arrivals.items():
            if model in self._others or len(self._others) < MOST_NAMES:
                self._others[model] = self._others.get(model, 0.0) + count
        for news in delta.news:
            name = (news.name, news.stream)
            pace = self._paces.get(name) or self._add(name, now)
            pace.merge(news, delta.at, now, self.memory(news.model), news.peers)

    def whole(self, now: float) -> PaceDelta:
        """Return all that is known, for a worker that has just started, of `MOST_NEWS` paces at most."""
        names = list(self._paces)[-MOST_NEWS:]
        return PaceDelta(now, [self._paces[name].whole(name[0], now, stream=name[1]) for name in names])

    def adopt(self, whole: PaceDelta, now: float) -> None:
        """Take the evidence of another worker about paces that are unknown here."""
        if now - whole.at > STALE_S:
            return
        self.merge(PaceDelta(whole.at, [one for one in whole.news if self._is_unknown(one)]), now)

    def _is_unknown(self, news: PaceNews) -> bool:
        pace = self._paces.get((news.name, news.stream))
        return pace is None or pace.is_new
