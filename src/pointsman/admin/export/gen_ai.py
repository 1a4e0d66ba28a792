"""Metrics with the names, attributes and buckets of OpenTelemetry's conventions for generative AI, version 0.1.0.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-metrics.md

They are counted from the stored requests, so they cost the workers nothing. The gateway is a client in its attempts,
and a server in its requests. Sums begin with the start of the process.
"""

from collections.abc import Iterable, Mapping

from pointsman.admin.export.attributes import HARMLESS, operation_name, provider_name
from pointsman.admin.export.outlet import records_of
from pointsman.domain.records import AttemptRecord
from pointsman.telemetry.metrics import OTHER, HistogramFamily

MAX_MODELS = 1000  # that were served
_DURATION_S = tuple(0.01 * 2**power for power in range(14))
_TOKENS = tuple(float(4**power) for power in range(14))
_FIRST_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_EACH_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TARGET = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
_MAY_FAIL = (*_TARGET, "error.type")
UNITS = {"gen_ai.client.token.usage": "{token}"}  # all others are in seconds


class GenAiMetrics:
    """Histograms over attempts and requests. `types` are the types of providers by name. A model that no provider has
    served yet is `other`, since a client may have invented it."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self._served: set[str] = set()
        self._attempts = HistogramFamily(
            "gen_ai.client.operation.duration", "Seconds of an attempt at a provider.", _MAY_FAIL, _DURATION_S
        )
        self._tokens = HistogramFamily(
            "gen_ai.client.token.usage", "Tokens of an attempt.", (*_TARGET, "gen_ai.token.type"), _TOKENS
        )
        self._requests = HistogramFamily(
            "gen_ai.server.request.duration", "Seconds of a request to the gateway.", _MAY_FAIL, _DURATION_S
        )
        self._first = HistogramFamily(
            "gen_ai.server.time_to_first_token", "Seconds from a request to its first content.", _TARGET, _FIRST_S
        )
        self._each = HistogramFamily(
            "gen_ai.server.time_per_output_token", "Seconds for each output token after the first.", _TARGET, _EACH_S
        )

    @property
    def families(self) -> list[HistogramFamily]:
        return [self._attempts, self._tokens, self._requests, self._first, self._each]

    def note(self, lines: Iterable[bytes]) -> None:
        """Count some stored requests, whose records are in JSON."""
        for record in records_of(lines):
            operation = operation_name(record)
            for attempt in record.attempts:
                self._note_attempt(operation, attempt)
            if record.provider is None:
                continue  # nothing was asked of a model
            target = self._target(operation, record.provider, record.upstream_model)
            self._requests.series(*target, record.code or "").observe(record.duration_us / 1e6)
            if record.ttft_us is None:
                continue
            self._first.series(*target).observe(record.ttft_us / 1e6)
            if record.tokens_out is not None and record.tokens_out > 1:
                taken_us = record.duration_us - record.ttft_us
                self._each.series(*target).observe(taken_us / (record.tokens_out - 1) / 1e6)

    def _note_attempt(self, operation: str, attempt: AttemptRecord) -> None:
        if attempt.outcome == "ok" and attempt.model and len(self._served) < MAX_MODELS:
            self._served.add(attempt.model)
        target = self._target(operation, attempt.provider, attempt.model)
        failure = "" if attempt.outcome in HARMLESS else attempt.outcome
        self._attempts.series(*target, failure).observe(attempt.duration_us / 1e6)
        if attempt.usage_source != "none":
            self._tokens.series(*target, "input").observe(attempt.tokens_in)
            self._tokens.series(*target, "output").observe(attempt.tokens_out)

    def _target(self, operation: str, provider: str | None, model: str | None) -> tuple[str, str, str]:
        name = model if model in self._served else OTHER
        return operation, provider_name(provider or "", self._types), name or OTHER
