"""What is counted and written when a request is over."""

from msgspec import Struct

from pointsman.domain.targets import Candidate
from pointsman.engine.charges import Charge
from pointsman.engine.record import RequestRecord
from pointsman.journal.writer import JournalWriter
from pointsman.telemetry.log import LogWriter
from pointsman.telemetry.metrics import MAX_SERIES, Counter, CounterFamily, Histogram, HistogramFamily

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_WAIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5)
_OVERHEAD_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5)


class _Target(Struct):
    """The series of one provider and model, looked up once."""

    ok: Counter
    duration: Histogram
    first_byte: Histogram
    tokens_in: Counter
    tokens_out: Counter
    cost: Counter
    unpriced: Counter


class Accounts:
    """Metrics and the request log, which the journal carries to control."""

    def __init__(self, log: LogWriter, journal: JournalWriter | None = None) -> None:
        self._log = log
        self._journal = journal
        self.requests = CounterFamily(
            "pointsman_requests_total", "Requests answered.", ("operation", "status", "virtual_key")
        )
        self.durations = HistogramFamily(
            "pointsman_request_duration_seconds", "From head to end of answer.", ("operation", "stream"), _SECONDS
        )
        self.overhead = HistogramFamily(
            "pointsman_gateway_seconds", "Time of a request not spent on upstreams.", (), _OVERHEAD_S
        )
        self.attempts = CounterFamily(
            "pointsman_attempts_total", "Attempts at providers.", ("provider", "model", "outcome")
        )
        self.attempt_durations = HistogramFamily(
            "pointsman_attempt_duration_seconds", "From start to end of an attempt.", ("provider", "model"), _SECONDS
        )
        self.first_bytes = HistogramFamily(
            "pointsman_first_byte_seconds", "From start of an attempt to its head.", ("provider", "model"), _SECONDS
        )
        self.tokens = CounterFamily(
            "pointsman_tokens_total", "Tokens reported by providers.", ("provider", "model", "direction")
        )
        self.variants = CounterFamily(
            "pointsman_variant_requests_total", "Requests served by a labelled target.", ("model", "variant", "status")
        )
        self.costs = CounterFamily(
            "pointsman_cost_nanodollars_total", "What attempts cost, in nano-dollars.", ("provider", "model")
        )
        self.unpriced = CounterFamily(
            "pointsman_unpriced_attempts_total", "Attempts whose price is not known.", ("provider", "model")
        )
        self.lease_waits = HistogramFamily(
            "pointsman_lease_wait_seconds",
            "What attempts waited for room in a limit; most wait not at all.",
            (),
            _WAIT_S,
        )
        self._overhead = self.overhead.series()
        self._lease_wait = self.lease_waits.series()
        self._targets: dict[str, _Target] = {}
        self._requests: dict[tuple[str | None, int, str | None, bool], tuple[Counter, Histogram]] = {}

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
            target = self._target(candidate.endpoint.name, candidate.model)
            if len(self._targets) < MAX_SERIES:  # model names may come from clients
                self._targets[candidate.id] = target
        if outcome == "ok":
            target.ok.value += 1
        else:
            self.attempts.series(candidate.endpoint.name, candidate.model, outcome).value += 1
        target.duration.observe(duration_s)
        if first_byte_s is not None:
            target.first_byte.observe(first_byte_s)
        usage = charge.usage
        target.tokens_in.value += usage.tokens_in
        target.tokens_out.value += usage.tokens_out
        target.cost.value += charge.nano
        if not charge.is_priced:
            target.unpriced.value += 1

    def lease_wait(self, waited_s: float) -> None:
        """Count an attempt that had to ask control for room."""
        self._lease_wait.observe(waited_s)

    def request(self, record: RequestRecord) -> None:
        """Count and write one request."""
        key = (record.operation, record.status, record.virtual_key, record.stream)
        found = self._requests.get(key)
        if found is None:
            found = self._series(record)
            if len(self._requests) < 10_000:
                self._requests[key] = found
        counter, duration = found
        counter.value += 1
        duration.observe(record.duration_us / 1e6)
        self._overhead.observe(record.gateway_us / 1e6)
        if record.variant is not None:
            self.variants.series(record.model or "", record.variant, str(record.status)).value += 1
        line = self._log.put(record)
        if self._journal is not None:
            self._journal.request(line)

    def lines(self) -> list[str]:
        """Everything in the text format of Prometheus."""
        families = (
            self.requests, self.durations, self.overhead, self.attempts, self.attempt_durations, self.first_bytes,
            self.tokens, self.variants, self.costs, self.unpriced, self.lease_waits,
        )  # fmt: skip
        dropped = [
            "# HELP pointsman_log_dropped_total Records the log lost.",
            "# TYPE pointsman_log_dropped_total counter",
            f"pointsman_log_dropped_total {self._log.dropped}",
        ]
        return [*(line for family in families for line in family.lines()), *dropped]

    def _target(self, provider: str, model: str) -> _Target:
        return _Target(
            self.attempts.series(provider, model, "ok"),
            self.attempt_durations.series(provider, model),
            self.first_bytes.series(provider, model),
            self.tokens.series(provider, model, "in"),
            self.tokens.series(provider, model, "out"),
            self.costs.series(provider, model),
            self.unpriced.series(provider, model),
        )

    def _series(self, record: RequestRecord) -> tuple[Counter, Histogram]:
        operation = record.operation or "none"
        return (
            self.requests.series(operation, str(record.status), record.virtual_key or ""),
            self.durations.series(operation, "true" if record.stream else "false"),
        )
