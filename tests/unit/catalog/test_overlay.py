"""Layers of changes over a catalog."""

import msgspec
import pytest

from pointsman.catalog.overlay import EntryChange, Layer, like_of, overlaid
from pointsman.catalog.reader import CatalogError, ModelCatalog
from pointsman.config.catalog import packaged
from pointsman.domain.prices import Price, Rates

PRICE = Price(Rates(input=2_000_000, output=8_000_000))
NEW = "gpt-99-test"


def layer(source: str = "overlay", **changes: EntryChange) -> bytes:
    by_place = {place.replace("__", "/").replace("_", "-"): change for place, change in changes.items()}
    return msgspec.json.encode(Layer(source=source, changes=by_place))


def over(*layers: bytes) -> ModelCatalog:
    found = overlaid(packaged(), layers)
    found.validate()
    return found


def test_new_model_is_like_another_one() -> None:
    catalog = over(layer(openai__gpt_99_test=EntryChange(like="gpt-5", price=PRICE, priced_on="2026-11-29", context=7)))
    facts, like = catalog.find("openai", NEW), packaged().find("openai", "gpt-5")
    assert facts is not None
    assert like is not None
    assert (facts.name, facts.price, facts.context, facts.output) == (NEW, PRICE, 7, like.output)
    assert facts.capabilities == like.capabilities
    assert catalog.serving("GPT 99 test") == [("openai", NEW)]
    assert catalog.price_date("openai", NEW) == "2026-11-29"
    assert catalog.sources[catalog.origins("openai", NEW)["price input"]] == "overlay, 2026-11-29"
    assert packaged().find("openai", NEW) is None, "the catalog below stays the same"


def test_change_keeps_the_other_fields() -> None:
    before = packaged().find("openai", "gpt-4o")
    catalog = over(
        layer(openai__gpt_4o=EntryChange(price=PRICE, can=frozenset({"prefill"}), cannot=frozenset({"tools"})))
    )
    after = catalog.find("openai", "gpt-4o")
    assert before is not None
    assert after is not None
    assert (after.price, after.context, after.name) == (PRICE, before.context, before.name)
    assert after.capabilities == before.capabilities - {"tools"} | {"prefill"}
    assert "tools" in after.lacks
    assert after.vouched == 0, "a person vouches for it"


def test_retirement_is_set_and_lifted() -> None:
    gone = over(layer(openai__gpt_4o=EntryChange(deprecated_on="2020-01-01")))
    assert ("openai", "gpt-4o") not in gone.serving("gpt-4o")
    back = overlaid(gone, (layer(openai__gpt_4o=EntryChange(deprecated_on="")),))
    assert ("openai", "gpt-4o") in back.serving("gpt-4o")


def test_canonical_name_joins_and_separates_models() -> None:
    catalog = over(layer(groq__mine=EntryChange(name="gpt-4o"), openai__gpt_4o=EntryChange(name="gpt-4o-apart")))
    assert ("groq", "mine") in catalog.serving("gpt-4o")
    assert ("openai", "gpt-4o") not in catalog.serving("gpt-4o")
    assert catalog.serving("gpt-4o-apart") == [("openai", "gpt-4o")]


def test_former_name_leads_to_the_changed_group() -> None:
    former, name = "gemini-3.1-flash-lite-preview", "gemini-3.1-flash-lite"
    assert packaged().name_of(former) == name
    catalog = over(layer(house__one=EntryChange(name=name), house__other=EntryChange(name=former)))
    assert {("house", "one"), ("house", "other")} <= set(catalog.serving(former))
    assert catalog.serving(former) == catalog.serving(name)
    changes = {f"gemini/{name}": EntryChange(name="apart")}
    apart = over(msgspec.json.encode(Layer(source="overlay", changes=changes)))
    assert ("gemini", name) not in apart.serving(former)


def test_other_spelling_of_a_canonical_name_is_that_name() -> None:
    facts = over(layer(house__one=EntryChange(name="GPT-4O"))).find("house", "one")
    assert facts is not None
    assert facts.name == "gpt-4o"


def test_later_layer_outranks_an_earlier_one() -> None:
    other = Price(Rates(input=1, output=1))
    catalog = over(
        layer(openai__gpt_4o=EntryChange(price=PRICE)), layer("store", openai__gpt_4o=EntryChange(price=other))
    )
    facts = catalog.find("openai", "gpt-4o")
    assert facts is not None
    assert facts.price == other
    assert catalog.origins("openai", "gpt-4o")["price input"] == "store"
    assert len(catalog.layers) == 2
    assert catalog.digest not in {packaged().digest, over(layer(openai__gpt_4o=EntryChange(price=PRICE))).digest}


def test_provider_may_be_new() -> None:
    catalog = over(layer(house__mine=EntryChange(context=5)))
    assert list(catalog.models("house")) == ["mine"]
    assert catalog.serving("mine") == [("house", "mine")]


def test_faulty_layer_is_rejected() -> None:
    for content in (b"{}", layer(openai__x=EntryChange(like="no-such-model"))):
        with pytest.raises(CatalogError):
            over(content)
    with pytest.raises(CatalogError, match="outside 0 to 1 dollar per token"):
        over(layer(openai__x=EntryChange(price=Price(Rates(input=-1, output=0)))))


def test_like_prefers_the_same_provider() -> None:
    assert like_of(packaged(), "openai", "gpt-5") == packaged().find("openai", "gpt-5")
    assert like_of(packaged(), "groq", "openai/gpt-5") == packaged().find("openai", "gpt-5")
    assert like_of(packaged(), "groq", "nothing") is None
