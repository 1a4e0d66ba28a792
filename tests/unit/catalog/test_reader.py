"""The reader, on the catalog that is shipped and on broken ones."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pointsman.catalog.reader
from fakes.clock import pace
from pointsman.catalog.overlay import overlaid
from pointsman.catalog.reader import CatalogError, ModelCatalog
from pointsman.domain.units import Unit, UnitPrice

FILE = Path(pointsman.catalog.reader.__file__).with_name("models.json")
FIXTURES = Path(__file__).parent


@pytest.fixture(scope="module")
def catalog() -> ModelCatalog:
    return ModelCatalog(FILE.read_bytes())


def pairs(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (FIXTURES / name).read_text().splitlines()]


def name_at(catalog: ModelCatalog, place: str) -> str:
    provider, _, model = place.partition("/")
    facts = catalog.find(provider, model)
    assert facts is not None, f"{place} is gone from the catalog: judge another pair in its place"
    return facts.name


def test_catalog_is_large_enough(catalog: ModelCatalog) -> None:
    pairs = sum(1 for provider in catalog.providers() for _ in catalog.models(provider))
    names = list(catalog.canonical_names())
    several = [name for name in names if len({provider for provider, _ in catalog.serving(name)}) > 1]
    assert pairs >= 3000
    assert len(names) >= 1000
    assert len(several) >= 400


def test_every_entry_can_be_read(catalog: ModelCatalog) -> None:
    assert catalog.validate() >= 3000


def test_names_with_one_key_mean_one_model(catalog: ModelCatalog) -> None:
    """Use pairs judged one by one from public descriptions."""
    judged = [
        label == "same"
        for label, one, other in pairs("same_pairs.tsv")
        if name_at(catalog, one) == name_at(catalog, other)
    ]
    assert len(judged) >= 280
    assert sum(judged) / len(judged) >= 0.995


def test_models_that_look_alike_stay_apart(catalog: ModelCatalog) -> None:
    misses = pairs("near_misses.tsv")
    assert len(misses) >= 100
    together = [(one, other) for one, other in misses if name_at(catalog, one) == name_at(catalog, other)]
    assert not together


def test_loading_is_fast_and_small() -> None:
    """Load in a separate process, with at most 100 ms of CPU time and 30 MB."""
    program = (
        "import sys, time\n"
        "from pointsman.catalog.reader import ModelCatalog\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "before, started = resident(), time.process_time()\n"
        "catalog = ModelCatalog(open(sys.argv[1], 'rb').read())\n"
        "print((time.process_time() - started) * 1e3, (resident() - before) / 1e6)\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program, str(FILE)], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    ]
    figures = [tuple(map(float, run.split())) for run in runs]
    assert min(duration for duration, _ in figures) <= 100 * pace()
    assert max(size for _, size in figures) <= 30


def test_a_model_is_found_by_any_of_its_names(catalog: ModelCatalog) -> None:
    assert catalog.name_of("Claude-Sonnet-4.5") == catalog.name_of("anthropic/claude-4.5-sonnet") == "claude-sonnet-4-5"
    assert ("anthropic", "claude-sonnet-4-5") in catalog.serving("claude-sonnet-4.5")
    assert catalog.name_of("no-such-model") is None
    assert catalog.serving("no-such-model") == []
    assert catalog.find("openai", "no-such-model") is None
    assert catalog.find("no-such-provider", "gpt-4o") is None


def test_facts_of_a_well_known_model(catalog: ModelCatalog) -> None:
    facts = catalog.find("openai", "gpt-4o-mini")
    assert facts is not None
    assert (facts.context, facts.output) == (128_000, 16_384)
    assert {"tools", "parallel_tools", "json_schema", "vision", "prompt_cache", "streaming_usage"} <= facts.capabilities
    assert "reasoning" in facts.lacks
    assert facts.price is not None
    assert facts.price.rates.input == 150_000
    assert facts.price.tiers["batch"].output == 300_000
    assert catalog.origins("openai", "gpt-4o-mini")["price input"] == "genai-prices"
    assert set(catalog.origins("openai", "gpt-4o-mini").values()) <= set(catalog.sources)


def test_global_profile_has_no_region(catalog: ModelCatalog) -> None:
    facts = catalog.find("bedrock", "global.anthropic.claude-sonnet-4-6")
    assert facts is not None
    assert facts.region == "global"


def test_price_of_zero_requires_a_free_name_or_two_tables(catalog: ModelCatalog) -> None:
    for provider in catalog.providers():
        for model in catalog.models(provider):
            facts = catalog.find(provider, model)
            if (
                facts is not None
                and facts.price is not None
                and not (facts.price.rates.input or facts.price.rates.output)
            ):
                is_priced = facts.price.request_nano or facts.price.rates.image_out or facts.price.units
                is_free = model.endswith(":free") or "moderation" in model or not facts.is_doubtful
                assert is_free or is_priced, (provider, model)


@pytest.mark.parametrize(
    ("provider", "model", "unit", "pico"),
    [
        ("openai", "whisper-1", "second", 100_000_000),
        ("openai", "tts-1-hd", "character", 30_000_000),
        ("xai", "grok-imagine-image", "image", 20_000_000_000),
        ("cohere", "rerank-v3.5", "search", 2_000_000_000),
        ("mistral", "mistral-ocr-latest", "page", 4_000_000_000),
    ],
)
def test_prices_by_unit_are_known(catalog: ModelCatalog, provider: str, model: str, unit: Unit, pico: int) -> None:
    facts = catalog.find(provider, model)
    assert facts is not None
    assert facts.price is not None
    assert facts.price.only_units
    assert facts.price.units == {unit: (UnitPrice(pico),)}


def test_images_have_prices_by_quality_and_size(catalog: ModelCatalog) -> None:
    facts = catalog.find("azure", "dall-e-3")
    assert facts is not None
    assert facts.price is not None
    found = {(one.quality, one.size): one.pico for one in facts.price.units["image"]}
    assert found["standard", "1024x1024"] == 44_000_000_000
    assert len(found) == 6


def test_model_with_a_price_of_tokens_has_none_by_unit(catalog: ModelCatalog) -> None:
    """The tables have the usual cost of an image of these models too."""
    for model in ("gpt-image-1", "gpt-4o-transcribe"):
        facts = catalog.find("openai", model)
        assert facts is not None
        assert facts.price is not None
        assert not facts.price.units


def test_host_identifies_its_provider(catalog: ModelCatalog) -> None:
    assert catalog.provider_at("api.deepinfra.com") == "deepinfra"
    assert catalog.provider_at("eu.api.openai.com") == "openai"
    assert catalog.provider_at("notapi.openai.com") is None
    assert catalog.provider_at("bedrock-runtime.eu-central-1.amazonaws.com") == "bedrock"
    assert catalog.provider_at("s3.eu-central-1.amazonaws.com") is None
    assert catalog.provider_at("mine.openai.azure.com") == catalog.provider_at("a.services.ai.azure.com") == "azure"
    assert catalog.provider_at("europe-west4-aiplatform.googleapis.com") == "vertex"
    assert catalog.provider_at("aiplatform.eu.rep.googleapis.com") == "vertex"
    assert catalog.provider_at("127.0.0.1") is None


BROKEN: list[tuple[str, Any]] = [
    ("is not a catalog", b"[]"),
    ("is not a catalog", b"{"),
    ("format 2 is unknown", {"format": 2}),
    ("cannot read the entry", {"context": "much"}),
    ("outside 0 to 1 dollar", {"price": {"rates": {"input": -1, "output": 0}}}),
    (
        "outside 0 to 1 dollar",
        {"price": {"rates": {"input": 1, "output": 1}, "tiers": {"flex": {"input": 10**13, "output": 0}}}},
    ),
    ("without a start", {"price": {"rates": {"input": 1, "output": 1}, "above": [[0, {"input": 1, "output": 1}]]}}),
    ("cannot read the entry", {"from": 7}),
]


@pytest.mark.parametrize(("said", "change"), BROKEN)
def test_broken_catalog_is_explained(said: str, change: Any) -> None:
    content = change
    if not isinstance(change, bytes):
        content = file_with({"name": "m", "from": 0} | change, {"format": 2} if "format" in change else {})
    with pytest.raises(CatalogError, match=said):
        ModelCatalog(content).validate()


def test_name_without_an_entry_is_an_error() -> None:
    file = {
        "format": 1,
        "date": "2026-01-01",
        "sources": {},
        "provenance": [{}],
        "providers": {},
        "names": {"m": ["m", "a/m"]},
    }
    with pytest.raises(CatalogError, match="which has no entry"):
        ModelCatalog(json.dumps(file).encode()).validate()


def test_retirement_is_looked_at_when_a_file_is_loaded() -> None:
    content = file_with({"name": "m", "from": 0, "deprecated_on": "2026-06-01"})
    assert ModelCatalog(content, "2026-05-31").serving("m") == [("a", "m")]
    assert list(ModelCatalog(content).canonical_names()) == ["m"], "the day of the catalog is the default"
    retired = ModelCatalog(content, "2026-06-01")
    assert retired.serving("m") == []
    assert list(retired.canonical_names()) == []
    assert retired.name_of("m") == "m"
    assert retired.find("a", "m") is not None


def test_price_has_the_day_of_its_table() -> None:
    price = {"rates": {"input": 1, "output": 1}}
    dated = {
        "provenance": [{"context": "old", "price input": "new"}],
        "dates": {"old": "2026-01-01", "new": "2026-02-02"},
    }
    assert ModelCatalog(file_with({"name": "m", "price": price}, dated)).price_date("a", "m") == "2026-02-02"
    assert ModelCatalog(file_with({"name": "m"})).price_date("a", "m") is None
    assert ModelCatalog(file_with({"name": "m"})).price_date("a", "no") is None


def test_prices_are_younger_than_the_catalog_at_most(catalog: ModelCatalog) -> None:
    found = catalog.price_date("openai", "gpt-4o-mini")
    assert found is not None
    assert "2026-08" < found <= catalog.date


def test_price_is_from_the_table_of_its_input(catalog: ModelCatalog) -> None:
    """Some rates of a tier moved with the others. They say nothing about the source of the price."""
    layered = overlaid(catalog, (b'{"source":"overlay","changes":{}}',))
    priced = [(provider, model) for provider in layered.providers() for model in layered.models(provider)]
    of_prices = [(name, one) for place in priced for name, one in layered.origins(*place).items() if "price " in name]
    assert "pointsman" in {one for _, one in of_prices}
    assert {layered.price_source(*place) for place in priced} == {"catalog", ""}


def file_with(entry: dict[str, Any], change: dict[str, Any] | None = None) -> bytes:
    file = {"format": 1, "date": "2026-01-01", "sources": {}, "provenance": [{}], "names": {"m": ["m", "a/m"]}}
    file |= {"providers": {"a": {"hosts": [], "models": {"m": entry}}}}
    return json.dumps(file | (change or {})).encode()


def test_census_of_the_most_used_models_has_no_wrong_sibling(catalog: ModelCatalog) -> None:
    """The labels are facts about names; each has its source, a table with its title or a page."""
    rows = pairs("census.tsv")
    assert len({name for name, *_ in rows}) >= 100
    together = [
        (name, place, label) for name, place, label, _ in rows if name_at(catalog, place) == catalog.name_of(name)
    ]
    assert [row for row in together if row[2] != "same"] == []
    assert len(together) >= 0.95 * sum(label == "same" for _, _, label, _ in rows)


def test_well_known_models_are_found_at_the_providers_that_serve_them(catalog: ModelCatalog) -> None:
    """Every provider that a table lists for a model, by a comparison of ids and titles that is not the catalog's."""
    rows = pairs("recall.tsv")
    assert len({name for name, *_ in rows}) == 60
    found = [any(place[0] == provider for place in catalog.serving(name)) for name, provider, *_ in rows]
    assert sum(found) / len(found) >= 0.95


def test_publishers_prices_are_those_that_tables_agree_on_or_of_a_page(catalog: ModelCatalog) -> None:
    wrong = []
    for provider, model, input_, output, source in pairs("first_party_prices.tsv"):
        facts = catalog.find(provider, model)
        rates = facts.price.rates if facts is not None and facts.price is not None else None
        expected = (round(float(input_) * 1e6), round(float(output) * 1e6))
        if rates is None or (rates.input, rates.output) != expected:
            wrong.append((provider, model, expected, source))
    assert not wrong
