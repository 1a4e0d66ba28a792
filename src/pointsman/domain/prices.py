"""What providers charge. Pico-dollars per token: $0.15 per million tokens are 150,000."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct


class Rates(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Pico-dollars per token. Where a class of tokens has no rate of its own (`None`), the plain input or output rate
    holds: for all but `input` and `output`, which are always stated."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None  # kept for minutes
    cache_write_1h: int | None = None  # kept for an hour; where it has none, that of `cache_write` holds
    audio_in: int | None = None
    audio_out: int | None = None
    image_in: int | None = None
    image_out: int | None = None
    reasoning: int | None = None


class ToolPrice(Struct, frozen=True, omit_defaults=True):
    """What a provider charges for its own tool: nano-dollars a call, or with `once` however often one request uses it,
    as for the container that code runs in."""

    nano: int
    once: bool = False


class Price(Struct, frozen=True, omit_defaults=True):
    """The price of one model at one provider.

    `above` are rates that hold for the whole request from a number of input tokens on, ascending. `tiers` are rates by
    service tier as providers name them in their answers, such as `batch`, `flex` and `priority`; where the tier of an
    answer has none, `rates` hold. `request_nano` is charged for each request, in nano-dollars; `is_by_request` says
    that somebody stated it, so that 0 is free and not unknown. `tiers_above` is `above` within a tier.
    """

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()
    tiers: dict[str, Rates] = {}
    request_nano: int = 0
    tiers_above: dict[str, tuple[tuple[int, Rates], ...]] = {}
    is_by_request: bool = False


class ModelFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the catalog knows of one model at one provider. `None` and empty mean not known.

    `name` is the canonical name, the same at every provider that serves this very model; `context` and `output` are
    limits in tokens. `capabilities` are what it can do
    and `lacks` what it is known not to; of the rest nothing is known. `region` is where the name itself says that
    requests are served, such as `eu`; `global` says that they may leave their region, so no residency may be assumed of
    it, nor where there is none.
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


class Catalog(Protocol):
    """Models and prices, in memory."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        """What is known of a provider's model under the provider's own name for it."""
        ...

    def models(self, provider: str) -> Iterable[str]:
        """A provider's names for what it has."""
        ...

    def name_of(self, model: str) -> str | None:
        """The canonical name of the model that is asked for by any of its names."""
        ...

    def serving(self, model: str) -> Sequence[tuple[str, str]]:
        """Every provider that serves the model of this name, canonical or not, and its own name for it."""
        ...


class NoCatalog:
    """Knows nothing."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:  # noqa: ARG002
        return None

    def models(self, provider: str) -> Iterable[str]:  # noqa: ARG002
        return ()

    def name_of(self, model: str) -> str | None:  # noqa: ARG002
        return None

    def serving(self, model: str) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        return ()
