"""A budget will run out before its window ends, if spending goes on as before."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class ForecastSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The part of a window after which its spending is a basis for a forecast."""

    after_percent: Annotated[
        float,
        Meta(gt=0, lt=100, description="The percentage of the window that must have passed. Default: 10."),
    ] = 10.0
    used_percent: Annotated[
        float, Meta(gt=0, lt=100, description="The percentage of the budget that must be used. Default: 20.")
    ] = 20.0


def checks(settings: ForecastSettings) -> list[Check]:
    condition = (
        f'metric == "usd" && elapsed_percent >= {float(settings.after_percent)}'
        f" && used_percent >= {float(settings.used_percent)} && used_percent < 100 && runs_out_in_s < window_left_s"
    )
    return [
        Check(
            each="limit",
            when=condition,
            text="{owner}: the budget of ${limit} per {period} will run out in {runs_out_in_s} s, before its window "
            "ends in {window_left_s} s",
            least_percent=settings.used_percent,
        )
    ]
