"""Duplicates in the configuration: whether a request may be sent to two providers at once."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pointsman.config.sections import Seconds, Section
from pointsman.domain.snapshots import Hedging

_DEFAULT = Hedging()


class HedgeSettings(Section):
    """A second attempt at the next candidate, beside one that takes long. The first to answer serves the client, and
    the other is cancelled. The virtual key pays for both."""

    after_s: Seconds | None = None
    """The time until the second attempt starts, in seconds. Default: as `after_percentile` determines it."""
    after_percentile: Annotated[float, Field(ge=50, le=99.9)] | None = None
    """The second attempt starts once the first takes longer than this percentage of the recent answers of its
    candidate, such as 95. Streams are measured to their first content. Each worker needs 20 answers before it hedges.
    Default: 95."""
    at_least_s: Seconds = _DEFAULT.at_least_s
    """The shortest time until the second attempt if a percentile determines it, in seconds."""
    share: Annotated[float, Field(gt=0, le=1)] = _DEFAULT.share
    """The largest share of requests that get a second attempt."""

    @model_validator(mode="after")
    def _check(self) -> "HedgeSettings":
        if self.after_s is not None and self.after_percentile is not None:
            raise ValueError("set only one of after_s and after_percentile")
        if self.after_s is not None and "at_least_s" in self.model_fields_set:
            raise ValueError("at_least_s has no effect beside after_s; remove one of the two")
        return self


class DuplicatesSettings(Section):
    """The requests that may be sent to two providers at once: `none`, or `hedge` for those that take long."""

    hedge: HedgeSettings | None = None
    """A second attempt beside a slow one."""


def _expand(value: object) -> object:
    if value == "none":
        return {}
    if value in ("hedge", {"hedge": None}):
        return {"hedge": {}}
    if isinstance(value, DuplicatesSettings) or (isinstance(value, dict) and value):
        return value
    raise ValueError("must be none, hedge, or hedge with its settings: {hedge: {after_s: 2}}")


DuplicatesField = Annotated[
    DuplicatesSettings,
    BeforeValidator(_expand, json_schema_input_type=Literal["none", "hedge"] | DuplicatesSettings),
]


def compile_hedging(settings: DuplicatesSettings) -> Hedging | None:
    """Return the hedging of a public name; `None` if its requests are never sent twice."""
    hedge = settings.hedge
    if hedge is None:
        return None
    percentile = hedge.after_percentile or _DEFAULT.percentile
    return Hedging(hedge.after_s, percentile, hedge.at_least_s, hedge.share)
