"""Prices are unknown without a catalog."""

import msgspec

from pointsman.domain.prices import ModelFacts, NoCatalog, Price, Rates, written_name


def test_empty_catalog_finds_nothing() -> None:
    catalog = NoCatalog()
    assert catalog.find("openai", "gpt-4o") is None
    assert catalog.name_of("gpt-4o") is None
    assert (*catalog.models("openai"), *catalog.serving("gpt-4o")) == ()


def test_model_facts_survive_compact_encoding() -> None:
    facts = ModelFacts(
        name="m", price=Price(Rates(input=1, output=2, cache_read=0), above=((5, Rates(input=3, output=4)),))
    )
    encoded = msgspec.json.encode(facts)
    assert b"audio" not in encoded
    assert b'"cache_read":0' in encoded, "free is not unknown"
    assert msgspec.json.decode(encoded, type=ModelFacts) == facts


def test_written_name_has_no_provider() -> None:
    assert written_name(ModelFacts(name="gpt-4o"), "azure", "eu/gpt-4o") == "gpt-4o"
    assert written_name(ModelFacts(name="gpt-4o@azure"), "azure", "gpt-4o") == "gpt-4o"
