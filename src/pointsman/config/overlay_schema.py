"""The overlay of the model catalog as types. Its JSON Schema is generated from here."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from pointsman.config.pricing_schema import PriceFields
from pointsman.config.sections import ModelName, Section

# As in `catalog.search`.
Capability = Literal[
    "tools",
    "parallel_tools",
    "json_schema",
    "vision",
    "audio_in",
    "audio_out",
    "reasoning",
    "prefill",
    "prompt_cache",
    "streaming_usage",
    "pdf",
    "web_search",
]
Place = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}/[^\s\x00-\x1f\x7f]{1,256}$")]


def _read_day(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return value
    return value


def _or_empty(value: object) -> object:
    return {} if value is None else value


Day = Annotated[date, BeforeValidator(_read_day, json_schema_input_type=str)]


class OverlayEntry(PriceFields):
    """The differences of one model at one provider from the catalog. A price replaces the whole of the catalog's."""

    name: ModelName | None = None
    """The canonical name. Providers with the same canonical name serve the same model and stand in for each other.
    Default: the present one, or for a new model the one of its spelling."""
    like: ModelName | None = None
    """A model whose limits and capabilities a new model takes over, such as `gpt-5.1` or `openai/gpt-5.1`."""
    can: list[Capability] = []
    """Features that the model has."""
    cannot: list[Capability] = []
    """Features that the model does not have."""
    retires_on: Literal["never"] | Day | None = None
    """The day from which the provider no longer serves the model, such as `2027-03-31`, or `never`."""
    priced_on: Day | None = None
    """The day on which the price was looked up. `pointsman models` shows its age."""


class OverlayDocument(Section):
    """Changes of the model catalog. They outrank the catalog, and `pricing.overrides` outranks them."""

    models: Annotated[
        dict[Place, OverlayEntry],
        Field(max_length=10_000),
        BeforeValidator(_or_empty, json_schema_input_type=dict[Place, OverlayEntry]),
    ] = {}
    """The changed models, by `provider/model`: the provider of the catalog, and its own name for the model."""
