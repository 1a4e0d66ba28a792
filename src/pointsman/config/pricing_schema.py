"""The prices in the configuration file and in the overlay of the catalog, as types."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pointsman.config.limits_schema import Exact
from pointsman.config.sections import Name, Pattern, Section

UsdPerUse = Annotated[Exact, Field(ge=0, le=1_000_000, decimal_places=9)]
ImageKind = Annotated[str, StringConstraints(pattern=r"^[a-z]+$|^(?:[a-z]+ )?\d{1,5}x\d{1,5}$", max_length=64)]
UsdPerMillion = Annotated[Exact, Field(ge=0, le=1_000_000, decimal_places=6)]


class PriceFields(Section):
    """The price and the limits of a model."""

    input_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of prompt, in dollars."""
    output_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of answer, in dollars."""
    cached_input_usd_per_million: UsdPerMillion | None = None
    """The price of a million prompt tokens read from the provider's cache, in dollars. Default: the price of a
    prompt."""
    cache_write_usd_per_million: UsdPerMillion | None = None
    """The price of a million prompt tokens written to the provider's cache, in dollars. Default: the price of a
    prompt."""
    audio_input_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of audio in a prompt, in dollars. Default: the price of a prompt."""
    audio_output_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of audio in an answer, in dollars. Default: the price of an answer."""
    image_input_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of images in a prompt, in dollars. Default: the price of a prompt."""
    image_output_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of images in an answer, in dollars. Default: the price of an answer."""
    reasoning_usd_per_million: UsdPerMillion | None = None
    """The price of a million tokens of reasoning in an answer, in dollars. Default: the price of an answer."""
    batch_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """The price of a token in a batch, in percent of these prices, such as 50. Default: the full price."""
    per_request_usd: UsdPerUse | None = None
    """The price of each request in addition to its tokens, in dollars. If it is set, 0 included, budgets accept
    fine-tuning and similar requests at this price."""
    per_image_usd: UsdPerUse | Annotated[dict[ImageKind, UsdPerUse], Field(min_length=1, max_length=64)] | None = None
    """The price of each image of an answer, in dollars: one price, or prices by quality and size, such as
    `{"high 1024x1024": 0.167, high: 0.25, 1536x1024: 0.063}`. If several match an image, the one with more properties
    holds, then the highest."""
    audio_usd_per_minute: UsdPerUse | None = None
    """The price of a minute of a recording that is transcribed or translated, in dollars. It is charged by the second,
    or by the fraction of a second that an answer reports."""
    least_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """The shortest recording that is charged, in seconds: the price of a shorter one is the same."""
    characters_usd_per_million: UsdPerMillion | None = None
    """The price of a million characters of text to be spoken, in dollars."""
    per_page_usd: UsdPerUse | None = None
    """The price of a page of a document that is read, in dollars."""
    per_search_usd: UsdPerUse | None = None
    """The price of a query that ranks up to 100 documents, in dollars."""
    max_output_tokens: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """The most tokens of an answer. While a limit applies, this is the maximum for requests that set none."""
    context_tokens: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """The size of the model's context window, in tokens. Requests whose size does not bound their prompt reserve all of
    it, for example if they continue a stored conversation."""


class PricedSettings(Section):
    """The model and the owners that a price is for."""

    model: Pattern
    """The model, as `provider/model` or as a shell-style pattern of it."""
    virtual_key: Name | None = None
    """The virtual key that the price applies to. Default: all."""
    team: Name | None = None
    """The team that the price applies to. Default: all."""
    customer: Name | None = None
    """The customer that the price applies to. Default: all."""


class PriceSettings(PriceFields, PricedSettings):
    """The price of a model, if the catalog has none or a wrong one."""

    tools_usd: Annotated[dict[Annotated[str, Field(max_length=64)], UsdPerUse], Field(max_length=64)] = {}
    """The price of each call of a tool that the provider runs, in dollars, such as `web_search: 0.01`. The name is the
    tool's `type` in a request, without the date of its version."""


class PricingSettings(Section):
    """The prices of models."""

    unknown: Literal["allow-and-flag", "deny"] = "allow-and-flag"
    """The treatment of models without a known price. `allow-and-flag` serves them if no budget applies and flags their
    attempts. `deny` rejects them. A budget always rejects them."""
    overrides: list[PriceSettings] = []
    """Prices that replace those of the catalog. If several match, a price for a narrower owner comes first, then one
    for an exact name before a pattern."""
