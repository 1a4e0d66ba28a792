"""Duplicates in the configuration: whether a request may be sent to two providers at once."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from pointsman.config.sections import Seconds, Section
from pointsman.domain.snapshots import Hedging, Racing
from pointsman.routing.strategies import STRATEGIES

_DEFAULT = Hedging()
_RACING = Racing()


class HedgeSettings(Section):
    """A second attempt at the next candidate, beside one that takes long. The first to answer serves the client, and
    the other is cancelled. The virtual key pays for both."""

    after_s: Seconds | None = None
    """The time until the second attempt starts, in seconds. Default: as `after_percentile` determines it."""
    after_percentile: Annotated[float, Field(ge=50, le=99.9)] | None = None
    """The second attempt starts once the first takes longer than this percentage of the recent answers of its
    candidate, such as 95. Streams are measured to their first content. Each worker needs 20 answers before it hedges.
    With 95 and a strategy that learns, the time is in proportion to the length of the request. Default: 95."""
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


class RaceSettings(Section):
    """An attempt beside the first one, at a candidate that the strategy `adaptive` wants to find out about. Without
    races, the request itself tries that candidate first. The first to answer serves the client. The other is cancelled,
    a stream at its first content. The virtual key pays for both."""

    share: Annotated[float, Field(gt=0, le=1)] = _RACING.share
    """The largest share of requests that get such an attempt."""


class DuplicatesSettings(Section):
    """The requests that may be sent to two providers at once: `none`, `hedge` for those that take long, or `race` also
    for those that find out how a candidate is."""

    hedge: HedgeSettings | None = None
    """A second attempt beside a slow one. With `race`, hedges have their defaults if they are not set."""
    race: RaceSettings | None = None
    """A second attempt at once, instead of a probe."""


def _expand(value: object) -> object:
    if value == "none":
        return {}
    if value in ("hedge", {"hedge": None}):
        return {"hedge": {}}
    if value == "race":
        return {"hedge": {}, "race": {}}
    if isinstance(value, DuplicatesSettings):
        return value
    if isinstance(value, dict) and value:
        named = {name: ({} if settings is None else settings) for name, settings in value.items()}
        return {"hedge": {}, **named} if "race" in named else named
    raise ValueError("must be none, hedge, race, or one of them with its settings: {hedge: {after_s: 2}}")


DuplicatesField = Annotated[
    DuplicatesSettings,
    BeforeValidator(_expand, json_schema_input_type=Literal["none", "hedge", "race"] | DuplicatesSettings),
]


def has_useless_races(settings: DuplicatesSettings, strategy: str) -> bool:
    """Return whether races are set beside a strategy that never wants to find out about a candidate."""
    kind = STRATEGIES.get(strategy)
    return settings.race is not None and kind is not None and not kind.learns


def compile_racing(settings: DuplicatesSettings) -> Racing | None:
    """Return the races of a public name; `None` if it has none."""
    return Racing(settings.race.share) if settings.race is not None else None


def compile_hedging(settings: DuplicatesSettings) -> Hedging | None:
    """Return the hedging of a public name; `None` if its requests are never sent twice."""
    hedge = settings.hedge
    if hedge is None:
        return None
    percentile = hedge.after_percentile or _DEFAULT.percentile
    return Hedging(hedge.after_s, percentile, hedge.at_least_s, hedge.share)
