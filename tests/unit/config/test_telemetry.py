"""Settings of traces, and of the export to a collector."""

import pytest

from fakes.configuration import ENVIRON, OPEN, checked, compiled, errors, found
from pointsman.config.settings import Collector, Telemetry
from pointsman.config.snapshot_file import read_snapshot, write_snapshot
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.tracing import Tracing

BASE = "providers: {openai: env.OPENAI_API_KEY}\n" + OPEN
OTHERS = {**ENVIRON, "OTLP_TOKEN": "Bearer canary"}


def telemetry(text: str) -> Telemetry:
    return compiled(f"{BASE}telemetry: {text}", OTHERS).telemetry


def test_nothing_is_exported_or_sampled_by_default() -> None:
    one = compiled(BASE)
    assert one.telemetry.collector is None
    assert one.snapshot.tracing == Tracing(0.0, follows_clients=True)
    assert not one.snapshot.endpoints["openai"].sends_trace


def test_collector_is_compiled() -> None:
    text = "{otlp: {endpoint: 'https://otel.example/base/', headers: {Authorization: env.OTLP_TOKEN}, timeout_s: 3}}"
    assert telemetry(text).collector == Collector(
        origin=Origin("https", "otel.example", 443),
        path="/base",
        headers=(("authorization", Secret("Bearer canary")),),
        network=Network(connect_timeout_s=3.0, max_connections=1),
        timeout_s=3.0,
        metrics_interval_s=60.0,
        signals=("traces",),
    )


def test_egress_of_the_collector_replaces_the_global_one() -> None:
    text = f"{BASE}egress: {{proxy: 'http://proxy:3128'}}\n"
    own = "telemetry: {otlp: {endpoint: 'https://otel.example', egress: {proxy: ''}}}"
    collectors = [compiled(text + one).telemetry.collector for one in (own, own.replace(", egress: {proxy: ''}", ""))]
    assert [one.network.proxy for one in collectors if one is not None] == [None, Origin("http", "proxy", 3128)]


def test_workers_sample_only_if_traces_are_exported() -> None:
    exported = f"{BASE}telemetry: {{otlp: {{endpoint: 'https://o'}}, traces: {{ratio: 0.5, follow_clients: false}}}}"
    assert compiled(exported).snapshot.tracing == Tracing(0.5, follows_clients=False)
    logs = f"{BASE}telemetry: {{otlp: {{endpoint: 'https://o', signals: [logs]}}, traces: {{ratio: 0.5}}}}"
    assert compiled(logs).snapshot.tracing == Tracing(0.0)


def test_providers_get_the_trace_if_they_are_configured_to() -> None:
    text = "providers: {up: {type: vllm, base_url: 'http://127.0.0.1:1/v1', keys: {a: ''}, trace_context: true}}\n"
    assert compiled(text + OPEN).snapshot.endpoints["up"].sends_trace


@pytest.mark.parametrize(
    ("otlp", "problem"),
    [
        ("{endpoint: 'otel:4318'}", "must begin with https:// or http://"),
        ("{endpoint: 'https://otel/v1/traces'}", "remove the path of the signal"),
        ("{endpoint: 'http://169.254.169.254'}", "metadata service"),
        ("{endpoint: 'https://o', headers: {a: env.MISSING}}", "MISSING is not set"),
        ("{endpoint: 'https://o', headers: {a: Bearer-canary}}", "a secret must not be in this file"),
        ("{endpoint: 'https://o', headers: {Content-Type: env.OTLP_TOKEN}}", "sets this header itself"),
        ("{endpoint: 'https://o', signals: []}", "signals"),
    ],
)
def test_faults_are_reported_without_secrets(otlp: str, problem: str) -> None:
    messages = errors(f"{BASE}telemetry: {{otlp: {otlp}}}", OTHERS)
    assert any(problem in one for one in messages), messages
    assert "canary" not in str(messages)


def test_unencrypted_export_to_another_machine_is_a_warning() -> None:
    outcome = checked(f"{BASE}telemetry: {{otlp: {{endpoint: 'http://otel:4318'}}}}")
    assert any("unencrypted" in one for one in found(outcome, "warning"))


def test_snapshot_file_keeps_the_collector_without_its_secrets(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "snapshot"
    text = f"{BASE}telemetry: {{otlp: {{endpoint: 'https://o', headers: {{a: env.OTLP_TOKEN}}}}}}"
    one = compiled(text, OTHERS)
    write_snapshot(path, one)
    assert b"canary" not in path.read_bytes()
    assert read_snapshot(path, OTHERS).telemetry == one.telemetry
