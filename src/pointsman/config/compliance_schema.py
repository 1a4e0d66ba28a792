"""The parts of the configuration file about compliance: tags, and the requirements that they meet."""

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from pointsman.config.sections import Name, Section

# Values stand in a request header too, so they have none of its separators.
TagValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")]


def _read_expiry(value: object) -> object:
    """Return the beginning of a date, in UTC. A moment is returned as it is."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == len("2027-01-01") else datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


class TagSettings(Section):
    """One value of a tag."""

    value: TagValue
    """The value, such as `eu`."""
    evidence: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """The document that proves the value, such as `DPA 2026-03, page 4`. `pointsman compliance report` shows it."""
    expires: Annotated[datetime | None, BeforeValidator(_read_expiry, json_schema_input_type=str | None)] = None
    """The time from which the value does not hold: a date, which begins in UTC, or a time with an offset. Default:
    never."""


def _expand_tag(value: object) -> object:
    values = value if isinstance(value, list) else [value]
    return [{"value": one} if isinstance(one, str) else one for one in values]


TagsField = dict[
    Name,
    Annotated[
        list[TagSettings],
        Field(min_length=1, max_length=64),
        BeforeValidator(_expand_tag, json_schema_input_type=str | TagSettings | list[str | TagSettings]),
    ],
]


class RequiredSettings(Section):
    """The required values of a tag, if all of them are required."""

    all: Annotated[list[TagValue], Field(min_length=1, max_length=64)]
    """The values. The tag must have each of them."""


def _expand_values(value: object) -> object:
    return [value] if isinstance(value, str) else value


RequireField = dict[
    Name,
    Annotated[
        Annotated[list[TagValue], Field(min_length=1, max_length=64)] | RequiredSettings,
        BeforeValidator(_expand_values, json_schema_input_type=str | list[str] | RequiredSettings),
    ],
]
