"""Mirrors in the configuration: copies of requests that are sent to another model, to compare it."""

from typing import Annotated

from pydantic import Field

from pointsman.config.limits_schema import BudgetSettings, RateLimitSettings
from pointsman.config.problems import Findings
from pointsman.config.sections import ModelName, Section
from pointsman.config.source import Location


class MirrorSettings(Section):
    """Copies of requests that are sent to another model after the client has its answer, to compare the two. The client
    notices nothing, and its limits pay nothing. The requirements and the providers of its virtual key hold for the
    copy, too. Requests that use stored objects, media to generate or a tool of their provider are not copied."""

    to: ModelName
    """The model that gets the copies: a public name, `provider/model`, or a name in the catalog."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.01
    """The share of requests that are copied, such as 0.05."""
    budgets: Annotated[list[BudgetSettings], Field(min_length=1, max_length=16)]
    """The limits of the money that all copies may cost."""
    rate_limits: Annotated[list[RateLimitSettings], Field(max_length=16)] = Field(default_factory=list)
    """The limits of the requests and tokens that all copies may use."""


def check_mirror(name: str, settings: MirrorSettings, place: Location, findings: Findings) -> None:
    """Report budgets that a mirror cannot have, and a mirror of a name to itself."""
    if settings.to == name:
        findings.warning((*place, "to"), "compares the name with itself; choose another model")
    for index, budget in enumerate(settings.budgets):
        for field in ("then", "paced"):
            if getattr(budget, field):
                findings.error(
                    (*place, "budgets", index, field),
                    f"a mirror's budget cannot have `{field}`, since a copy goes to one model only; remove `{field}`",
                )
    if all(budget.soft for budget in settings.budgets):
        findings.error((*place, "budgets"), "at least one of them must not be soft, since nobody else pays for copies")
