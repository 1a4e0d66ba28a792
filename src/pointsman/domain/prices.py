"""Prices of providers, in pico-dollars per token: $0.15 per million tokens are 150,000."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from pointsman.domain.units import Unit, UnitPrice


class Rates(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Pico-dollars per token. If a class of tokens has no rate of its own (`None`), the plain input or output rate
    holds. `input` and `output` are always set."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None  # kept for minutes
    cache_write_1h: int | None = None  # kept for an hour; if absent, the rate of `cache_write` holds
    audio_in: int | None = None
    audio_out: int | None = None
    image_in: int | None = None
    image_out: int | None = None
    reasoning: int | None = None


class ToolPrice(Struct, frozen=True, omit_defaults=True):
    """The price of a provider's own tool, in nano-dollars a call. With `once` it is charged once for each request that
    uses the tool, as for a code container."""

    nano: int
    once: bool = False


class Price(Struct, frozen=True, omit_defaults=True):
    """The price of one model at one provider.

    `above` are rates that hold for the whole request from a number of input tokens on, ascending. `tiers` are rates by
    service tier as providers name them in their answers, such as `batch`, `flex` and `priority`. If the tier of an
    answer has none, `rates` hold. `request_nano` is charged for each request, in nano-dollars. `is_by_request` says
    that this price was set, so that 0 means free and not unknown. `tiers_above` is `above` within a tier. `units` are
    prices of other units than tokens, in addition. With `only_units` the prices of tokens are unknown, so only requests
    for such units have a known price.
    """

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()
    tiers: dict[str, Rates] = {}
    request_nano: int = 0
    tiers_above: dict[str, tuple[tuple[int, Rates], ...]] = {}
    is_by_request: bool = False
    units: dict[Unit, tuple[UnitPrice, ...]] = {}
    only_units: bool = False


class ModelFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The catalog's facts about one model at one provider. `None` and empty mean unknown.

    `name` is the canonical name, the same at every provider of this model. `context` and `output` are limits in tokens.
    `capabilities` lists the features it has and `lacks` those it does not have; all others are unknown. `region` is the
    region of service that the name itself gives, such as `eu`. `global` says that requests may leave their region.
    Residency is not certain with `global`, nor without a region. `vouched` is the number of independent public tables
    that list this id of the provider; 0 says that it comes from elsewhere, such as a person's own file. `unpriced` is
    the reason why there is no price.
    """

    name: str
    context: int | None = None
    output: int | None = None
    price: Price | None = None
    modalities_in: tuple[str, ...] = ()
    modalities_out: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    deprecated_on: str | None = None
    lacks: frozenset[str] = frozenset()
    region: str | None = None
    vouched: int = 0
    unpriced: str = ""

    @property
    def is_doubtful(self) -> bool:
        """True if a single table lists the model. Then it replaces no other model unasked."""
        return self.vouched == 1


def written_name(facts: ModelFacts, provider: str, model: str) -> str:
    """Return the name that people write for a provider's model: the canonical one, unless the provider is a part of it,
    because other providers have another model under the name."""
    return model if facts.name.endswith(f"@{provider}") else facts.name


class Catalog(Protocol):
    """Models and prices, in memory."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        """Return the facts about a provider's model, by the provider's own name for it."""
        ...

    def models(self, provider: str) -> Iterable[str]:
        """Return a provider's own names for its models."""
        ...

    def name_of(self, model: str) -> str | None:
        """Return the canonical name of a model by any of its names."""
        ...

    def key(self, provider: str, model: str) -> str:
        """Return a name in the form in which all spellings of a model are equal, those of this provider too."""
        ...

    def provider_at(self, host: str) -> str | None:
        """Return the provider whose address has this host."""
        ...

    def price_source(self, provider_type: str, model: str) -> str:
        """Return where the price of a provider's model is from, such as `catalog` or `overlay`; empty if it has
        none."""
        ...

    def serving(self, model: str) -> Sequence[tuple[str, str]]:
        """Return every provider that serves the model of this name, canonical or not, and its own name for it."""
        ...


class NoCatalog:
    """An empty catalog."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:  # noqa: ARG002
        return None

    def models(self, provider: str) -> Iterable[str]:  # noqa: ARG002
        return ()

    def name_of(self, model: str) -> str | None:  # noqa: ARG002
        return None

    def key(self, provider: str, model: str) -> str:  # noqa: ARG002
        return model

    def provider_at(self, host: str) -> str | None:  # noqa: ARG002
        return None

    def price_source(self, provider_type: str, model: str) -> str:  # noqa: ARG002
        return ""

    def serving(self, model: str) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        return ()
