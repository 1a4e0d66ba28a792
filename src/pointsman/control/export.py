"""The settings of the export for the admin process, which has no configuration of its own."""

from pointsman.config.snapshot_file import Compiled
from pointsman.control.inquiries.export import ExportSettings
from pointsman.control.recipients import recipient_fields
from pointsman.control.sinks import conditions_of


def export_settings(compiled: Compiled) -> list[ExportSettings]:
    """Return the settings with their secrets, or nothing without a collector."""
    telemetry, collector = compiled.telemetry, compiled.telemetry.collector
    if collector is None:
        return []
    settings = ExportSettings(
        **recipient_fields(collector),
        signals=collector.signals,
        metrics_interval_s=collector.metrics_interval_s,
        ratio=telemetry.tracing.ratio,
        errors=telemetry.errors,
        slow_s=telemetry.slow_s,
        service_name=telemetry.service_name,
        attributes=dict(telemetry.attributes),
        conditions=conditions_of(compiled, collector.tags),
        types={name: endpoint.type for name, endpoint in compiled.snapshot.endpoints.items()},
    )
    return [settings]
