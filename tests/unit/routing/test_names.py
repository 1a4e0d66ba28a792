"""Candidates of names that the configuration does not list."""

import json
from timeit import repeat

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, provider_key
from pointsman.catalog.names import key_of
from pointsman.catalog.reader import ModelCatalog
from pointsman.domain.calls import Facts
from pointsman.domain.plans import Plan
from pointsman.domain.prices import ModelFacts
from pointsman.domain.snapshots import Names, PublicModel, Snapshot
from pointsman.domain.targets import Endpoint
from pointsman.routing.decide import decide
from pointsman.routing.router import router_of
from pointsman.wire.upstreams.bedrock.models import REGIONS

MODELS = {
    ("alpha", "big"): ModelFacts(name="big", context=1000, lacks=frozenset({"audio_in"})),
    ("beta", "vendor/big"): ModelFacts(name="big", context=500, lacks=frozenset({"audio_in", "tools"})),
    ("beta", "vendor/big-global"): ModelFacts(name="big", region="global"),
    ("beta", "vendor/big-eu"): ModelFacts(name="big", region="eu"),
    ("beta", "only"): ModelFacts(name="only"),
    ("alpha", "past"): ModelFacts(name="past"),
    ("beta", "past"): ModelFacts(name="past"),
    ("alpha", "now-latest"): ModelFacts(name="now-latest@alpha"),
    ("alpha", "small"): ModelFacts(name="small@alpha"),
    ("beta", "small"): ModelFacts(name="small@beta"),
    ("alpha", "vague"): ModelFacts(name="vague", vouched=2),
    ("beta", "vendor/vague"): ModelFacts(name="vague", vouched=1),
    ("gamma", "vendor/vague"): ModelFacts(name="vague", vouched=1),
    ("beta", "vendor/host-meaning"): ModelFacts(name="host-meaning@beta"),
    ("gemini", "big"): ModelFacts(name="big"),
    ("publisher", "host-meaning"): ModelFacts(name="newest"),
}
RETIRED = {"past"}


class Catalog:
    """Knows `big` at two providers and `only` at one; `past` was retired, and names with an @ are separate models."""

    def find(self, provider_type: str, model: str) -> ModelFacts | None:
        return MODELS.get((provider_type, model))

    def models(self, provider: str) -> list[str]:
        return [model for name, model in MODELS if name == provider]

    def name_of(self, model: str) -> str | None:
        return next((facts.name for facts in MODELS.values() if facts.name == model.lower()), None)

    def key(self, provider: str, model: str) -> str:
        return model

    def provider_at(self, host: str) -> str | None:
        return None

    def price_source(self, provider_type: str, model: str) -> str:
        return "catalog" if self.find(provider_type, model) is not None else ""

    def serving(self, model: str) -> list[tuple[str, str]]:
        name = model.lower()
        return [place for place, facts in MODELS.items() if facts.name == name and name not in RETIRED]


def at(
    name: str, catalog: str, *keys: str, serves: tuple[str, ...] = (), deployments: tuple[str, ...] = ()
) -> Endpoint:
    mine = {model: f"my-{model}" for model in deployments}
    return replace(endpoint(name, *keys, serves=serves or deployments), catalog=catalog, deployments=mine)


def snapshot(*endpoints: Endpoint, siblings: bool = True) -> Snapshot:
    by_name = {item.name: item for item in endpoints}
    return Snapshot(
        digest="digest", endpoints=by_name, models={}, virtual_keys={}, names=Names(by_name, Catalog(), siblings)
    )


def resolve(configuration: Snapshot, name: str) -> PublicModel | None:
    return router_of(configuration).resolve(name)


def resolved(configuration: Snapshot, name: str) -> PublicModel:
    found = resolve(configuration, name)
    assert found is not None
    return found


A, B, C = at("a", "alpha"), at("b", "beta"), at("c", "")


def test_bare_name_has_every_configured_provider_that_serves_it() -> None:
    model = resolved(snapshot(A, B, C), "BIG")
    assert [item.id for item in model.targets] == ["a/big", "b/vendor/big"]
    assert not model.fallbacks
    assert resolve(snapshot(A, C), "only") is None
    assert resolve(snapshot(A, B), "nothing") is None
    assert resolve(snapshot(A, B), "") is None


