"""Prices and limits of a key's attempts at a candidate."""

import pytest
from msgspec.structs import replace

from fakes.money import PLAIN, limit
from fakes.routing import endpoint, snapshot
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.prices import ModelFacts, NoCatalog, Price, Rates, ToolPrice
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.domain.targets import candidate
from pointsman.money import terms as module
from pointsman.money.terms import Terms, known_terms, terms_of

OWN = limit(level="virtual_key")
TEAM = limit(level="team", name="t")
ENTRY = limit("requests", level="entry", name="me/alpha")
PROVIDER = limit("tokens", level="provider", name="alpha")
KEY = VirtualKey(
    name="me",
    digest=b"",
    team="t",
    customer="c",
    entries={"alpha": ProviderEntry("alpha", limits=(ENTRY,))},
    limits=(OWN, TEAM),
)
ALPHA = candidate(replace(endpoint("alpha"), limits=(PROVIDER,), catalog="openai"), "gpt-4o")


def price(number: int) -> Price:
    return Price(Rates(input=number, output=number))


class Catalog(NoCatalog):
    """Knows `gpt-4o` of `openai`."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        known = provider_type == "openai" and model == "gpt-4o"
        return ModelFacts(name=model, output=4096, price=PLAIN) if known else None


def terms(
    *overrides: PriceOverride, key: VirtualKey | None = KEY, model: str = "gpt-4o", catalog: bool = True
) -> Terms:
    pricing = Pricing(overrides=overrides, catalog=Catalog()) if catalog else Pricing(overrides=overrides)
    target = candidate(ALPHA.endpoint, model)
    return terms_of(key, target, replace(snapshot([target.endpoint]), pricing=pricing))


def test_limits_are_ordered_from_the_narrowest_level() -> None:
    assert terms().limits == (ENTRY, OWN, TEAM, PROVIDER)
    assert terms(key=None).limits == (PROVIDER,)
    assert terms(key=replace(KEY, entries={})).limits == (OWN, TEAM, PROVIDER)


def test_catalog_sets_price_and_bound() -> None:
    found = terms()
    assert (found.price, found.output) == (PLAIN, 4096)
    assert (found.max_input_rate, found.max_output_rate) == (150_000, 600_000)


def test_unknown_model_has_no_price_and_no_bound() -> None:
    found = terms(model="other")
    assert (found.price, found.output, found.max_input_rate) == (None, None, 0)


@pytest.mark.parametrize(
    ("overrides", "number"),
    [
        (
            [
                PriceOverride(model="alpha/*", owner=None, price=price(1)),
                PriceOverride(model="alpha/gpt-4o", owner=None, price=price(2)),
            ],
            2,
        ),
        (
            [
                PriceOverride(model="*", owner=None, price=price(1)),
                PriceOverride(model="alpha/*", owner=None, price=price(2)),
            ],
            1,
        ),  # the first entry
        (
            [
                PriceOverride(model="alpha/gpt-4o", owner=None, price=price(1)),
                PriceOverride(model="*", owner="customer:c", price=price(2)),
            ],
            2,
        ),
        (
            [
                PriceOverride(model="alpha/gpt-4o", owner="customer:c", price=price(1)),
                PriceOverride(model="*", owner="team:t", price=price(2)),
            ],
            2,
        ),
        (
            [
                PriceOverride(model="alpha/gpt-4o", owner="team:t", price=price(1)),
                PriceOverride(model="*", owner="virtual_key:me", price=price(2)),
            ],
            2,
        ),
        (
            [
                PriceOverride(model="*", owner="team:other", price=price(1)),
                PriceOverride(model="*", owner=None, price=price(2)),
            ],
            2,
        ),
        (
            [
                PriceOverride(model="beta/*", owner=None, price=price(1)),
                PriceOverride(model="*/gpt-4?", owner=None, price=price(2)),
            ],
            2,
        ),
    ],
)
def test_best_override_applies(overrides: list[PriceOverride], number: int) -> None:
    found = terms(*overrides)
    assert found.price == price(number)
    assert (found.max_input_rate, found.output) == (number, 4096)


def test_overrides_of_owners_do_not_apply_in_open_mode() -> None:
    assert terms(PriceOverride(model="*", owner="team:t", price=price(1)), key=None).price is PLAIN


def test_price_and_bound_are_overridden_separately() -> None:
    found = terms(
        PriceOverride(model="*", owner="team:t", price=None, output=10),
        PriceOverride(model="*", owner=None, price=price(5), output=20),
    )
    assert (found.price, found.output) == (price(5), 10)
    alone = terms(PriceOverride(model="*", owner=None, price=None, output=10), catalog=False)
    assert (alone.price, alone.output) == (None, 10)


def test_context_window_and_tool_prices_come_from_the_narrowest_override() -> None:
    wide = PriceOverride(
        model="*", owner=None, price=None, context=1000, tools={"web_search": ToolPrice(1), "mcp": ToolPrice(0)}
    )
    narrow = PriceOverride(model="*", owner="team:t", price=None, tools={"web_search": ToolPrice(2)})
    found = terms(wide, narrow)
    assert found.context == 1000
    assert found.tools == {"web_search": ToolPrice(2), "mcp": ToolPrice(0)}
    assert found.model_uses == ()


@pytest.mark.parametrize(
    ("limits", "has_budget"),
    [
        ((limit("usd"),), True),
        ((limit("usd", soft=True),), False),
        ((limit("tokens"), limit("requests")), False),
        ((), False),
    ],
)
def test_hard_limit_of_money_is_a_budget(limits: tuple[object, ...], has_budget: bool) -> None:
    key = replace(KEY, limits=limits, entries={})
    assert terms(key=key).has_budget is has_budget


def test_highest_rate_of_all_classes_tiers_and_thresholds_applies() -> None:
    dear = Price(
        Rates(input=1, output=2, cache_write=7),
        above=((100, Rates(input=3, output=4, audio_in=30)),),
        tiers={"priority": Rates(input=5, output=6, reasoning=40)},
        request_nano=9,
        tiers_above={"flex": ((5, Rates(input=50, output=60)),)},
    )
    found = terms(PriceOverride(model="*", owner=None, price=dear))
    assert (found.max_input_rate, found.max_output_rate, found.request_nano) == (50, 60, 9)


def test_known_terms_are_computed_once_for_each_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = snapshot([ALPHA.endpoint])
    found = known_terms(KEY, ALPHA, configuration)
    assert found.limits == terms_of(KEY, ALPHA, configuration).limits
    assert known_terms(KEY, ALPHA, configuration) is found
    assert known_terms(None, ALPHA, configuration) is not found
    assert known_terms(KEY, ALPHA, replace(configuration)) is not found
    monkeypatch.setattr(module, "MAX_TERMS", 2)
    known_terms(KEY, candidate(ALPHA.endpoint, "other"), configuration)
    assert known_terms(KEY, ALPHA, configuration) is not found, "their number is bounded"
