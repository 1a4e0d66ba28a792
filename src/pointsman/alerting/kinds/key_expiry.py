"""A virtual key expires soon. Keys that applications make for a short time are left out."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class KeyExpirySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The time before the end."""

    within_days: Annotated[float, Meta(gt=0, le=366, description="The time before it expires. Default: 14.")] = 14.0


def checks(settings: KeyExpirySettings) -> list[Check]:
    return [
        Check(
            each="virtual_key",
            when=f"expires_in_days <= {float(settings.within_days)}",
            text="virtual key {virtual_key} expires in {expires_in_days} days",
        )
    ]
