"""Counts and records finished requests and attempts."""

import logging
from bisect import bisect_left
from collections.abc import Callable

from msgspec import Struct

from pointsman.domain.callers import MARK
from pointsman.domain.dollars import NANO
from pointsman.domain.records import RequestRecord
from pointsman.domain.rules import RuleTrace
from pointsman.domain.targets import Candidate
from pointsman.journal.writer import JournalWriter
from pointsman.money.charges import Charge
from pointsman.telemetry.log import LogWriter
from pointsman.telemetry.metrics import MAX_SERIES, OTHER, Counter, CounterFamily, Histogram, HistogramFamily
from pointsman.telemetry.record_masks import RecordMasks

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_WAIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0)
_OVERHEAD_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)
MAX_SERVED = 1000  # unlisted models that a provider served: each has some forty series

_logger = logging.getLogger(__name__)

_LEASE_WAITS = "Seconds that an attempt waited for a lease; attempts without a wait are not counted."
_HEDGES = "Second attempts beside slow ones: won (it answered first), lost, or failed."
_RACES = "Second attempts that find out how a target is: won (it answered first), lost, or failed."
_CONTINUATIONS = "Attempts that went on with a stream that broke off: won (it is complete), or failed."
_MIRRORS = "Copies of requests, by the comparison of their answer: same, different, unread, failed or skipped."
_PARTS = "Seconds that the gateway took before the first attempt, between attempts, and after the last one."
_FIRST_TOKENS = "Seconds from the arrival of a request to the first content of its stream."
_OUTPUT_PACE = "Mean seconds for each output token of a stream after the first content."
_ERRORS = "Requests that failed or whose client disconnected, by the code of the failure."
_RETRIES = "Attempts after the first one of a request, of any kind."
_KINDS = "Tokens that the others include: cached and cache_write of prompts, reasoning of answers."
_RULES = "Rules that matched a request, and those without a result: a fact was unknown, or the condition failed."

Knows = Callable[[str, str], bool]
"""Returns whether the configuration or the catalog knows a model of a provider."""


class _Target(Struct, kw_only=True):
    """The series of one provider and model, looked up once, with their labels."""

    provider: str
    model: str
    ok: Counter
    duration: Histogram
    first_byte: Histogram
    tokens_in: Counter
    tokens_out: Counter
    cost: Counter
    unpriced: Counter


class _Requests(Struct):
    """The series of requests with equal labels, looked up once."""

    count: Counter
    duration: Histogram
    cost: Counter
    tokens_in: Counter
    tokens_out: Counter


