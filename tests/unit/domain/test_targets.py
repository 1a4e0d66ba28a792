"""Providers, their keys and candidates."""

import pytest
from msgspec.structs import replace

from fakes.routing import endpoint, provider_key
from pointsman.domain.targets import Family, candidate


@pytest.mark.parametrize(
    ("patterns", "model", "serves"),
    [
        ((), "anything", True),
        (("gpt-*",), "gpt-4o", True),
        (("gpt-*",), "claude", False),
        (("gpt-*",), "GPT-4o", False),
        (("claude", "gpt-?"), "gpt-4", True),
        (("org/*",), "org/a/b", True),
    ],
)
def test_key_serves_models_that_match_its_patterns(patterns: tuple[str, ...], model: str, serves: bool) -> None:
    assert provider_key("k1", serves=patterns).serves_model(model) is serves


def test_candidate_has_provider_model_id_and_serving_keys() -> None:
    item = endpoint("a", provider_key("k1", serves=("x",)), provider_key("k2"), provider_key("k3", serves=("m",)))
    built = candidate(item, "m", 2.0, "trial", "fallback")
    assert built.id == "a/m"
    assert [key.name for key in built.keys] == ["k2", "k3"]
    assert (built.weight, built.variant, built.provenance) == (2.0, "trial", "fallback")
    assert candidate(item, "m").provenance == "target"


def test_server_gets_the_name_of_its_deployment() -> None:
    key = provider_key("k1")
    item = replace(endpoint("a", key), deployments={"m": "my-m"})
    assert [candidate(item, model).model_at(key) for model in ("m", "other")] == ["my-m", "other"]
    assert candidate(item, "m").model == "m"
    assert candidate(endpoint("a", key), "m").model_at(key) == "m"


def test_family_follows_the_deployments_of_a_key() -> None:
    """The key of one account may know a model by the name of an inference profile or a fine-tune."""
    special = Family("*special*", "special-api", ("special",), needs_bound=True)
    plain, tuned = provider_key("plain"), replace(provider_key("tuned"), deployments={"m": "eu.special-7"})
    for keys, expected in (((plain,), None), ((tuned,), special), ((plain, tuned), special)):
        found = candidate(replace(endpoint("a", *keys), families=(special,)), "m")
        assert found.family is expected
        assert found.needs_bound is (expected is not None)
    overridden = replace(endpoint("a", tuned), families=(special,), deployments={"n": "special"})
    assert candidate(overridden, "n").family is None


def test_deployments_of_a_key_replace_those_of_its_provider() -> None:
    plain, tuned = provider_key("plain"), replace(provider_key("tuned"), deployments={"m": "ft:m:acme"})
    item = replace(endpoint("a", plain, tuned), deployments={"m": "my-m", "n": "my-n"})
    assert [candidate(item, "m").model_at(key) for key in (plain, tuned)] == ["my-m", "ft:m:acme"]
    assert [candidate(item, "n").model_at(key) for key in (plain, tuned)] == ["my-n", "n"]
    assert [item.has_deployment(model) for model in ("m", "n", "o")] == [True, True, False]


def test_key_with_deployments_only_serves_no_other_model() -> None:
    only = replace(provider_key("only"), deployments={"m": "my-m"}, is_deployed_only=True)
    item = endpoint("a", only, provider_key("any"))
    assert [key.name for key in candidate(item, "m").keys] == ["only", "any"]
    assert [key.name for key in candidate(item, "n").keys] == ["any"]
    narrow = replace(only, serves=("x*",))
    assert not narrow.serves_model("m")


def test_key_does_not_serve_a_name_of_another_key() -> None:
    plain, tuned = replace(provider_key("plain"), lacks=frozenset({"mine"})), provider_key("tuned")
    item = endpoint("a", plain, tuned)
    assert [[key.name for key in candidate(item, model).keys] for model in ("mine", "m")] == [
        ["tuned"],
        ["plain", "tuned"],
    ]
