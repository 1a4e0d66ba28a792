"""Search of the catalog that is shipped."""

from pathlib import Path

import pytest

import pointsman.catalog.reader
from pointsman.catalog.reader import ModelCatalog
from pointsman.catalog.search import CAPABILITIES, Wanted, mixed_pico, search
from pointsman.domain.prices import ModelFacts

FILE = Path(pointsman.catalog.reader.__file__).with_name("models.json")


@pytest.fixture(scope="module")
def catalog() -> ModelCatalog:
    return ModelCatalog(FILE.read_bytes())


def test_words_match_both_names_in_any_order(catalog: ModelCatalog) -> None:
    found = search(catalog, Wanted(("Sonnet", "claude", "4-5")))
    assert {one.facts.name for one in found} >= {"claude-sonnet-4-5"}
    assert {"anthropic", "bedrock", "vertex"} <= {one.provider for one in found}
    assert any("claude-4.5-sonnet" in one.model for one in found)


def test_every_result_meets_the_requirements(catalog: ModelCatalog) -> None:
    wanted = Wanted((), frozenset({"tools", "vision"}), frozenset({"openai", "groq"}), 100_000, 1_000_000)
    found = search(catalog, wanted)
    assert found
    for one in found:
        assert one.facts.capabilities >= {"tools", "vision"}
        assert one.provider in ("openai", "groq")
        assert one.facts.context is not None
        assert one.facts.context >= 100_000
        assert mixed_pico(one.facts) <= 1_000_000


def test_the_cheapest_come_first_and_unknown_prices_last(catalog: ModelCatalog) -> None:
    found = search(catalog, Wanted(("gpt-oss", "120b")))
    prices = [mixed_pico(one.facts) for one in found if one.facts.name == "gpt-oss-120b"]
    assert prices == sorted(prices)
    assert prices[-1] == mixed_pico(ModelFacts(name="unknown"))
    assert not search(catalog, Wanted(("no-such-model",)))


def test_every_capability_can_be_searched(catalog: ModelCatalog) -> None:
    assert all(search(catalog, Wanted(capabilities=frozenset({name}))) for name in CAPABILITIES)
    known = {name for one in search(catalog, Wanted()) for name in one.facts.capabilities}
    assert known == CAPABILITIES


def test_named_model_comes_first(catalog: ModelCatalog) -> None:
    def first(*words: str) -> tuple[str, str]:
        found = search(catalog, Wanted(words))[0]
        return found.provider, found.facts.name

    assert first("gpt-4o")[1] == "gpt-4o"
    assert first("GPT", "4o")[1] == "gpt-4o"
    assert first("openai/gpt-4o") == ("openai", "gpt-4o")
    assert first("vertex_ai/claude-4.5-sonnet") == ("vertex", "claude-sonnet-4-5")
    assert first("claude-4.5-sonnet")[1] == "claude-sonnet-4-5"