def test_unshared_model_is_found_by_the_name_of_its_provider() -> None:
    def ids(name: str, *endpoints: Endpoint) -> list[str]:
        model = resolve(snapshot(*endpoints), name)
        return [item.id for item in model.targets] if model is not None else []

    assert ids("past", A, B, C) == ["a/past", "b/past"]
    assert ids("now-latest", A, B) == ["a/now-latest"]
    assert ids("small", A, C) == ["a/small"]
    assert ids("small", A, B) == [], "the catalogs have different models under this name"
    assert ids("past", at("a", "alpha", serves=("big",))) == [], "the configuration outranks the catalog"


def test_provider_prefix_selects_that_provider_alone() -> None:
    model = resolved(snapshot(A, B, C), "b/vendor/big")
    assert [item.id for item in model.targets] == ["b/vendor/big"]
    assert not model.fallbacks


def test_model_after_a_provider_goes_through_the_same_rules() -> None:
    def ids(name: str, *endpoints: Endpoint) -> list[str]:
        return [item.id for item in resolved(snapshot(*endpoints), name).targets]

    assert ids("b/big", A, B) == ["b/vendor/big"], "the catalog has the provider's own name"
    assert ids("B/BIG", A, B) == ["b/vendor/big"]
    assert ids("b:big", A, B) == ["b/vendor/big"]
    assert ids("a/PAST", A, B) == ["a/past"], "the provider decides about a model that should be retired"
    assert ids("a/unknown", A, B) == ["a/unknown"], "it may be newer than the catalog"
    assert resolve(snapshot(A, B), "a:unknown") is None, "a colon may be a part of a name"
    keyed = replace(endpoint("b", provider_key("k", serves=("vendor/big-eu",))), catalog="beta")
    assert ids("b/big", keyed) == ["b/vendor/big-eu"]


def test_name_of_a_publisher_is_no_provider_that_lacks_the_model() -> None:
    vendor = replace(endpoint("vendor"), catalog="alpha")
    assert [item.id for item in resolved(snapshot(vendor, B), "vendor/big-eu").targets] == ["b/vendor/big-eu"]
    assert [item.id for item in resolved(snapshot(vendor, B), "vendor/other").targets] == ["vendor/other"]


def test_prefix_of_another_tool_selects_the_provider() -> None:
    google, cloud = replace(A, name="mine", catalog="gemini"), replace(B, name="gcp", catalog="vertex", type="vertex")
    listed = {"big": ("big",)}
    both = snapshot(replace(google, listed=listed), replace(cloud, listed=listed))
    assert [item.id for item in resolved(both, "vertex_ai/big").targets] == ["gcp/big"]
    assert [item.id for item in resolved(both, "google-gla:big").targets] == ["mine/big"]
    assert resolve(snapshot(A), "groq/big") is None, "another machine was chosen"
    assert [item.id for item in resolved(snapshot(A), "gemini/big").targets] == ["a/big"], "the vendor is absent"
    assert resolve(snapshot(A), "mistral/big") is None, "it is not this vendor's"


def test_tuned_model_goes_to_the_only_provider_of_its_base() -> None:
    assert [item.id for item in resolved(snapshot(A, B), "ft:only:me::x").targets] == ["b/ft:only:me::x"]
    assert resolve(snapshot(A, B), "ft:past:me::x") is None


def test_version_after_an_at_sign_is_that_of_a_name_with_a_dash() -> None:
    dated = replace(C, listed={"big-20250514": ("big-20250514",)})
    model = resolved(snapshot(A, dated), "big@20250514")
    assert (model.name, [item.id for item in model.targets]) == ("big@20250514", ["c/big-20250514"])


def test_serves_adds_to_the_catalog() -> None:
    also = replace(at("c", "alpha", serves=("house-*", "b*")), serves_only=False)
    assert [item.id for item in resolved(snapshot(also), "house-blend").targets] == ["c/house-blend"]
    assert [item.id for item in resolved(snapshot(also), "past").targets] == ["c/past"]
    assert [item.id for item in resolved(snapshot(also), "BIG").targets] == ["c/big"], "the catalog has the spelling"


def test_siblings_are_fallbacks_of_a_bare_name_configured_at_one_provider() -> None:
    said = replace(C, catalog="alpha", serves=("big",))
    model = resolved(snapshot(said, B), "big")
    assert [(item.id, item.provenance) for item in (*model.targets, *model.fallbacks)] == [
        ("c/big", "target"),
        ("b/vendor/big", "target"),
    ]
    assert not resolved(snapshot(said, B, siblings=False), "big").fallbacks


