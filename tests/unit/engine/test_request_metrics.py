"""Requests and attempts are counted and logged when they have ended."""

import os
from pathlib import Path

import pytest

from fakes.engine import FakeLog
from fakes.metrics import samples
from fakes.routing import endpoint
from pointsman.domain.outcomes import Usage
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.targets import candidate
from pointsman.engine import request_metrics as module
from pointsman.engine.request_metrics import RequestMetrics
from pointsman.money.charges import Charge
from pointsman.telemetry import log as telemetry_log
from pointsman.telemetry.log import LogWriter
from pointsman.telemetry.metrics import MetricsPage

A = candidate(endpoint("alpha"), "gpt-4o")


def record(
    *,
    status: int = 200,
    operation: str | None = "chat",
    key: str | None = "me",
    model: str = "chat",
    stream: bool = False,
    variant: str | None = None,
) -> RequestRecord:
    return RequestRecord(
        time=1.0,
        request_id="id",
        method="POST",
        path="/chat/completions",
        status=status,
        duration_us=250_000,
        gateway_us=2_000,
        operation=operation,
        model=model,
        stream=stream,
        virtual_key=key,
        variant=variant,
    )


def read(request_metrics: RequestMetrics) -> dict[str, float]:
    """Return the samples by name and labels."""
    return samples(MetricsPage(list(request_metrics.counters), list(request_metrics.histograms)))


def attempt(start_us: int, duration_us: int) -> AttemptRecord:
    return AttemptRecord(
        provider="alpha", model="gpt-4o", key="k", outcome="ok", start_us=start_us, duration_us=duration_us
    )


def test_parts_of_the_gateways_time_are_observed() -> None:
    """The attempts took 100,000 to 120,000 µs and 150,000 to 249,000 µs, of 250,000; the gateway had 31,000."""
    metrics = RequestMetrics(FakeLog())
    one = record()
    one.attempts, one.gateway_us = (attempt(100_000, 20_000), attempt(150_000, 99_000)), 131_000
    metrics.request(one)
    found = read(metrics)
    sums = {
        part: found[f'pointsman_gateway_part_seconds_sum{{part="{part}"}}'] for part in ("before", "between", "after")
    }
    assert sums == pytest.approx({"before": 0.1, "between": 0.03, "after": 0.001})
    assert found['pointsman_retries_total{operation="chat"}'] == 1


def test_pace_of_a_stream_is_observed() -> None:
    metrics = RequestMetrics(FakeLog())
    one = record(stream=True)
    one.provider, one.upstream_model, one.ttft_us, one.tokens_out, one.tokens_cached = "alpha", "gpt-4o", 50_000, 21, 7
    metrics.request(one)
    found, target = read(metrics), '{model="gpt-4o",provider="alpha"}'
    assert found[f"pointsman_time_to_first_token_seconds_sum{target}"] == 0.05
    assert found[f"pointsman_time_per_output_token_seconds_sum{target}"] == pytest.approx(0.01)
    assert found['pointsman_special_tokens_total{kind="cached",model="gpt-4o",provider="alpha"}'] == 7


def test_failures_are_counted_by_their_code() -> None:
    metrics = RequestMetrics(FakeLog())
    one = record(status=402)
    one.code = "budget_exceeded"
    metrics.request(one)
    metrics.request(record())
    found = read(metrics)
    errors = {name: value for name, value in found.items() if name.startswith("pointsman_request_errors_total")}
    assert errors == {'pointsman_request_errors_total{error_type="budget_exceeded",operation="chat"}': 1}


NOTHING = Charge(0, 0, "none")


def charge(tokens_in: int, tokens_out: int, nano: int = 0) -> Charge:
    return Charge(nano, tokens_in + tokens_out, "provider", Usage(tokens_in, tokens_out), is_priced=nano > 0)


def test_attempt_is_counted_in_every_metric() -> None:
    request_metrics = RequestMetrics(FakeLog())
    request_metrics.attempt(A, "ok", 0.3, 0.02, charge(7, 5, nano=40))
    request_metrics.attempt(A, "ok", 0.4, 0.03, charge(1, 0))
    request_metrics.attempt(A, "connect_failed", 5.0, None, NOTHING)
    found, labels = read(request_metrics), 'model="gpt-4o"'
    assert found[f'pointsman_attempts_total{{{labels},outcome="ok",provider="alpha"}}'] == 2
    assert found[f'pointsman_attempts_total{{{labels},outcome="connect_failed",provider="alpha"}}'] == 1
    labels += ',provider="alpha"'
    assert found[f'pointsman_cost_dollars_total{{{labels},source="provider"}}'] == 40e-9
    assert found[f"pointsman_unpriced_attempts_total{{{labels}}}"] == 1
    assert found[f"pointsman_attempt_duration_seconds_count{{{labels}}}"] == 3
    assert found[f"pointsman_attempt_duration_seconds_sum{{{labels}}}"] == 5.7
    assert found[f"pointsman_first_byte_seconds_count{{{labels}}}"] == 2
    assert found['pointsman_tokens_total{direction="in",model="gpt-4o",provider="alpha"}'] == 8
    assert found['pointsman_tokens_total{direction="out",model="gpt-4o",provider="alpha"}'] == 5


