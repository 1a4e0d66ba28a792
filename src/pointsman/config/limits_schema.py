"""The limits of money, tokens and requests in the configuration file."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pointsman.config.sections import ModelName, Section, Text


def _exact(value: object) -> object:
    """Return a number as it was written: through text, never through the binary fraction that YAML read."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return value


Exact = Annotated[Decimal, BeforeValidator(_exact, json_schema_input_type=float | str)]
Usd = Annotated[Exact, Field(gt=0, le=1_000_000_000, decimal_places=9)]


class HoursSettings(Section):
    """A window of several hours, counted from 1970-01-01T00:00Z."""

    hours: Annotated[int, Field(ge=1, le=8784)]
    """The length of the window, in hours."""


Per = Literal["minute", "hour", "day", "week", "month", "quarter", "year"] | HoursSettings


class BudgetSettings(Section):
    """A limit of money for each window of time."""

    limit_usd: Usd
    """The most money that may be spent in a window, in dollars with up to nine decimals."""
    per: Per
    """The window: a calendar unit, or a number of hours such as `{hours: 6}`. A week begins on Monday."""
    zone: Text | None = None
    """The time zone whose midnight begins a day or a longer window, such as `Europe/Berlin`. Default: UTC."""
    soft: bool = False
    """If true, the budget is counted and reported, but it rejects nothing."""
    paced: bool = False
    """If true, requests move to cheaper candidates when the budget is being spent too fast, so that it lasts its
    window. The order of the candidates counts as that of their quality."""
    then: ModelName | None = None
    """The model for requests that this budget has no room for, instead of a rejection: a public name, or
    `provider/model`. Its attempts do not count in this budget, but in all other limits. It must be allowed for the
    key. It serves chats, responses and text completions."""


class RateLimitSettings(Section):
    """A limit of requests or tokens for each window of time. Set exactly one of `requests` and `tokens`."""

    requests: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """The most requests in a window. A request counts once, with any number of attempts. For a provider, each attempt
    counts."""
    tokens: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """The most tokens in a window, of prompts and answers together."""
    per: Per
    """The window: a calendar unit, or a number of hours such as `{hours: 6}`. A week begins on Monday."""
    zone: Text | None = None
    """The time zone whose midnight begins a day or a longer window, such as `Europe/Berlin`. Default: UTC."""
    soft: bool = False
    """If true, the limit is counted and reported, but it rejects nothing."""