def test_requested_name_comes_first_and_a_cross_region_name_last() -> None:
    def chosen(configuration: Snapshot) -> str:
        return resolved(configuration, "big").targets[0].model

    assert chosen(snapshot(B)) == "vendor/big"
    assert chosen(snapshot(at("b", "beta", serves=("vendor/big-*",)))) == "vendor/big-eu"
    assert chosen(snapshot(at("b", "beta", serves=("*global",)))) == "vendor/big-global"
    assert chosen(snapshot(replace(B, serves=("big",)))) == "big", "the configuration names it"


def test_model_with_a_deployment_comes_first_and_no_other_is_a_sibling() -> None:
    deployed = at("b", "beta", deployments=("vendor/big-global",))
    assert [item.id for item in resolved(snapshot(A, deployed), "big").targets] == ["a/big", "b/vendor/big-global"]
    assert [item.id for item in resolved(snapshot(deployed, A), "vendor/big-global").targets] == ["b/vendor/big-global"]
    unlike = at("b", "beta", deployments=("big",))
    assert [item.id for item in resolved(snapshot(unlike), "big").targets] == ["b/big"]
    assert [item.id for item in resolved(snapshot(A, unlike), "BIG").targets] == ["a/big"], (
        "no name of beta's is served"
    )
    some = at("b", "beta", serves=("vendor/*",), deployments=("vendor/big-eu",))
    assert [item.model for item in resolved(snapshot(some), "big").targets] == ["vendor/big-eu"]


def test_name_that_only_a_key_has_is_a_bare_name() -> None:
    tuned = replace(provider_key("k"), deployments={"mine": "ft:big:acme", "big": "ft:big:acme"})
    keyed = replace(endpoint("a", tuned), catalog="alpha")
    assert [item.id for item in resolved(snapshot(keyed), "mine").targets] == ["a/mine"]
    assert next(item.id for item in resolved(snapshot(keyed, at("c", "gamma")), "big").targets) == "a/big"
    assert resolve(snapshot(A), "mine") is None


def test_configuration_outranks_the_catalog() -> None:
    said = at("c", "alpha", serves=("house-*",))
    assert [item.id for item in resolved(snapshot(said), "house-blend").targets] == ["c/house-blend"]
    assert resolve(snapshot(said), "big") is None
    keyed = replace(endpoint("a", provider_key("k", serves=("other",))), catalog="alpha")
    assert resolve(snapshot(keyed), "big") is None


def test_list_of_a_provider_extends_the_catalog() -> None:
    listing = replace(C, listed={"big": ("big@newest",), "brand-new": ("brand-new",)})
    model = resolved(snapshot(A, listing), "big")
    assert [item.id for item in model.targets] == ["a/big", "c/big@newest"]
    assert [item.id for item in resolved(snapshot(A, listing), "brand-new").targets] == ["c/brand-new"]


@pytest.mark.parametrize(
    ("fields", "size", "expected"),
    [
        ({}, 100, ["a/big", "b/vendor/big"]),
        ({"tools": Raw(b"[{}]")}, 100, ["a/big", "b/vendor/big"]),
        ({}, 2400, ["a/big", "b/vendor/big"]),
        ({}, 12_000, ["a/big"]),
    ],
)
def test_capable_models_come_first(fields: dict[str, Raw], size: int, expected: list[str]) -> None:
    first_b = snapshot(B, A) if fields or size > 1000 else snapshot(A, B)
    first_b = replace(first_b, pricing=replace(first_b.pricing, catalog=Catalog()))
    plan = decide(Facts(replace(call("big"), fields=fields, size=size)), FakeView(first_b), ScriptedRandom(0.0), NOW)
    assert isinstance(plan, Plan)
    assert [choice.candidate.id for choice in plan.choices] == expected


def test_name_is_resolved_once() -> None:
    configuration = snapshot(A, B)
    assert resolve(configuration, "big") is resolve(configuration, "big")
    fastest = min(repeat(lambda: resolve(configuration, "big"), number=10_000, repeat=5)) / 10_000
    assert fastest < 2e-6


def test_model_of_a_single_table_replaces_no_other_unasked() -> None:
    gamma = at("g", "gamma")
    found = resolved(snapshot(A, B, gamma), "vague")
    assert [item.id for item in (*found.targets, *found.fallbacks)] == ["a/vague"]
    named = at("b", "beta", serves=("vendor/*",))
    assert [item.id for item in resolved(snapshot(A, named), "vague").targets] == ["a/vague", "b/vendor/vague"]
    listing = replace(B, listed={"vague": ("vendor/vague",)})
    assert [item.id for item in resolved(snapshot(A, listing), "vague").targets] == ["a/vague", "b/vendor/vague"]
    assert [item.id for item in resolved(snapshot(A, B), "b/vendor/vague").targets] == ["b/vendor/vague"]
    alone = resolved(snapshot(B, gamma), "vague")
    assert [item.id for item in (*alone.targets, *alone.fallbacks)] == ["b/vendor/vague"]


