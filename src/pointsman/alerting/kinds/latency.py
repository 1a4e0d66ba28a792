"""The time to the first byte of a provider's model is too long."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class LatencySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The bound, the percentile, and the traffic that it needs."""

    above_s: Annotated[float, Meta(gt=0, le=3600, description="The time in seconds. Default: 10.")] = 10.0
    percentile: Annotated[Literal[50, 95, 99], Meta(description="The percentile that it bounds. Default: 95.")] = 95
    at_least: Annotated[
        int, Meta(ge=1, le=1_000_000, description="The number of attempts that it needs. Default: 20.")
    ] = 20


def checks(settings: LatencySettings) -> list[Check]:
    fact = f"first_byte_p{settings.percentile}_s"
    return [
        Check(
            each="target",
            when=f"{fact} > {float(settings.above_s)} && attempts >= {settings.at_least}",
            text=f"{{provider}}/{{model}}: the first byte takes {{{fact}}} s (percentile {settings.percentile})",
        )
    ]
