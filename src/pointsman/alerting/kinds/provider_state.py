"""An operation of a provider's model, or a provider key, is in one of some states."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pointsman.alerting.api import Check

AlertedState = Literal["failed", "recovering", "degraded"]


class ProviderStateSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The states."""

    states: Annotated[
        tuple[AlertedState, ...],
        Meta(
            min_length=1,
            max_length=3,
            description="The states to report. Default: `failed` and `recovering`, because a failed target is tried "
            "again now and then.",
        ),
    ] = ("failed", "recovering")


def checks(settings: ProviderStateSettings) -> list[Check]:
    listed = ", ".join(f'"{state}"' for state in settings.states)
    of_key = "{provider}, key {key}: is {state} for {model}: {reason}"
    of_model = "{provider}/{model}: {operation} is {state}: {reason}"
    return [
        Check(each="state", when=f'key == "" && state in [{listed}]', text=of_model),
        Check(each="state", when=f'key != "" && state in [{listed}]', text=of_key),
    ]
