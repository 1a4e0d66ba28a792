"""The store is behind the journals."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class IngestionLagSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The bound."""

    above_s: Annotated[float, Meta(ge=1, le=86_400, description="The time in seconds. Default: 30.")] = 30.0


def checks(settings: IngestionLagSettings) -> list[Check]:
    return [
        Check(
            each="gateway",
            when=f"ingestion_lag_s > {float(settings.above_s)}",
            text="the store is {ingestion_lag_s} s behind the journals, with {backlog_bytes} bytes",
        )
    ]
