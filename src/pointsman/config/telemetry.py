"""Compiles `telemetry`: the collector, and the choice of requests whose spans are sent."""

from pointsman.config.addresses import parse_base_url
from pointsman.config.problems import Findings
from pointsman.config.process import compile_network
from pointsman.config.references import BadReference, References
from pointsman.config.schema import Document
from pointsman.config.settings import Collector, Telemetry
from pointsman.config.source import Location
from pointsman.config.telemetry_schema import OtlpSettings
from pointsman.domain.network import Network, is_loopback, is_metadata
from pointsman.domain.origin import Secret
from pointsman.domain.tracing import Tracing

_OTLP: Location = ("telemetry", "otlp")
_RESERVED = frozenset({"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection"})


def compile_telemetry(document: Document, references: References, findings: Findings) -> Telemetry:
    """Return the settings. With errors among the findings, they are not usable."""
    settings = document.telemetry
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
    )


def _tracing(document: Document) -> Tracing:
    """Return the settings of traces that workers read. Without an export of traces, the gateway samples none itself."""
    settings, otlp = document.telemetry.traces, document.telemetry.otlp
    is_exported = otlp is not None and "traces" in otlp.signals
    return Tracing(settings.ratio if is_exported else 0.0, settings.follow_clients)


def _collector(
    document: Document, settings: OtlpSettings, references: References, findings: Findings
) -> Collector | None:
    network = Network(connect_timeout_s=min(5.0, settings.timeout_s), max_connections=1)
    network = compile_network(network, document.egress, ("egress",), references, findings)
    if settings.egress is not None:
        network = compile_network(network, settings.egress, (*_OTLP, "egress"), references, findings)
    headers: list[tuple[str, Secret]] = []
    for name, reference in settings.headers.items():
        place = (*_OTLP, "headers", name)
        if name.lower() in _RESERVED:
            findings.error(place, "the gateway sets this header itself; remove it")
        try:
            headers.append((name.lower(), references.resolve(reference)))
        except BadReference as error:
            findings.error(place, str(error))
    try:
        origin, base_path = parse_base_url(settings.endpoint)
    except ValueError as error:
        findings.error((*_OTLP, "endpoint"), str(error))
        return None
    if base_path.endswith(("/v1/traces", "/v1/metrics", "/v1/logs")):
        findings.error((*_OTLP, "endpoint"), "remove the path of the signal from the end: the gateway appends it")
    if is_metadata(origin.host):
        findings.error((*_OTLP, "endpoint"), "is the address of a metadata service; set that of a collector")
    if origin.scheme == "http" and not is_loopback(origin.host):
        findings.warning((*_OTLP, "endpoint"), "http:// sends the data and the headers unencrypted; use https://")
    return Collector(
        origin=origin,
        base_path=base_path,
        headers=tuple(headers),
        network=network,
        timeout_s=settings.timeout_s,
        metrics_interval_s=settings.metrics_interval_s,
        signals=tuple(dict.fromkeys(settings.signals)),
    )
