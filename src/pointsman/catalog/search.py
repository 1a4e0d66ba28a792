"""Finds models in a catalog by requirements, cheapest first."""

from msgspec import Struct

from pointsman.catalog.names import key_of
from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.prices import ModelFacts
from pointsman.domain.provider_prefixes import provider_of, split

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

    @property
    def text(self) -> str:
        return "-".join(self.words).lower()

    @property
    def key(self) -> str:
        """The key of the name that all words together are."""
        return key_of("", self.text)


class Found(Struct, frozen=True):
    """One model at one provider, under the provider's name for it."""

    provider: str
    model: str
    facts: ModelFacts


def search(catalog: ModelCatalog, wanted: Wanted) -> list[Found]:
    """Return all matches. The model that the words name comes first, then the cheapest; unknown prices come last."""
    found: list[Found] = []
    for provider in catalog.providers():
        if wanted.providers is not None and provider not in wanted.providers:
            continue
        for model in catalog.models(provider):
            facts = catalog.find(provider, model)
            if facts is not None and fits(f"{provider}/{model}", facts, wanted):
                found.append(Found(provider, model, facts))
    return sorted(
        found,
        key=lambda one: (_rank(one, wanted), mixed_pico(one.facts), one.facts.name, one.provider, one.model),
    )


def _rank(one: Found, wanted: Wanted) -> int:
    """Return 0 if the words are a name of this model at this provider, 1 if they are a name of the model, 2 if its name
    begins with them, and else 3."""
    if not wanted.words:
        return 0
    key = key_of("", one.facts.name)
    if _is_at(one.provider, key, wanted):
        return 0
    if wanted.key == key or one.model.lower() == wanted.text:
        return 1
    return 2 if key.startswith(wanted.key) else 3


def mixed_pico(facts: ModelFacts) -> int:
    """Return pico-dollars per token for three parts prompt and one part output, the usual measure of price lists."""
    if facts.price is None or facts.price.only_units:
        return _UNKNOWN
    rates = facts.price.rates
    return (3 * rates.input + rates.output) // 4


def fits(model: str, facts: ModelFacts, wanted: Wanted) -> bool:
    """Return whether a model meets all requirements but that of the provider. `model` are its other names."""
    text = f"{facts.name} {model}".lower()
    return (
        (all(word.lower() in text for word in wanted.words) or _is_named(facts, model, wanted))
        and wanted.capabilities <= facts.capabilities
        and (wanted.context is None or (facts.context is not None and facts.context >= wanted.context))
        and (wanted.pico is None or mixed_pico(facts) <= wanted.pico)
    )


def _is_named(facts: ModelFacts, model: str, wanted: Wanted) -> bool:
    """Return whether the words are another spelling of the model, perhaps after a provider, as in `vertex_ai/…`."""
    if not wanted.words or not wanted.key:
        return False
    key = key_of("", facts.name)
    return wanted.key == key or _is_at(model.partition("/")[0], key, wanted)


def _is_at(provider: str, key: str, wanted: Wanted) -> bool:
    prefix, rest = split(wanted.text)
    return provider in (prefix, provider_of(prefix)) and key_of("", rest) == key
