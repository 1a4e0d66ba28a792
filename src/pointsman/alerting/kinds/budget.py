"""A budget is used to one of some percentages. Each fires once in a window."""

from typing import Annotated

from msgspec import Meta, Struct

from pointsman.alerting.api import Check


class BudgetAlertSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The thresholds."""

    percent: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=1000)], ...],
        Meta(min_length=1, max_length=16, description="The percentages of the budget. Default: 50, 80 and 100."),
    ] = (50, 80, 100)


def checks(settings: BudgetAlertSettings) -> list[Check]:
    return [
        Check(
            each="limit",
            when=f'metric == "usd" && used_percent >= {float(percent)}',
            text=f"{{owner}}: {percent:g} % of the budget of ${{limit}} per {{period}} are used (${{used}})",
            labels={"threshold": f"{percent:g}"},
            least_percent=percent,
        )
        for percent in sorted(set(settings.percent))
    ]
