"""Compiles `telemetry`, `redaction`, `sinks` and `alerts`: the places that data goes to, and the choice of requests."""

from time import time

from pointsman.config.alerts import compile_alerts
from pointsman.config.problems import Findings
from pointsman.config.references import References
from pointsman.config.requirements import compile_tags
from pointsman.config.schema import Document
from pointsman.config.servers import compile_server
from pointsman.config.settings import Collector, Telemetry
from pointsman.config.sinks import compile_bodies, compile_redaction, compile_sinks
from pointsman.config.source import Location
from pointsman.config.telemetry_schema import OtlpSettings
from pointsman.domain.network import Network
from pointsman.domain.tracing import Tracing

_OTLP: Location = ("telemetry", "otlp")


def compile_telemetry(document: Document, references: References, findings: Findings) -> Telemetry:
    """Return the settings. With errors among the findings, they are not usable."""
    settings, redaction = document.telemetry, compile_redaction(document, findings)
    collector = None
    if settings.otlp is not None:
        collector = _collector(document, settings.otlp, references, findings)
    return Telemetry(
        collector=collector,
        tracing=_tracing(document),
        errors=settings.traces.errors,
        slow_s=settings.traces.slow_s,
        service_name=settings.service_name,
        attributes=tuple(settings.attributes.items()),
        redaction=redaction,
        bodies=compile_bodies(document, redaction, findings),
        keep_bodies_days=document.bodies.keep_days,
        sinks=compile_sinks(document, references, findings),
        alerts=compile_alerts(document.alerts, document.egress, references, findings),
    )


def _tracing(document: Document) -> Tracing:
    """Return the settings of traces that workers read. Without an export of traces, the gateway samples none itself."""
    settings, otlp = document.telemetry.traces, document.telemetry.otlp
    is_exported = otlp is not None and "traces" in otlp.signals
    return Tracing(settings.ratio if is_exported else 0.0, settings.follow_clients)


def _collector(
    document: Document, settings: OtlpSettings, references: References, findings: Findings
) -> Collector | None:
    base, address = Network(max_connections=1), ("endpoint", settings.endpoint)
    server = compile_server(settings, document.egress, _OTLP, references, findings, base=base, address=address)
    if server is None:
        return None
    if server.path.endswith(("/v1/traces", "/v1/metrics", "/v1/logs")):
        findings.error((*_OTLP, "endpoint"), "remove the path of the signal from the end: the gateway appends it")
    return Collector(
        origin=server.origin,
        path=server.path,
        headers=server.headers,
        network=server.network,
        timeout_s=server.timeout_s,
        metrics_interval_s=settings.metrics_interval_s,
        signals=tuple(dict.fromkeys(settings.signals)),
        tags=compile_tags(settings.tags, (*_OTLP, "tags"), findings, time()),
    )
