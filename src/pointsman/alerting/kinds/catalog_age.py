"""The model catalog is old."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class CatalogAgeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The bound."""

    above_days: Annotated[float, Meta(gt=0, le=3650, description="The age in days. Default: 45.")] = 45.0


def checks(settings: CatalogAgeSettings) -> list[Check]:
    return [
        Check(
            each="gateway",
            when=f"catalog_age_days > {float(settings.above_days)}",
            text="the model catalog is {catalog_age_days} days old",
        )
    ]
