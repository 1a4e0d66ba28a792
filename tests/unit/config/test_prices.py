"""Prices in the configuration are exact, and an incomplete price is an error."""

import pytest

from fakes.configuration import OPEN, checked, compiled, errors, found
from pointsman.domain.prices import Price, Rates, ToolPrice
from pointsman.domain.snapshots import PriceOverride, Pricing
from pointsman.domain.units import UnitPrice

BASE = "providers: {openai: env.OPENAI_API_KEY}\n"
GOVERNANCE = (
    "governance: {customers: {acme: {}}, teams: {research: {customer: acme}}, "
    "virtual_keys: {me: {value: env.CLIENT_KEY, team: research}}}\n"
)
RATES = "input_usd_per_million: 0.15, output_usd_per_million: 0.6"


def pricing(text: str) -> Pricing:
    return compiled(f"{BASE}{GOVERNANCE}pricing: {text}").snapshot.pricing


def override(text: str) -> PriceOverride:
    (one,) = pricing(f"{{overrides: [{{model: openai/gpt-4o, {text}}}]}}").overrides
    return one


def test_price_of_every_kind_of_token_is_compiled() -> None:
    text = f"""{RATES}, cached_input_usd_per_million: 0.075, cache_write_usd_per_million: 0.2,
      audio_input_usd_per_million: 1, audio_output_usd_per_million: 2, image_input_usd_per_million: 3,
      image_output_usd_per_million: 4, reasoning_usd_per_million: 0.000001, per_request_usd: 0.000000005"""
    found = override(text)
    assert found.price == Price(
        Rates(
            input=150_000,
            output=600_000,
            cache_read=75_000,
            cache_write=200_000,
            cache_write_1h=None,
            audio_in=1_000_000,
            audio_out=2_000_000,
            image_in=3_000_000,
            image_out=4_000_000,
            reasoning=1,
        ),
        request_nano=5,
        is_by_request=True,
    )
    assert (found.model, found.owner, found.output) == ("openai/gpt-4o", None, None)


def test_missing_rates_stay_unset_and_zero_is_free() -> None:
    found = override("input_usd_per_million: 0, output_usd_per_million: 0.1, cached_input_usd_per_million: 0").price
    assert found == Price(Rates(input=0, output=100_000, cache_read=0))


@pytest.mark.parametrize(
    ("text", "owner"),
    [("virtual_key: me", "virtual_key:me"), ("team: research", "team:research"), ("customer: acme", "customer:acme")],
)
def test_price_names_its_owner(text: str, owner: str) -> None:
    assert override(f"{text}, {RATES}").owner == owner


def test_prices_of_units_need_no_price_of_tokens() -> None:
    text = """per_image_usd: {"high 1024x1024": 0.167, high: 0.25, 1536x1024: 0.063}, audio_usd_per_minute: 0.006,
      least_seconds: 10, characters_usd_per_million: 15, per_page_usd: 0.002, per_search_usd: 0.0025"""
    price = override(text).price
    assert price == Price(
        Rates(input=0, output=0),
        units={
            "image": (
                UnitPrice(167_000_000_000, quality="high", size="1024x1024"),
                UnitPrice(250_000_000_000, quality="high"),
                UnitPrice(63_000_000_000, size="1536x1024"),
            ),
            "second": (UnitPrice(6_000_000_000, per=60, least=10),),
            "character": (UnitPrice(15_000_000),),
            "page": (UnitPrice(2_000_000_000),),
            "search": (UnitPrice(2_500_000_000),),
        },
        only_units=True,
    )
    price = override(f"per_image_usd: 0.02, {RATES}").price
    assert price is not None
    assert (price.units, price.only_units) == ({"image": (UnitPrice(20_000_000_000),)}, False)


def test_maximum_output_needs_no_price() -> None:
    found = override("max_output_tokens: 500")
    assert (found.price, found.output) == (None, 500)


def test_context_window_and_tool_prices_need_no_price() -> None:
    found = override("context_tokens: 128000, tools_usd: {web_search: 0.01, mcp: 0}")
    assert (found.price, found.context) == (None, 128_000)
    assert found.tools == {"web_search": ToolPrice(10_000_000), "mcp": ToolPrice(0)}


def test_policy_for_unknown_prices_is_compiled() -> None:
    assert pricing("{}").unknown == "allow-and-flag"
    assert pricing("{unknown: deny}").unknown == "deny"


def test_patterns_are_kept_in_the_order_of_the_file() -> None:
    overrides = "[{model: 'openai/gpt-4o*', max_output_tokens: 1}, {model: '*', max_output_tokens: 1}]"
    models = [one.model for one in pricing(f"{{overrides: {overrides}}}").overrides]
    assert models == ["openai/gpt-4o*", "*"]


OUTPUT = "output_usd_per_million: 0.6"
HALF = ": set both input_usd_per_million and output_usd_per_million; 0 means free"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"input_usd_per_million: -1, {OUTPUT}", ".input_usd_per_million: must be greater than or equal to 0"),
        (f"input_usd_per_million: 1e9, {OUTPUT}", ".input_usd_per_million: must be less than or equal to 1000000"),
        (f"input_usd_per_million: 0.0000001, {OUTPUT}", ".input_usd_per_million: must have at most 6 decimals"),
        (f"per_request_usd: -1, {RATES}", ".per_request_usd: must be greater than or equal to 0"),
        ("max_output_tokens: 0", ".max_output_tokens: must be greater than or equal to 1"),
        ("input_usd_per_million: 1", HALF),
        ("reasoning_usd_per_million: 1", HALF),
        ("per_search_usd: 1, input_usd_per_million: 1", HALF),
        ("per_search_usd: 1, least_seconds: 1", ".least_seconds: set audio_usd_per_minute too"),
        ("per_request_usd: 1", HALF),
        (f"team: research, customer: acme, {RATES}", ": set only one of virtual_key, team and customer"),
        (f"team: reserch, {RATES}", ".team: unknown team 'reserch'; did you mean 'research'?"),
        (f"virtual_key: you, {RATES}", ".virtual_key: unknown virtual key 'you'"),
        (f"input_usd: 1, {RATES}", ".input_usd: unknown field; did you mean 'input_usd_per_million'?"),
    ],
)
def test_invalid_prices_are_errors(text: str, problem: str) -> None:
    (message,) = errors(f"{BASE}{GOVERNANCE}pricing: {{overrides: [{{model: openai/x, {text}}}]}}")
    assert message.startswith(f"pricing.overrides[0]{problem}")


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("gpt-4o", "must be `provider/model`, or a pattern such as `openai/*`"),
        ("oepnai/x", "unknown provider 'oepnai'; did you mean 'openai'?"),
    ],
)
def test_invalid_models_of_prices_are_errors(model: str, problem: str) -> None:
    (message,) = errors(f"{BASE}{GOVERNANCE}pricing: {{overrides: [{{model: {model}, {RATES}}}]}}")
    assert message == f"pricing.overrides[0].model: {problem}"


def test_override_without_effect_is_a_warning() -> None:
    outcome = checked(f"{BASE}{OPEN}pricing: {{overrides: [{{model: openai/x}}]}}")
    (warning,) = found(outcome, "warning")
    assert warning.startswith("pricing.overrides[0]: has no effect; set a price, max_output_tokens, context_tokens or")


def test_price_of_another_spelling_is_that_of_the_providers_own_name() -> None:
    text = f"{{overrides: [{{model: openai/GPT-4o, {RATES}}}, {{model: openai/gpt-40*, {RATES}}}]}}"
    assert [one.model for one in pricing(text).overrides] == ["openai/gpt-4o", "openai/gpt-40*"]
