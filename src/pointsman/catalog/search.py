"""Finds models in a catalog by requirements, cheapest first."""

from msgspec import Struct

from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.prices import ModelFacts

CAPABILITIES = frozenset((
    "tools", "parallel_tools", "json_schema", "vision", "audio_in", "audio_out", "reasoning", "prefill", "prompt_cache",
    "streaming_usage", "pdf", "web_search",
))  # fmt: skip
_UNKNOWN = 10**18  # sorts an unknown price after all others


class Wanted(Struct, frozen=True):
    """Requirements for a model. `providers=None` means all providers. `pico` is the highest price per token for a mix
    of three parts prompt and one part output, in pico-dollars."""

    words: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    providers: frozenset[str] | None = None
    context: int | None = None
    pico: int | None = None


class Found(Struct, frozen=True):
    """One model at one provider, under the provider's name for it."""

    provider: str
    model: str
    facts: ModelFacts


def search(catalog: ModelCatalog, wanted: Wanted) -> list[Found]:
    """Return all matches: cheapest first, unknown prices last, then by name."""
    found: list[Found] = []
    for provider in catalog.providers():
        if wanted.providers is not None and provider not in wanted.providers:
            continue
        for model in catalog.models(provider):
            facts = catalog.find(provider, model)
            if facts is not None and fits(model, facts, wanted):
                found.append(Found(provider, model, facts))
    return sorted(found, key=lambda one: (mixed_pico(one.facts), one.facts.name, one.provider, one.model))


def mixed_pico(facts: ModelFacts) -> int:
    """Return pico-dollars per token for three parts prompt and one part output, the usual measure of price lists."""
    if facts.price is None or facts.price.only_units:
        return _UNKNOWN
    rates = facts.price.rates
    return (3 * rates.input + rates.output) // 4


def fits(model: str, facts: ModelFacts, wanted: Wanted) -> bool:
    """Return whether a model meets all requirements but that of the provider."""
    text = f"{facts.name} {model}".lower()
    return (
        all(word.lower() in text for word in wanted.words)
        and wanted.capabilities <= facts.capabilities
        and (wanted.context is None or (facts.context is not None and facts.context >= wanted.context))
        and (wanted.pico is None or mixed_pico(facts) <= wanted.pico)
    )
