"""The settings of the export for the admin process, which has no configuration of its own."""

from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.export import ExportSettings


def export_settings(compiled: Compiled) -> list[ExportSettings]:
    """Return the settings with their secrets, or nothing without a collector."""
    telemetry, collector = compiled.telemetry, compiled.telemetry.collector
    if collector is None:
        return []
    network = collector.network
    proxy, authorization = network.proxy, network.proxy_authorization
    settings = ExportSettings(
        scheme=collector.origin.scheme,
        host=collector.origin.host,
        port=collector.origin.port,
        base_path=collector.base_path,
        headers={name: secret.reveal() for name, secret in collector.headers},
        signals=collector.signals,
        timeout_s=collector.timeout_s,
        connect_timeout_s=network.connect_timeout_s,
        metrics_interval_s=collector.metrics_interval_s,
        ratio=telemetry.tracing.ratio,
        errors=telemetry.errors,
        slow_s=telemetry.slow_s,
        service_name=telemetry.service_name,
        attributes=dict(telemetry.attributes),
        types={name: endpoint.type for name, endpoint in compiled.snapshot.endpoints.items()},
        proxy=(proxy.scheme, proxy.host, proxy.port) if proxy is not None else None,
        proxy_authorization=authorization.reveal() if authorization is not None else "",
        ca_file=network.ca_file,
        client_cert=network.client_cert,
        client_key=network.client_key,
    )
    return [settings]
