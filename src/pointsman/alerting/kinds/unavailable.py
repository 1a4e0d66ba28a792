"""The control process or the store is away, or the configuration on disk was rejected."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class UnavailableSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The parts to watch."""

    config: Annotated[bool, Meta(description="Also report a rejected configuration. Default: true.")] = True


def checks(settings: UnavailableSettings) -> list[Check]:
    found = [
        Check(
            each="gateway",
            when="!control_is_up",
            text="the control process does not answer",
            labels={"part": "control"},
        ),
        Check(each="gateway", when="!store_is_up", text="the store is away", labels={"part": "store"}),
    ]
    if settings.config:
        text = "the configuration on disk was rejected, and an older one is in force"
        found.append(Check(each="gateway", when="config_is_rejected", text=text, labels={"part": "configuration"}))
    return found