def test_host_has_its_own_meaning_of_a_name_but_an_exact_id_comes_first() -> None:
    both = snapshot(at("p", "publisher"), B)
    assert [item.id for item in resolved(both, "host-meaning").targets] == ["p/host-meaning"]
    assert [item.id for item in resolved(snapshot(A, B), "host-meaning").targets] == ["b/vendor/host-meaning"]
    assert resolve(snapshot(A), "host-meaning") is None


def made_of(*models: tuple[str, str, str]) -> ModelCatalog:
    """Return a catalog of models: the provider, its own name, and the canonical name. A `?` before the own name says
    that a single table has it."""
    providers: dict[str, dict[str, object]] = {}
    names: dict[str, list[str]] = {}
    for provider, own, name in models:
        model = own.removeprefix("?")
        geography = model.partition(".")[0]
        entry = {"name": name, "vouched": 1 if own != model else 3}
        if provider == "bedrock" and geography in GEOGRAPHIES:
            entry["region"] = geography
        listed = providers.setdefault(provider, {"hosts": [f"{provider}.example"], "models": {}})["models"]
        assert isinstance(listed, dict)
        listed[model] = entry
        names.setdefault(key_of("", name), [name]).append(f"{provider}/{model}")
    outline = {"format": 1, "date": "2026-11-30", "sources": {}, "provenance": [{}], "providers": providers}
    return ModelCatalog(json.dumps({**outline, "names": names}).encode())


GEOGRAPHIES = {"us", "eu", "jp", "apac", "au", "in", "global"}
SONNET, HAIKU = "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-haiku-5"
REAL = made_of(
    *(("bedrock", f"{start}{SONNET}", "claude-sonnet-4-5") for start in ("", "us.", "eu.", "jp.", "global.")),
    *(("bedrock", f"{start}{HAIKU}", "claude-haiku-5") for start in ("eu.", "apac.", "global.")),
    ("bedrock", "us.amazon.nova-pro-v1:0", "nova-pro"),
    ("bedrock", "eu.amazon.nova-lite-v1:0", "nova-lite"),
    ("bedrock", "?moonshotai.kimi-k3.1", "kimi-k3.1"),
    ("bedrock", "in.moonshotai.kimi-k3.1", "kimi-k3.1"),
    ("bedrock", "us.moonshotai.kimi-k3.1", "kimi-k3.1@bedrock"),
    ("bedrock", "global.moonshotai.kimi-k3.1", "kimi-k3.1@bedrock"),
    ("openrouter", "deepseek/deepseek-r1", "deepseek-r1@openrouter"),
    ("openrouter", "openai/gpt-5", "gpt-5"),
    ("vertex", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
    ("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5"),
    ("openrouter", "openai/gpt-oss-120b", "gpt-oss-120b"),
    ("openrouter", "openai/gpt-oss-20b:free", "gpt-oss-20b:free"),
    ("bedrock", "?anthropic.claude-v1", "claude"),
    ("bedrock", "?amazon.titan-embed-g1", "titan-embed-g1"),
    ("together", "?meta-llama/Meta-Llama-3.1-8B", "llama-3.1-8b@together"),
    ("openai", "gpt-5", "gpt-5"),
    ("openai", "gpt-5-2025-08-07", "gpt-5"),
)


def real(*providers: str, region: str = "") -> Snapshot:
    """Return a configuration of providers of the catalog `REAL`."""
    found = {name: replace(endpoint(name), catalog=name) for name in providers}
    found = {name: replace(one, origin=replace(one.origin, host=f"{name}.example")) for name, one in found.items()}
    if "bedrock" in found:
        found["bedrock"] = replace(found["bedrock"], region=region, regions=REGIONS)
    return replace(snapshot(*found.values()), names=Names(found, REAL))


@pytest.mark.parametrize(
    ("region", "name", "expected"),
    [
        ("us-east-1", "claude-sonnet-4-5", f"us.{SONNET}"),
        ("us-east-1", SONNET, SONNET),
        ("eu-central-1", "bedrock/claude-sonnet-4-5", f"eu.{SONNET}"),
        ("ap-northeast-1", "claude-sonnet-4-5", f"jp.{SONNET}"),
        ("ap-northeast-1", "claude-haiku-5", f"apac.{HAIKU}"),
        ("ap-northeast-2", "claude-sonnet-4-5", SONNET),
        ("us-east-1", "claude-haiku-5", f"global.{HAIKU}"),
        ("us-east-1", "kimi-k3.1", "us.moonshotai.kimi-k3.1"),
        ("us-east-1", "bedrock/kimi-k3.1", "us.moonshotai.kimi-k3.1"),
        ("ap-south-1", "kimi-k3.1", "in.moonshotai.kimi-k3.1"),
        ("", "claude-sonnet-4-5", SONNET),
    ],
)
def test_profile_of_the_configured_regions_geography_comes_first(region: str, name: str, expected: str) -> None:
    assert [item.model for item in resolved(real("bedrock", region=region), name).targets] == [expected]


def test_profile_of_another_geography_is_used_only_if_the_name_states_it() -> None:
    configuration = real("bedrock", "anthropic", region="us-east-1")
    assert resolve(configuration, "nova-lite") is None
    found = resolved(configuration, "claude-haiku-5")
    assert [item.model for item in (*found.targets, *found.fallbacks)] == [f"global.{HAIKU}"]
    stated = "eu.amazon.nova-lite-v1:0"
    assert [item.model for item in resolved(configuration, f"bedrock/{stated}").targets] == [stated]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openrouter/deepseek-r1", "openrouter/deepseek/deepseek-r1"),
        ("vertex/claude-sonnet-4.5@20250929", "vertex/claude-sonnet-4-5@20250929"),
        ("anthropic/claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
        ("bedrock/anthropic.claude-sonnet-4-5", f"bedrock/us.{SONNET}"),
        ("bedrock/eu.claude-sonnet-4-5", f"bedrock/eu.{SONNET}"),
        ("bedrock/amazon.nova-pro", "bedrock/us.amazon.nova-pro-v1:0"),
        ("bedrock/claude-sonnet-4-5-20250929-v1:0", f"bedrock/us.{SONNET}"),
        ("bedrock/anthropic.claude-sonnet-9", "bedrock/anthropic.claude-sonnet-9"),
    ],
)
def test_name_after_a_provider_may_be_in_any_spelling(name: str, expected: str) -> None:
    configuration = real("openrouter", "vertex", "anthropic", "bedrock", region="us-east-1")
    assert [item.id for item in resolved(configuration, name).targets] == [expected]


