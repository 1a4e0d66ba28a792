"""Metrics of the conventions for generative AI, counted from stored requests."""

from typing import Any

import msgspec
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from pointsman.admin.export.gen_ai import GenAiMetrics
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.telemetry.metrics import Histogram


def attempt(model: str, outcome: str = "ok", **fields: Any) -> AttemptRecord:
    given = {"provider": "up", "key": "k", "start_us": 0, "duration_us": 2_000_000}
    return AttemptRecord(model=model, outcome=outcome, **{**given, **fields})


def line(*attempts: AttemptRecord, **fields: Any) -> bytes:
    head = {"time": 1.7e9, "request_id": "a", "method": "POST", "path": "/v1/chat/completions", "operation": "chat"}
    return msgspec.json.encode(RequestRecord(**{"status": 200, **head, **fields}, attempts=attempts))


def noted(*lines: bytes) -> dict[str, dict[tuple[str, ...], Histogram]]:
    metrics = GenAiMetrics({"up": "bedrock"})
    metrics.note(lines)
    return {one.name: one.by_labels for one in metrics.families}


def test_names_are_those_of_the_conventions() -> None:
    known = {value for name, value in vars(gen_ai_metrics).items() if name.isupper()}
    assert {one.name for one in GenAiMetrics({}).families} <= known


def test_attempts_and_requests_are_counted_with_their_attributes() -> None:
    found = noted(
        line(
            attempt("m", tokens_in=7, tokens_out=11, usage_source="provider"),
            provider="up",
            upstream_model="m",
            duration_us=3_000_000,
            ttft_us=1_000_000,
            tokens_out=11,
        ),
        line(attempt("m", "upstream_error"), provider="up", upstream_model="m", code="upstream_error"),
    )
    target = ("chat", "aws.bedrock", "m")
    assert found["gen_ai.client.operation.duration"].keys() == {(*target, ""), (*target, "upstream_error")}
    assert found["gen_ai.client.token.usage"][*target, "input"].total == 7
    assert found["gen_ai.client.token.usage"][*target, "output"].total == 11
    assert found["gen_ai.server.request.duration"][*target, ""].total == 3
    assert found["gen_ai.server.time_to_first_token"][target].total == 1
    assert found["gen_ai.server.time_per_output_token"][target].total == 0.2


def test_model_that_a_client_invented_has_no_series_of_its_own() -> None:
    found = noted(*(line(attempt(f"m{number}", "model_not_found")) for number in range(50)))
    assert found["gen_ai.client.operation.duration"].keys() == {("chat", "aws.bedrock", "other", "model_not_found")}


def test_request_without_a_provider_is_no_request_to_a_model() -> None:
    assert not any(noted(line(status=401, code="invalid_key"), b"{").values())
