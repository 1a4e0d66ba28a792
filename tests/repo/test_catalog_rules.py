"""The rules by which the build of the catalog groups models, and chooses ids, prices and retirements."""

import pytest
from tools.catalog.forms import is_id
from tools.catalog.groups import Groups, group
from tools.catalog.merge import merge
from tools.catalog.prices import Offer, chosen, without_implausible
from tools.catalog.records import Draft, Record, Table
from tools.catalog.retirements import retired_on

Place = tuple[str, str]


@pytest.fixture(autouse=True)
def small_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small numbers of these tests be prices."""
    monkeypatch.setattr("tools.catalog.prices._LEAST_TOKEN", 0)


def grouped(**titles: Record) -> Groups:
    """Group models at providers, which have `_` for `-`; all have one name."""
    return group(
        {(provider.replace("_", "-"), "maker/open-9"): {"models.dev": one} for provider, one in titles.items()}
    )


def priced(input_: int, output: int = 8, **more: int) -> Record:
    return Record(price=Draft({"input": input_, "output": output, **more}))


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", True),
        ("bedrock", "us-gov.anthropic.claude-sonnet-5", True),
        ("bedrock", "in.moonshotai.kimi-k3", True),
        ("bedrock", "claude-sonnet-4-5-20250929-v1:0", False),
        ("bedrock", "anthropic.claude-haiku-4-5@20251001", False),
        ("vertex", "claude-opus-4-1@20250805", True),
        ("vertex", "mistral-large@latest", False),
        ("fireworks", "accounts/fireworks/models/kimi-k3", True),
        ("fireworks", "kimi-k3", False),
        ("deepseek", "deepseek-r1", False),
        ("openrouter", "~anthropic/claude-haiku-latest", True),
        ("a-new-provider", "anything at all", True),
    ],
)
def test_id_has_the_form_of_its_provider(provider: str, model: str, expected: bool) -> None:
    assert is_id(provider, model) is expected


def test_title_of_another_version_keeps_a_model_apart() -> None:
    groups = grouped(
        novita=Record(title="Open 9"), together=Record(title="Open 9.5"), vercel=Record(title="Open 9 Turbo")
    )
    assert set(groups.keys.values()) == {"maker/open-9", "maker/open-9@together", "maker/open-9@vercel"}
    assert {flag.kind for flag in groups.flags} == {"number", "word"}


def test_all_others_are_apart_when_a_publishers_name_has_moved() -> None:
    models: dict[Place, dict[str, Record]] = {
        ("mistral", "mistral-medium-3"): {"genai-prices": Record(title="Mistral Medium 3.5")},
        ("openrouter", "mistralai/mistral-medium-3"): {"genai-prices": Record(title="Mistral Medium 3")},
    }
    assert list(group(models).keys.values()) == ["mistral-medium-3", "mistral-medium-3@openrouter"]


def test_half_price_of_a_model_that_its_publisher_prices_keeps_it_apart() -> None:
    models: dict[Place, dict[str, Record]] = {
        ("anthropic", "claude-opus-4"): {"litellm": priced(15, 75)},
        ("snowflake", "claude-4-opus"): {"litellm": priced(5, 25)},
        ("vercel", "anthropic/claude-opus-4"): {"litellm": priced(16, 80)},
        ("novita", "meta/llama-3.3-70b-instruct"): {"litellm": priced(1)},
        ("groq", "llama-3.3-70b-versatile"): {"litellm": priced(6)},
    }
    keys = group(models).keys
    assert keys["snowflake", "claude-4-opus"] == "claude-opus-4@snowflake"
    assert keys["vercel", "anthropic/claude-opus-4"] == "claude-opus-4"
    assert len({key for place, key in keys.items() if "llama" in place[1]}) == 1, "hosts set the prices of open weights"


def test_undated_name_is_the_first_release_only_if_the_host_lists_a_later_one() -> None:
    models: dict[Place, dict[str, Record]] = {
        ("novita", "deepseek/deepseek-v4-pro"): {"models.dev": Record()},
        ("novita", "deepseek/deepseek-v4-pro-0813"): {"models.dev": Record()},
        ("siliconflow", "deepseek-ai/DeepSeek-V4-Pro"): {"models.dev": Record()},
        ("venice", "deepseek-v4-pro"): {"models.dev": Record(title="DeepSeek V4 Pro 0813")},
        ("deepseek", "deepseek-v4-pro"): {"models.dev": Record()},
    }
    keys = group(models).keys
    assert [keys[place] for place in models] == [
        "deepseek-v4-pro-0423",
        "deepseek-v4-pro-0813",
        "deepseek-v4-pro@siliconflow",
        "deepseek-v4-pro-0813",
        "deepseek-v4-pro-0813",
    ]


def test_undated_name_of_openai_is_its_only_snapshot() -> None:
    ids = ("gpt-9", "gpt-9-2026-01-02", "gpt-8", "gpt-8-2026-01-02", "gpt-8-2026-03-04")
    keys = group({("openai", model): {"litellm": Record()} for model in ids}).keys
    assert keys["openai", "gpt-9"] == keys["openai", "gpt-9-2026-01-02"]
    assert len({keys["openai", model] for model in ids[2:]}) == 3


def test_price_that_most_tables_agree_on_counts() -> None:
    tables = {"genai-prices": priced(4), "litellm": priced(2), "pi-ai": priced(2), "models.dev": priced(4)}
    draft = chosen(("novita", "x/y"), tables, is_closed=False).draft
    assert draft is not None
    assert draft.rates["input"] == 2, "the older copy of models.dev has no vote"


def test_price_of_the_publisher_is_not_that_of_a_host_of_open_weights() -> None:
    shared = priced(4)
    shared.is_shared = True
    assert chosen(("azure", "deepseek-v3.2"), {"genai-prices": shared}, is_closed=False).draft is None
    assert chosen(("azure", "gpt-4.1"), {"genai-prices": shared}, is_closed=True).draft is not None


def test_price_that_is_ten_times_the_median_is_left_out() -> None:
    table: Table = {(name, "maker/open-9"): priced(10) for name in ("novita", "groq", "together")}
    table["helicone", "maker/open-9"] = priced(100)
    merged = merge({"litellm": table})
    facts = merged.entries["helicone", "maker/open-9"]
    assert facts.price is None
    assert "10 times the median" in facts.unpriced
    assert merged.entries["novita", "maker/open-9"].price is not None


def test_embedding_at_a_hundred_dollars_has_a_wrong_unit() -> None:
    record = Record(modalities_out=("embedding",), price=Draft({"input": 100_000_000, "output": 0}))
    offer = chosen(("cohere", "embed-x"), {"litellm": record}, is_closed=True)
    assert offer.draft is None
    assert "wrong unit" in offer.unpriced


def test_free_model_needs_two_tables() -> None:
    one, other = priced(0, 0), priced(0, 0)
    assert chosen(("zai", "glm-free"), {"litellm": one}, is_closed=False).draft is None
    assert chosen(("zai", "glm-free"), {"models.dev": one, "pi-ai": other}, is_closed=False).draft is None, "a copy"
    assert chosen(("zai", "glm-free"), {"litellm": one, "models.dev": other}, is_closed=False).draft is not None


def test_day_before_which_nothing_retires_is_no_retirement() -> None:
    promised, announced = Record(deprecated_on="2026-09-29"), Record(deprecated_on="2026-10-14", is_announced=True)
    assert retired_on("vertex", {"litellm": promised}) is None
    assert retired_on("vertex", {"litellm": announced}) == ("litellm", "2026-10-14")
    assert retired_on("vertex", {"litellm": announced, "pi-ai": Record()}) is None, "a newer table still lists it"
    assert retired_on("together", {"litellm": promised}) == ("litellm", "2026-09-29")


def test_model_that_its_publisher_removed_is_retired() -> None:
    removed = Record(is_gone=True, gone_by="2026-10-26")
    assert retired_on("xai", {"model-prices": removed}) == ("model-prices", "2026-10-26")
    assert retired_on("xai", {"model-prices": removed, "pi-ai": Record()}) is None


@pytest.mark.parametrize(
    ("model", "record", "counts"),
    [
        ("flux-1-dev", priced(500, 500), False),
        ("an-image", Record(price=Draft({"input": 130, "output": 130}), modalities_out=("image",)), False),
        ("whisper-large-v3", Record(price=Draft({"input": 3000}), modalities_out=("text",)), False),
        (
            "an-image",
            Record(price=Draft({"input": 5, "output": 9}), modalities_out=("image",), page="https://a.b"),
            True,
        ),
        ("an-image", Record(price=Draft({"input": 5, "image_out": 9}), modalities_out=("image",)), True),
        ("gpt-image-1", Record(price=Draft({"input": 5, "output": 9}), modalities_out=("image",)), True),
        ("a-chat", Record(price=Draft({"input": 5, "output": 9}), modalities_out=("image", "text")), True),
    ],
)
def test_model_of_images_or_sound_has_no_price_of_tokens_unless_confirmed(
    model: str, record: Record, counts: bool
) -> None:
    offer = chosen(("host", model), {"models.dev": record}, is_closed=False)
    assert (offer.price is not None) is counts
    two = chosen(("host", model), {"models.dev": record, "litellm": record}, is_closed=False)
    assert two.price is not None


def test_model_of_sound_is_not_free() -> None:
    zero = Record(price=Draft({"input": 0, "output": 0}), modalities_out=("audio", "text"))
    offer = chosen(("gemini", "lyria-9"), {"models.dev": zero, "litellm": zero}, is_closed=True)
    assert (offer.price, offer.unpriced) == (None, "it is charged by the piece of sound, for which there is no unit")


def test_implausible_price_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.catalog.prices._LEAST_TOKEN", 2_000)
    prices = {
        "maker/a": (100_000, 300_000),
        "maker/a:batch": (50_000, 150_000),
        "~maker/a-latest": (100_000, 300_000),
        "~maker/b-latest": (7_000, 120_000),
        "maker/c": (150_000, 600_000),
        "maker/c:batch": (11_000, 200_000),
        "maker/d": (40_000, 6_000_000),
        "maker/e": (100, 100),
    }
    offers = {
        ("openrouter", model): Offer(Draft({"input": input_, "output": output}), {"price input": "pi-ai"})
        for model, (input_, output) in prices.items()
    }
    without_implausible(offers)
    left_out = {model: offer.unpriced for (_, model), offer in offers.items() if offer.price is None}
    assert left_out == {
        "~maker/b-latest": "the price in pi-ai is that of none of the models that the alias may mean",
        "maker/c:batch": "the price in pi-ai is less than a quarter of the price without a batch",
        "maker/d": "the price in pi-ai of output is more than 30 times that of input",
        "maker/e": "the price in pi-ai is below $0.002 per million tokens",
    }


def test_stated_rate_of_a_tier_does_not_move() -> None:
    plain = {"input": 100, "output": 800, "cache_read": 10}
    first = Record(price=Draft(dict(plain), tiers={"batch": {"input": 50, "output": 400}}))
    other = Record(price=Draft(dict(plain), tiers={"batch": {"input": 50, "output": 400, "cache_read": 10}}))
    price = chosen(("gemini", "m"), {"genai-prices": first, "litellm": other}, is_closed=True).price
    assert price is not None
    assert price.tiers["batch"].cache_read == 10


def test_profile_retires_with_its_model() -> None:
    gone = Record(deprecated_on="2026-10-14", is_announced=True)
    table: Table = {("bedrock", "anthropic.claude-9"): gone, ("bedrock", "eu.anthropic.claude-9"): Record()}
    merged = merge({"litellm": table})
    assert {facts.deprecated_on for facts in merged.entries.values()} == {"2026-10-14"}
