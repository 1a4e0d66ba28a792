"""The export to a collector."""

from msgspec import Struct

from pointsman.control.inquiries.sinks import Conditions
from pointsman.control.recipients import Recipient


class ExportInquiry(Struct, frozen=True, tag="export"):
    """Answered by one `ExportSettings`, or by none if there is no collector."""


class ExportSettings(Recipient, frozen=True, kw_only=True):
    """The collector of OpenTelemetry, and the settings of the export to it. `types` are the types of providers by name,
    and `conditions` those for records to be sent. Times are in seconds."""

    signals: tuple[str, ...]
    metrics_interval_s: float
    ratio: float
    errors: bool
    slow_s: float | None
    service_name: str
    attributes: dict[str, str]
    types: dict[str, str]
    conditions: Conditions = Conditions()

    def __repr__(self) -> str:  # a struct would show its fields
        return super().__repr__()
