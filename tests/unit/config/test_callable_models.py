"""The models that a configuration can call, and the reasons why others cannot be called."""

from msgspec.structs import replace

from fakes.configuration import OPEN, compiled
from pointsman.config.callable_models import CallableModel, callable_models
from pointsman.domain.operations import Operation

TEXT = """
providers:
  openai:
    tags: {region: us}
    keys:
      main: env.OPENAI_API_KEY
      mini: {value: env.MINI_KEY, serves: ["gpt-4o-mini*"], tags: {region: eu}}
      old: {value: env.OLD_KEY, weight: 0}
      tuned: {value: env.TUNED_KEY, serves: [gpt-4o, mine], deployments: {gpt-4o: "ft:gpt-4o:acme", mine: "ft:x"}}
      empty: ""
  azure:
    base_url: https://x.openai.azure.com/openai/v1
    keys: {a: {value: env.AZURE_KEY, deployments: {gpt-4o: eu-4o}}, b: {value: env.B_KEY, deployments: {o3: eu-o3}}}
  groq: env.GROQ_API_KEY
models:
  chat: [{model: openai/gpt-4o}, {model: azure/gpt-4o, weight: 0}]
"""
SECRETS = {
    name: f"sk-{name}"
    for name in ("OPENAI_API_KEY", "MINI_KEY", "OLD_KEY", "TUNED_KEY", "AZURE_KEY", "B_KEY", "GROQ_API_KEY")
}


def rows() -> dict[tuple[str, str, str], CallableModel]:
    found = callable_models(compiled(OPEN + TEXT, SECRETS).snapshot, 0.0)
    by_place = {(one.provider, one.key, one.model): one for one in found}
    assert len(by_place) == len(found)
    return by_place


def test_names_prices_and_tags_of_a_callable_model() -> None:
    one = rows()["openai", "main", "gpt-4o"]
    assert (one.reason, one.sent, one.tags) == ("", "gpt-4o", ("region=us",))
    assert one.names == ("chat", "gpt-4o", "openai/gpt-4o")
    assert one.price is not None
    assert rows()["openai", "mini", "gpt-4o-mini"].tags == ("region=eu",)


def test_deployments_are_sent_under_their_own_names() -> None:
    found = rows()
    assert found["openai", "tuned", "gpt-4o"].sent == "ft:gpt-4o:acme"
    own = found["openai", "tuned", "mine"]
    assert (own.reason, own.price, own.names) == ("", None, ("mine", "openai/mine"))
    assert found["azure", "a", "gpt-4o"].names == ("gpt-4o", "azure/gpt-4o"), "its target is drained"
    assert {model for provider, _, model in found if provider == "azure"} == {"gpt-4o", "o3"}


def test_reasons_why_a_model_cannot_be_called() -> None:
    found = rows()
    assert found["openai", "mini", "gpt-4o"].reason == "it is not in `serves` of the key"
    assert found["openai", "old", "gpt-4o"].reason == "drained: the weight of the key is 0"
    assert found["openai", "empty", "gpt-4o"].reason == "no key: its value is empty"
    assert found["azure", "b", "gpt-4o"].reason == "the key has no deployment of it"
    assert found["openai", "main", "mine"].reason == "the key has no deployment of it"


def test_requirement_of_the_file_is_a_reason() -> None:
    strict = OPEN + "require: {region: eu}\n"
    found = {(one.key, one.model): one for one in callable_models(compiled(strict + TEXT, SECRETS).snapshot, 0.0)}
    assert found["mini", "gpt-4o-mini"].reason == ""
    assert "region=eu" in found["main", "gpt-4o"].reason


def test_model_without_an_operation_at_its_provider() -> None:
    snapshot = compiled(OPEN + "providers: {cohere: env.COHERE_API_KEY}", {"COHERE_API_KEY": "c"}).snapshot
    reasons = {one.model: one.reason for one in callable_models(snapshot, 0.0)}
    assert reasons["command-a-03-2025"] == reasons["embed-v4.0"] == ""
    endpoint = replace(snapshot.endpoints["cohere"], operations=frozenset[Operation]({"chat"}))
    narrow = callable_models(replace(snapshot, endpoints={"cohere": endpoint}), 0.0)
    assert {one.reason for one in narrow if one.model == "embed-v4.0"} == {
        "no operation: the gateway has no embedding of Cohere"
    }


def test_profile_of_other_regions() -> None:
    text = """
providers:
  bedrock: {region: eu-central-1, keys: {a: env.K, b: {value: env.L, deployments: {us.amazon.nova-pro-v1:0: eu.x}}}}
"""
    found = callable_models(compiled(OPEN + text, {"K": "k", "L": "l"}).snapshot, 0.0)
    at = {(one.key, one.model): one.reason for one in found}
    assert at["a", "us.amazon.nova-lite-v1:0"] == "the profile belongs to other regions than eu-central-1"
    assert at["a", "eu.amazon.nova-lite-v1:0"] == at["a", "amazon.nova-lite-v1:0"] == ""
    assert at["b", "us.amazon.nova-pro-v1:0"] == ""
    callable_at = {one.model.partition(".")[0] for one in found if one.key == "a" and not one.reason}
    assert callable_at.isdisjoint({"us", "us-gov", "jp", "au", "in", "ca", "apac"})
    assert {"eu", "global", "anthropic"} <= callable_at
