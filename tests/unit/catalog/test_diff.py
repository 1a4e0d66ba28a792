"""Differences between catalogs."""

import msgspec

from pointsman.catalog.diff import FieldChange, PriceChange, differences, flat, losses
from pointsman.catalog.overlay import EntryChange, Layer, overlaid
from pointsman.config.catalog import packaged
from pointsman.domain.prices import Price, Rates
from pointsman.domain.units import UnitPrice


def test_differences_name_what_changed() -> None:
    old = packaged()
    changes = {
        "openai/gpt-99-test": EntryChange(),
        "openai/gpt-4o": EntryChange(price=Price(Rates(input=2_000_000, output=10_000_000)), deprecated_on=""),
        "house/mine": EntryChange(),
    }
    new = overlaid(old, (msgspec.json.encode(Layer(source="overlay", changes=changes)),))
    found = differences(old, new)
    assert found.providers_added == ("house",)
    assert found.added == (("house", "mine"), ("openai", "gpt-99-test"))
    assert found.removed == ()
    cheaper = next(one for one in found.prices if one.rate == "input")
    assert (cheaper.provider, cheaper.model, cheaper.old, cheaper.new) == ("openai", "gpt-4o", 2_500_000, 2_000_000)
    assert cheaper.percent == -20
    facts = old.find("openai", "gpt-4o")
    assert facts is not None
    assert found.retirements == (FieldChange(provider="openai", model="gpt-4o", old=facts.deprecated_on, new=None),)
    back = differences(new, old)
    assert back.removed == found.added
    assert back.providers_removed == ("house",)
    assert differences(old, old).is_empty


def test_missing_models_are_those_that_are_still_served() -> None:
    gone = Layer(
        source="overlay",
        changes={"openai/gpt-99-test": EntryChange(), "openai/old": EntryChange(deprecated_on="2020-01-01")},
    )
    more = overlaid(packaged(), (msgspec.json.encode(gone),))
    found = losses(more, packaged())
    assert found.missing == [("openai", "gpt-99-test")]
    assert len(found.served) == len(set(found.served)), "a place counts once, whatever its number of names"
    assert 1000 < len(found.served) < sum(1 for name in packaged().providers() for _ in packaged().models(name))
    assert losses(packaged(), more).missing == []


def test_losses_are_retirements_and_prices_too() -> None:
    base = {place: EntryChange(price=Price(Rates(input=1000, output=2000))) for place in ("house/a", "house/b")}
    base |= {"house/c": EntryChange()}
    old = overlaid(packaged(), (msgspec.json.encode(Layer(source="overlay", changes=base)),))
    changes = {
        "house/a": EntryChange(price=Price(Rates(input=3001, output=2000))),
        "house/b": EntryChange(price=Price(Rates(input=3000, output=700))),
        "house/c": EntryChange(deprecated_on="2020-01-01"),
    }
    new = overlaid(old, (msgspec.json.encode(Layer(source="overlay", changes=changes)),))
    found = losses(old, new)
    assert (found.repriced, found.retired) == ([("house", "a")], [("house", "c")])
    assert (found.missing, found.unpriced) == ([], [])


def test_every_rate_of_a_price_has_a_name() -> None:
    price = Price(
        Rates(input=1, output=2, cache_read=3),
        above=((1000, Rates(input=4, output=5)),),
        tiers={"batch": Rates(input=6, output=7)},
        request_nano=8,
        tiers_above={"batch": ((1000, Rates(input=9, output=10)),)},
        units={"image": (UnitPrice(11, quality="high"), UnitPrice(24, per=2))},
    )
    assert flat(price) == {
        "input": 1,
        "output": 2,
        "cache_read": 3,
        "above 1000 input": 4,
        "above 1000 output": 5,
        "batch input": 6,
        "batch output": 7,
        "batch above 1000 input": 9,
        "batch above 1000 output": 10,
        "request": 8000,
        "image high": 11,
        "image": 12,
    }
    assert flat(None) == {}
    assert PriceChange(provider="a", model="b", rate="input", old=None, new=1).percent is None
