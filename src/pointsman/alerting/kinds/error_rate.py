"""The share of failed attempts of a provider's model is too high."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class ErrorRateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The bound, and the traffic that it needs."""

    above: Annotated[float, Meta(ge=0, lt=1, description="The share from 0 to 1. Default: 0.1.")] = 0.1
    at_least: Annotated[
        int, Meta(ge=1, le=1_000_000, description="The number of attempts that the share needs. Default: 20.")
    ] = 20


def checks(settings: ErrorRateSettings) -> list[Check]:
    return [
        Check(
            each="target",
            when=f"error_rate > {float(settings.above)} && attempts >= {settings.at_least}",
            text="{provider}/{model}: a share of {error_rate} of {attempts} attempts failed",
        )
    ]