class RequestMetrics:
    """The metrics of requests and attempts, and the request log, which the journal carries to control.

    A model has its own series if the configuration or the catalog `knows` it, or after it was served. All other names
    may be invented by clients, so they are counted as "other".
    """

    def __init__(self, log: LogWriter, journal: JournalWriter | None = None, knows: Knows | None = None) -> None:
        self._log, self._journal = log, journal
        self._knows = knows or _knows_all
        self._served: set[tuple[str, str]] = set()
        self._reported: set[str] = set()  # rules whose condition failed
        self.masks = RecordMasks()
        target = ("provider", "model")
        served = ("operation", "status", "virtual_key")
        self.requests = CounterFamily("pointsman_requests_total", "Requests that have ended.", served)
        ended, counted = (*target, "outcome"), (*target, "direction")
        self.attempts = CounterFamily("pointsman_attempts_total", "Attempts that have ended, by outcome.", ended)
        self.tokens = CounterFamily("pointsman_tokens_total", "Tokens of attempts, by direction.", counted)
        self.variants = CounterFamily(
            "pointsman_variant_requests_total",
            "Requests served by a labelled target of a public name.",
            ("public_model", "variant", "status"),
        )
        self.costs = CounterFamily(
            "pointsman_cost_dollars_total",
            "Cost of attempts in US dollars, by the source of the amount.",
            (*target, "source"),
            NANO,
        )
        self.held = CounterFamily(
            "pointsman_held_dollars_total",
            "US dollars that limits hold beyond the known cost of attempts.",
            target,
            NANO,
        )
        self.unpriced = CounterFamily("pointsman_unpriced_attempts_total", "Attempts without a known price.", target)
        owner = ("virtual_key", "team")
        self.key_costs = CounterFamily(
            "pointsman_key_cost_dollars_total", "Cost of requests in US dollars, by virtual key and team.", owner, NANO
        )
        self.key_tokens = CounterFamily(
            "pointsman_key_tokens_total", "Tokens of requests, by virtual key and team.", (*owner, "direction")
        )
        self.durations = HistogramFamily(
            "pointsman_request_duration_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ("operation", "stream"),
            _SECONDS,
        )
        self.overhead = HistogramFamily(
            "pointsman_gateway_seconds", "Seconds of a request that the gateway itself took.", (), _OVERHEAD_S
        )
        self.attempt_durations = HistogramFamily(
            "pointsman_attempt_duration_seconds", "Seconds from the start of an attempt to its end.", target, _SECONDS
        )
        self.first_bytes = HistogramFamily(
            "pointsman_first_byte_seconds",
            "Seconds from the start of an attempt to the head of its answer.",
            target,
            _SECONDS,
        )
        self.lease_waits = HistogramFamily("pointsman_lease_wait_seconds", _LEASE_WAITS, (), _WAIT_S)
        self.hedges = CounterFamily("pointsman_hedges_total", _HEDGES, (*target, "result"))
        self.races = CounterFamily("pointsman_races_total", _RACES, (*target, "result"))
        self.continuations = CounterFamily("pointsman_continuations_total", _CONTINUATIONS, (*target, "result"))
        self.mirrors = CounterFamily("pointsman_mirrored_total", _MIRRORS, ("public_model", "result"))
        self.rules = CounterFamily("pointsman_rule_results_total", _RULES, ("rule", "result"))
        self._add_paces(target)
        families = tuple(vars(self).values())
        self.counters = tuple(one for one in families if isinstance(one, CounterFamily))
        self.histograms = tuple(one for one in families if isinstance(one, HistogramFamily))
        self._overhead = self.overhead.series()
        self._before, self._after = self.parts.series("before"), self.parts.series("after")
        self._lease_wait = self.lease_waits.series()
        self._targets: dict[str, _Target] = {}
        self._requests: dict[tuple[str | None, int, str | None, bool, str | None], _Requests] = {}

    def _add_paces(self, target: tuple[str, str]) -> None:
        """Add the families of the gateway's own time, of the pace of answers, and of failures."""
        self.parts = HistogramFamily("pointsman_gateway_part_seconds", _PARTS, ("part",), _OVERHEAD_S)
        self.first_tokens = HistogramFamily("pointsman_time_to_first_token_seconds", _FIRST_TOKENS, target, _SECONDS)
        self.token_times = HistogramFamily("pointsman_time_per_output_token_seconds", _OUTPUT_PACE, target, _TOKEN_S)
        self.errors = CounterFamily("pointsman_request_errors_total", _ERRORS, ("operation", "error_type"))
        self.retries = CounterFamily("pointsman_retries_total", _RETRIES, ("operation",))
        self.token_kinds = CounterFamily("pointsman_special_tokens_total", _KINDS, (*target, "kind"))

    @property
    def log_dropped(self) -> int:
        """The number of records that the log lost."""
        return self._log.dropped

    def model_label(self, provider: str, model: str) -> str:
        """Return the name under which a model is counted."""
        return model if (provider, model) in self._served or self._knows(provider, model) else OTHER

    def attempt(
        self,
        candidate: Candidate,
        outcome: str,
        duration_s: float,
        first_byte_s: float | None,
        charge: Charge,
    ) -> None:
        """Count one attempt; `outcome` is `ok` or the code of its failure."""
        target = self._targets.get(candidate.id)
        if target is None:
            target = self._target(candidate, outcome)
        if outcome == "ok":
            target.ok.value += 1
        else:
            self.attempts.series(target.provider, target.model, outcome).value += 1
        target.duration.observe(duration_s)
        if first_byte_s is not None:
            target.first_byte.observe(first_byte_s)
        usage = charge.usage
        target.tokens_in.value += usage.tokens_in
        target.tokens_out.value += usage.tokens_out
        if charge.source == "provider":
            target.cost.value += charge.nano
        elif charge.nano or charge.held_nano:
            self.costs.series(target.provider, target.model, charge.source).value += charge.nano
            if charge.held_nano:
                self.held.series(target.provider, target.model).value += charge.held_nano
        if not charge.is_priced:
            target.unpriced.value += 1

    def rule_results(self, trace: RuleTrace) -> None:
        """Count the rules that matched, and those without a result. An error is logged once for each rule."""
        for rule in trace.matched:
            self.rules.series(rule, "matched").value += 1
        for step in trace.exceptions:
            self.rules.series(step.rule, step.result).value += 1
            if step.result == "error" and step.rule not in self._reported:
                self._reported.add(step.rule)
                _logger.warning(
                    "the condition of the routing rule %s fails, so it does not match: %s", step.rule, step.message
                )

    def rival(self, candidate: Candidate, role: str, result: str) -> None:
        """Count a second attempt: a hedge, a race, or the continuation of a stream."""
        model, family = self.model_label(candidate.endpoint.name, candidate.model), self.hedges
        if role == "race":
            family = self.races
        elif role == "continuation":
            family = self.continuations
        family.series(candidate.endpoint.name, model, result).value += 1

    def mirrored(self, name: str, result: str) -> None:
        """Count a copy of a request for a public name."""
        self.mirrors.series(name, result).value += 1

    def lease_wait(self, waited_s: float) -> None:
        """Observe the wait of an attempt that had no room at first."""
        self._lease_wait.observe(waited_s)

    def request(self, record: RequestRecord, *, is_kept: bool = True) -> None:
        """Count one request, and write its record unless `is_kept` is false."""
        key = (record.operation, record.status, record.virtual_key, record.stream, record.team)
        series = self._requests.get(key)
        if series is None:
            series = self._series(record)
            if len(self._requests) < MAX_SERIES:
                self._requests[key] = series
        series.count.value += 1
        series.duration.observe(record.duration_us / 1e6)
        series.cost.value += record.cost_nano
        if record.tokens_in is not None:
            series.tokens_in.value += record.tokens_in
            series.tokens_out.value += record.tokens_out or 0
        self._overhead.observe(record.gateway_us / 1e6)
        if record.code is not None:
            self.errors.series(record.operation or "none", record.code).value += 1
        if record.attempts:
            self._observe_parts(record)
        if record.tokens_cached or record.tokens_reasoning or record.tokens_cache_write or record.ttft_us is not None:
            self._observe_answer(record)
        if record.variant is not None:
            self.variants.series(record.model or "", record.variant, str(record.status)).value += 1
        if not is_kept:
            return
        line = self._log.put(self.masks.of(record))
        if self._journal is not None:
            self._journal.request(line)

    def _observe_parts(self, record: RequestRecord) -> None:
        """Observe the parts of the gateway's own time. Attempts are in the order of their ends. Every request calls
        this, so it does without the calls of `observe`."""
        attempts = record.attempts
        last = attempts[-1]
        before_us = last.start_us
        after_us = record.duration_us - before_us - last.duration_us
        if len(attempts) > 1:
            before_us = min([one.start_us for one in attempts])
            self.retries.series(record.operation or "none").value += len(attempts) - 1
            between_us = record.gateway_us - before_us - after_us
            self.parts.series("between").observe(max(between_us, 0) / 1e6)
        before, after, before_s, after_s = self._before, self._after, before_us / 1e6, after_us / 1e6
        before.counts[bisect_left(_OVERHEAD_S, before_s)] += 1
        before.total += before_s
        after.counts[bisect_left(_OVERHEAD_S, after_s)] += 1
        after.total += after_s

    def _observe_answer(self, record: RequestRecord) -> None:
        """Observe the pace of a stream, and the special tokens of an answer."""
        provider = record.provider or ""
        model, tokens = self.model_label(provider, record.upstream_model or ""), record.tokens_out or 0
        if record.ttft_us is not None:
            self.first_tokens.series(provider, model).observe(record.ttft_us / 1e6)
            if tokens > 1:
                taken_us = record.duration_us - record.ttft_us
                self.token_times.series(provider, model).observe(taken_us / (tokens - 1) / 1e6)
        for kind, count in (
            ("cached", record.tokens_cached),
            ("cache_write", record.tokens_cache_write),
            ("reasoning", record.tokens_reasoning),
        ):
            if count:
                self.token_kinds.series(provider, model, kind).value += count

    def _target(self, candidate: Candidate, outcome: str) -> _Target:
        provider, name = candidate.endpoint.name, candidate.model
        is_new = outcome == "ok" and len(self._served) < MAX_SERVED and not self._knows(provider, name)
        if is_new and self.masks.text(name) == name:
            self._served.add((provider, name))
        model = self.model_label(provider, name)
        target = _Target(
            provider=provider,
            model=model,
            ok=self.attempts.series(provider, model, "ok"),
            duration=self.attempt_durations.series(provider, model),
            first_byte=self.first_bytes.series(provider, model),
            tokens_in=self.tokens.series(provider, model, "in"),
            tokens_out=self.tokens.series(provider, model, "out"),
            cost=self.costs.series(provider, model, "provider"),
            unpriced=self.unpriced.series(provider, model),
        )
        if model == name and len(self._targets) < MAX_SERIES:
            self._targets[candidate.id] = target
        return target

    def _series(self, record: RequestRecord) -> _Requests:
        operation, team = record.operation or "none", record.team or ""
        key = (record.virtual_key or "").partition(MARK)[0]  # a label for each caller of an identity would be too many
        return _Requests(
            self.requests.series(operation, str(record.status), key),
            self.durations.series(operation, "true" if record.stream else "false"),
            self.key_costs.series(key, team),
            self.key_tokens.series(key, team, "in"),
            self.key_tokens.series(key, team, "out"),
        )


def _knows_all(provider: str, model: str) -> bool:  # noqa: ARG001
    return True
