"""The part of the configuration file about traces, and the export to an OpenTelemetry collector."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pointsman.config.compliance_schema import TagsField
from pointsman.config.credentials_schema import Reference
from pointsman.config.egress_schema import EgressSettings
from pointsman.config.sections import HeaderName, Seconds, Section, Text

Signal = Literal["traces", "metrics", "logs"]
AttributeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=128)]


class OtlpSettings(Section):
    """An OpenTelemetry collector, or any other server of OTLP over HTTP."""

    endpoint: Text
    """The address, such as `http://127.0.0.1:4318`. The paths `/v1/traces`, `/v1/metrics` and `/v1/logs` are appended
    to it."""
    signals: Annotated[list[Signal], Field(min_length=1)] = ["traces"]
    """The data to send. `logs` sends one log record for each request, with the same attributes as its span."""
    headers: Annotated[dict[HeaderName, Reference], Field(max_length=16)] = {}
    """Headers of each export, by name. Each value is a reference, `env.NAME` or `file:PATH`."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """The longest time of one export, in seconds."""
    metrics_interval_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """The interval between two exports of metrics, in seconds."""
    egress: EgressSettings | None = None
    """Network settings for the collector. Each field replaces that of the global `egress`."""
    tags: TagsField = {}
    """The compliance tags of the collector. Spans and log records of a request with requirements are sent only if these
    tags meet all of them."""


class TraceSettings(Section):
    """The choice of the requests whose spans are sent."""

    ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The share of the requests that are sampled, chosen by the trace, if the client has not decided."""
    errors: bool = True
    """If true, requests that failed, or one of whose attempts failed, are always sent."""
    slow_s: Seconds | None = 30.0
    """Requests that take at least this time, in seconds, are always sent. `null` makes no exception for them."""
    follow_clients: bool = True
    """If true, the spans of a request join the trace that its client names in the header `traceparent`, and the
    client's flag decides on the sample. If false, these headers have no effect."""


class TelemetrySettings(Section):
    """Traces, and the export to an OpenTelemetry collector."""

    otlp: OtlpSettings | None = None
    """The collector. Default: none."""
    traces: TraceSettings = TraceSettings()
    """The choice of the requests whose spans are sent."""
    service_name: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")] = "pointsman"
    """The name of this gateway in exported data, `service.name`."""
    attributes: Annotated[dict[AttributeName, Annotated[str, Field(max_length=256)]], Field(max_length=32)] = {}
    """Further attributes of this gateway in exported data, such as `deployment.environment.name: production`."""