def test_request_is_counted_and_logged_once() -> None:
    log = FakeLog()
    request_metrics = RequestMetrics(log)
    requests = [record(), record(), record(stream=True), record(status=502), record(key=None), record(operation=None)]
    for request in requests:
        request_metrics.request(request)
    found = read(request_metrics)
    assert log.records == requests
    assert found['pointsman_requests_total{operation="chat",status="200",virtual_key="me"}'] == 3
    assert found['pointsman_requests_total{operation="chat",status="502",virtual_key="me"}'] == 1
    assert found['pointsman_requests_total{operation="chat",status="200",virtual_key=""}'] == 1
    assert found['pointsman_requests_total{operation="none",status="200",virtual_key="me"}'] == 1
    assert found['pointsman_request_duration_seconds_count{operation="chat",stream="false"}'] == 4
    assert found['pointsman_request_duration_seconds_count{operation="chat",stream="true"}'] == 1
    assert found['pointsman_request_duration_seconds_sum{operation="chat",stream="true"}'] == 0.25
    assert found["pointsman_gateway_seconds_count"] == len(requests)
    assert found['pointsman_gateway_seconds_bucket{le="0.001"}'] == 0
    assert found['pointsman_gateway_seconds_bucket{le="0.0025"}'] == len(requests)


def test_requests_are_counted_by_variant() -> None:
    request_metrics = RequestMetrics(FakeLog())
    for variant, status in (("control", 200), ("trial", 200), ("trial", 500), (None, 200)):
        request_metrics.request(record(variant=variant, status=status))
    found = {name: value for name, value in read(request_metrics).items() if name.startswith("pointsman_variant")}
    assert found == {
        'pointsman_variant_requests_total{public_model="chat",status="200",variant="control"}': 1,
        'pointsman_variant_requests_total{public_model="chat",status="200",variant="trial"}': 1,
        'pointsman_variant_requests_total{public_model="chat",status="500",variant="trial"}': 1,
    }


def test_cost_and_tokens_are_counted_by_key_and_team() -> None:
    request_metrics = RequestMetrics(FakeLog())
    for team, cost in (("red", 40), ("red", 2), (None, 5)):
        request = record()
        request.team, request.cost_nano, request.tokens_in, request.tokens_out = team, cost, 7, 3
        request_metrics.request(request)
    found = read(request_metrics)
    assert found['pointsman_key_cost_dollars_total{team="red",virtual_key="me"}'] == 42e-9
    assert found['pointsman_key_cost_dollars_total{team="",virtual_key="me"}'] == 5e-9
    assert found['pointsman_key_tokens_total{direction="in",team="red",virtual_key="me"}'] == 14
    assert found['pointsman_key_tokens_total{direction="out",team="red",virtual_key="me"}'] == 6


def test_invented_model_names_are_counted_together() -> None:
    request_metrics, alpha = RequestMetrics(FakeLog(), knows=lambda _, model: model == "known"), endpoint("alpha")
    for number in range(200):
        request_metrics.attempt(candidate(alpha, f"made-up-{number}"), "model_not_found", 0.1, None, NOTHING)
    request_metrics.attempt(candidate(alpha, "known"), "connect_failed", 0.1, None, NOTHING)
    request_metrics.attempt(candidate(alpha, "local"), "ok", 0.1, None, NOTHING)
    request_metrics.attempt(candidate(alpha, "local"), "connect_failed", 0.1, None, NOTHING)
    assert {labels: one.value for labels, one in request_metrics.attempts.by_labels.items() if one.value} == {
        ("alpha", "other", "model_not_found"): 200,
        ("alpha", "known", "connect_failed"): 1,
        ("alpha", "local", "ok"): 1,  # not listed, but served
        ("alpha", "local", "connect_failed"): 1,
    }
    assert set(request_metrics.attempt_durations.by_labels) == {
        ("alpha", "other"),
        ("alpha", "known"),
        ("alpha", "local"),
    }


def test_unlisted_models_do_not_displace_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERVED", 10)
    request_metrics, alpha = RequestMetrics(FakeLog(), knows=lambda _, model: model == "known"), endpoint("alpha")
    for number in range(50):  # a server that answers to any name
        request_metrics.attempt(candidate(alpha, f"made-up-{number}"), "ok", 0.1, None, NOTHING)
    request_metrics.attempt(candidate(alpha, "known"), "ok", 0.1, None, NOTHING)
    counted = {labels[1]: one.value for labels, one in request_metrics.attempts.by_labels.items()}
    assert len(counted) == 12
    assert (counted["other"], counted["known"]) == (40, 1)


def test_lost_log_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry_log, "MAX_PENDING", 0)
    with Path(os.devnull).open("wb") as file:
        log = LogWriter(file.fileno())
        request_metrics = RequestMetrics(log)
        for _ in range(3):
            request_metrics.request(record())
        assert request_metrics.log_dropped == 3
        log.close()