def test_provider_of_a_dated_name_is_no_sibling_with_the_undated_one() -> None:
    found = resolved(real("openai", "openrouter"), "gpt-5-2025-08-07")
    assert [item.id for item in (*found.targets, *found.fallbacks)] == [
        "openai/gpt-5-2025-08-07",
        "openrouter/openai/gpt-5",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("openai/gpt-oss-120b", ["openrouter/openai/gpt-oss-120b"]),
        ("openai/claude-sonnet-4-5", []),
        ("mistral/claude-sonnet-4-5", []),
        ("openai/gpt-99", ["openai/gpt-99"]),
        ("openai/gpt-oss-20b:free", ["openrouter/openai/gpt-oss-20b:free"]),
        ("openai/gpt-oss-120b:free", ["openrouter/openai/gpt-oss-120b:free"]),
        ("openrouter/claude-sonnet-4-5", ["openrouter/claude-sonnet-4-5"]),
    ],
)
def test_prefix_of_a_publisher_leads_elsewhere_only_with_its_own_models(name: str, expected: list[str]) -> None:
    found = resolve(real("openai", "anthropic", "openrouter"), name)
    assert [item.id for item in found.targets] == expected if found is not None else not expected


def test_server_at_an_address_of_ones_own_gets_every_name() -> None:
    proxy = replace(endpoint("openai"), catalog="openai")
    configuration = replace(snapshot(proxy), names=Names({"openai": proxy}, REAL))
    for model in ("claude-sonnet-4-5", "gpt-oss-120b:free"):
        assert [item.id for item in resolved(configuration, f"openai/{model}").targets] == [f"openai/{model}"]


def test_free_variant_has_no_other_provider_than_openrouter() -> None:
    assert resolve(real("openai", "anthropic"), "openai/gpt-oss-120b:free") is None


def test_model_of_a_single_table_has_no_other_spelling() -> None:
    configuration = real("bedrock", "together", "anthropic")
    for name in ("claude", "llama-3.1-8b"):
        assert resolve(configuration, name) is None
    assert [item.id for item in resolved(configuration, "titan-embed-g1").targets] == ["bedrock/amazon.titan-embed-g1"]
