"""Providers are compiled into endpoints with a type, an address and keys."""

from datetime import UTC, datetime

import pytest

from fakes.configuration import OPEN, checked, compiled, errors, found, problem_at
from pointsman.domain.origin import Origin, secret_of
from pointsman.domain.requirements import Tag
from pointsman.domain.targets import Endpoint, candidate
from pointsman.providers import PROVIDERS
from pointsman.providers._openai_codecs import Quirks


def endpoint(text: str, name: str) -> Endpoint:
    return compiled(OPEN + text).snapshot.endpoints[name]


def test_known_name_implies_type_address_and_operations() -> None:
    found_endpoint = endpoint("providers: {openai: env.OPENAI_API_KEY}", "openai")
    assert found_endpoint.type == "openai"
    assert found_endpoint.origin == Origin("https", "api.openai.com", 443)
    assert found_endpoint.base_path == "/v1"
    assert found_endpoint.bills_unfinished is None
    assert found_endpoint.operations == PROVIDERS["openai"].operations
    (key,) = found_endpoint.keys
    assert (key.name, secret_of(key.credential).reveal(), key.weight, key.serves) == ("default", "sk-openai", 1.0, ())


def test_gemini_has_its_own_dialect_and_the_models_of_the_catalog() -> None:
    text = OPEN + "providers: {gemini: env.GEMINI_API_KEY}"
    found_endpoint = compiled(text, {"GEMINI_API_KEY": "g"}).snapshot.endpoints["gemini"]
    assert found_endpoint.origin == Origin("https", "generativelanguage.googleapis.com", 443)
    assert (found_endpoint.base_path, found_endpoint.catalog) == ("/v1beta", "gemini")
    assert (found_endpoint.dialects, found_endpoint.operations) == (
        ("gemini",),
        frozenset({"chat", "responses", "embedding"}),
    )


def test_unknown_name_with_a_type_is_compiled() -> None:
    text = """
providers:
  local:
    type: openai-compatible
    base_url: http://127.0.0.1:8000/v1
    keys: {only: {value: "", weight: 2, serves: ["smol*"], cache_domain: org}}
    serves: [smollm2]
    tags: {region: eu, certifications: [hipaa, {value: soc2, evidence: report 7, expires: 2100-01-01}]}
    bills_unfinished: prompt
"""
    found_endpoint = endpoint(text, "local")
    assert found_endpoint.type == "openai-compatible"
    assert found_endpoint.origin == Origin("http", "127.0.0.1", 8000)
    assert found_endpoint.serves == ("smollm2",)
    assert found_endpoint.bills_unfinished == "prompt"
    soc2 = Tag("soc2", "report 7", datetime(2100, 1, 1, tzinfo=UTC).timestamp())
    assert found_endpoint.tags == {"region": (Tag("eu"),), "certifications": (Tag("hipaa"), soc2)}
    (key,) = found_endpoint.keys
    assert (key.name, secret_of(key.credential).reveal(), key.weight, key.serves) == ("only", "", 2.0, ("smol*",))
    assert key.cache_domain == "org"


@pytest.mark.parametrize(
    ("fields", "output_bound", "rename"),
    [
        ("openai: {keys: {a: env.OPENAI_API_KEY}}", "max_completion_tokens", ()),
        ("openai-compatible: {base_url: 'http://127.0.0.1:8000/v1'}", "max_tokens", ()),
        ("openai-compatible: {base_url: 'https://api.openai.com/v1'}", "max_completion_tokens", ()),
        ("openai-compatible: {base_url: 'https://x.example/v1', catalog: azure}", "max_completion_tokens", ()),
        (
            "openai-compatible: {base_url: 'https://x.example/v1', catalog: azure, output_bound: max_tokens}",
            "max_tokens",
            (("max_completion_tokens", "max_tokens"),),
        ),
        (
            "openai-compatible: {base_url: 'https://x.example/v1', output_bound: max_completion_tokens}",
            "max_completion_tokens",
            (),
        ),
        ("ollama: {output_bound: max_completion_tokens}", "max_completion_tokens", ()),
        (
            "mistral: {base_url: 'https://x.example/v1', output_bound: max_completion_tokens}",
            "max_completion_tokens",
            (("seed", "random_seed"),),
        ),
    ],
)
def test_output_bound_follows_the_type_unless_it_is_set(
    fields: str, output_bound: str, rename: tuple[tuple[str, str], ...]
) -> None:
    found_endpoint = endpoint(f"providers: {{{fields}}}", fields.partition(":")[0])
    assert isinstance(found_endpoint.quirks, Quirks)
    assert (found_endpoint.quirks.output_bound, found_endpoint.quirks.rename) == (output_bound, rename)
    assert bool(found_endpoint.quirks.omit) is (found_endpoint.type == "mistral")


def test_provider_without_authentication_requires_no_fields() -> None:
    (key,) = endpoint("providers: {ollama: }", "ollama").keys
    assert secret_of(key.credential).reveal() == ""


def test_known_provider_at_another_address_requires_no_key() -> None:
    (key,) = endpoint("providers: {openai: {base_url: 'https://proxy.example/v1'}}", "openai").keys
    assert secret_of(key.credential).reveal() == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "opnai: env.OPENAI_API_KEY",
            "providers.opnai: `type` is required, because the name is not that of a known provider",
        ),
        ("x: {type: opanai}", "providers.x.type: unknown type; did you mean 'openai'?"),
        ("x: {type: zzzzzz}", "providers.x.type: unknown type; set it to one of: alibaba, anthropic"),
        (
            "x: {type: openai-compatible}",
            "providers.x: `base_url` is required, because the type openai-compatible has no default address",
        ),
        ("x: {type: vllm, base_url: 'ftp://x'}", "providers.x.base_url: the address must begin with https://"),
        (
            "openai: {}",
            "providers.openai: OpenAI requires a key; set `keys: {default: {value: env.OPENAI_API_KEY}}`",
        ),
        ("openai: env.MISSING", "providers.openai: the environment variable MISSING is not set"),
        ("openai: sk-live", "providers.openai: a secret must not be in this file; use env.NAME or file:PATH"),
        (
            "openai: {keys: {a: {value: sk-live}}}",
            "providers.openai.keys.a.value: a secret must not be in this file",
        ),
        (
            "openai: {keys: {a: env.OPENAI_API_KEY}, api_version: 2024-10-21}",
            "providers.openai.api_version: the type openai has no api_version; remove it, or set `type: azure`",
        ),
        (
            "azure: env.OPENAI_API_KEY",
            "providers.azure: `base_url` is required, because the type azure has no default address",
        ),
        (
            "azure: {base_url: 'https://x.openai.azure.com/openai/v1', deployments: {gpt-4o: a b}}",
            "providers.azure.deployments.gpt-4o: ",
        ),
        (
            "llama-cpp: ",
            "providers.llama-cpp: the provider's address, http://127.0.0.1:8080, is the gateway's own",
        ),
    ],
)
def test_invalid_providers_are_errors(text: str, problem: str) -> None:
    (message,) = errors(f"{OPEN}providers:\n  {text}\n")
    assert message.startswith(problem)
    assert "sk-live" not in message


def test_warnings_and_notes() -> None:
    outcome = checked(
        OPEN
        + """
providers:
  plain: {type: vllm, base_url: "http://10.0.0.1:8000/v1"}
  openai:
    keys:
      empty: ""
      one: env.OPENAI_API_KEY
      two: env.OPENAI_API_KEY
      idle: {value: env.GROQ_API_KEY, weight: 0}
  groq: {keys: {idle: {value: env.GROQ_API_KEY, weight: 0}}}
"""
    )
    assert outcome.compiled is not None
    assert found(outcome, "warning") == [
        "providers.plain.base_url: http:// sends prompts and the key unencrypted; use https://",
        "providers.openai.keys.empty: is empty, but OpenAI rejects requests without a key",
        "providers.openai.keys.two: is the same credential as that of the key 'one'; remove one of the two keys",
        "providers.groq.keys: every key has weight 0, so no request can use this provider; set a weight above 0",
    ]
    assert problem_at(outcome, "providers.openai.keys.idle.weight").severity == "note"


def test_deployments_are_served_under_the_names_of_their_models() -> None:
    text = """
providers:
  azure: {base_url: "https://x.openai.azure.com/openai/v1", deployments: {gpt-4o: main, my-own: tuned}}
  dated:
    type: azure
    base_url: https://x.openai.azure.com/openai
    api_version: 2024-10-21
    serves: [gpt-4o*]
    deployments: {gpt-4o: main}
"""
    outcome = checked(OPEN + text)
    assert outcome.compiled is not None
    azure, dated = outcome.compiled.snapshot.endpoints.values()
    assert (azure.catalog, azure.serves, azure.api_version) == ("azure", ("gpt-4o", "my-own"), "")
    assert azure.deployments == {"gpt-4o": "main", "my-own": "tuned"}
    assert (dated.serves, dated.deployments, dated.api_version) == (
        ("gpt-4o*", "gpt-4o"),
        {"gpt-4o": "main"},
        "2024-10-21",
    )
    assert found(outcome, "warning") == []
    (note,) = found(outcome, "note")
    assert note.startswith("providers.azure.deployments.my-own: the catalog has no such model of azure")


def test_deployments_of_keys() -> None:
    text = """
providers:
  azure:
    base_url: "https://x.openai.azure.com/openai/v1"
    deployments: {gpt-4o: main}
    keys: {a: env.OPENAI_API_KEY, b: {value: env.SECOND, deployments: {gpt-4o: eu, gpt-4o-mini: small}}}
  openai:
    keys: {a: env.OPENAI_API_KEY, b: {value: env.SECOND, deployments: {gpt-4o: "ft:gpt-4o:acme", mine: "ft:x"}}}
"""
    outcome = checked(OPEN + text, {"OPENAI_API_KEY": "sk-a", "SECOND": "sk-b"})
    assert outcome.compiled is not None
    azure, openai = outcome.compiled.snapshot.endpoints.values()
    assert azure.serves == ("gpt-4o", "gpt-4o-mini")
    assert [key.deployments for key in azure.keys] == [{"gpt-4o": "main"}, {"gpt-4o": "eu", "gpt-4o-mini": "small"}]
    assert [key.name for key in candidate(azure, "gpt-4o-mini").keys] == ["b"]
    assert [key.serves_model("o3") for key in azure.keys] == [False, False]
    assert (openai.serves, [key.serves_model("o3") for key in openai.keys]) == ((), [True, True])
    assert [candidate(openai, "gpt-4o").model_at(key) for key in openai.keys] == ["gpt-4o", "ft:gpt-4o:acme"]
    (note,) = found(outcome, "note")
    assert note.startswith("providers.openai.keys.b.deployments.mine: the catalog has no such model of openai")


def test_own_name_of_a_deployment_is_served_by_its_keys_alone() -> None:
    text = """
providers:
  openai:
    deployments: {shared: "ft:s"}
    keys:
      a: env.OPENAI_API_KEY
      b: {value: env.SECOND, deployments: {gpt-4o: "ft:gpt-4o:acme", mine: "ft:x"}}
      c: {value: env.THIRD, serves: [mine]}
"""
    endpoint = compiled(OPEN + text, {"OPENAI_API_KEY": "sk-a", "SECOND": "sk-b", "THIRD": "sk-c"}).snapshot.endpoints
    served = {
        name: [key.name for key in candidate(endpoint["openai"], name).keys]
        for name in ("mine", "shared", "gpt-4o", "o3")
    }
    assert served == {"mine": ["b", "c"], "shared": ["a"], "gpt-4o": ["a", "b"], "o3": ["a", "b"]}


def test_one_credential_may_have_two_deployments() -> None:
    keys = "a: {value: env.K, deployments: {m: one}}, b: {value: env.K, deployments: {m: two}}"
    text = OPEN + f"providers: {{openai: {{keys: {{{keys}}}}}}}"
    assert found(checked(text, {"K": "a-key"}), "warning") == []


def test_keys_of_one_model_have_one_api() -> None:
    def text(second: str) -> str:
        keys = f"a: {{value: env.K, deployments: {{mine: eu.anthropic.claude-x}}}}, b: {second}"
        return OPEN + f"providers: {{bedrock: {{region: eu-west-1, keys: {{{keys}}}}}}}"

    names = {"K": "one-key", "L": "another-key"}
    problems = errors(text("{value: env.L, deployments: {mine: eu.amazon.nova-x}}"), names)
    expected = "leads to an API other than that of another key; configure a provider for each mine"
    assert [one for one in problems if expected in one and "keys.b.deployments.mine" in one], problems
    found_keys = compiled(text("{value: env.L, deployments: {mine: us.anthropic.claude-y}}"), names).snapshot
    assert candidate(found_keys.endpoints["bedrock"], "mine").dialects == ("anthropic",)


def test_address_of_azure_without_a_version_is_a_warning() -> None:
    (message,) = found(checked(OPEN + "providers: {azure: {base_url: 'https://x.openai.azure.com/openai'}}"), "warning")
    assert message.startswith("providers.azure.base_url: the address should end with /openai/v1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm: {}", "auto"),
        ("ollama: {}", "auto"),
        ("lm-studio: {max_concurrency: 4}", 4),
        ("sglang: {max_concurrency: none}", None),
        ("openai: {keys: {a: env.OPENAI_API_KEY}}", None),
        ("openai-compatible: {base_url: 'http://127.0.0.1:8000/v1'}", None),
        ("openai-compatible: {base_url: 'http://127.0.0.1:8000/v1', max_concurrency: auto}", "auto"),
    ],
)
def test_concurrency_is_learned_for_engines_that_users_run_themselves(text: str, expected: int | str | None) -> None:
    name = text.partition(":")[0]
    assert endpoint(f"providers: {{{text}}}", name).max_concurrency == expected


def test_serves_adds_to_the_catalog_or_replaces_it() -> None:
    text = """
providers:
  openai: {keys: {k: env.OPENAI_API_KEY}, serves: [house]}
  groq: {keys: {k: env.OPENAI_API_KEY}, serves: {only: [house]}}
  both: {type: groq, keys: {k: env.OPENAI_API_KEY}, serves: {only: [house], also: [x]}}
"""
    outcome = checked(OPEN + text)
    problems = {problem.path: (problem.severity, problem.message) for problem in outcome.problems}
    severity, message = problems["providers.openai.serves"]
    assert severity == "note"
    assert message.startswith("adds to the ")
    assert message.endswith(" models that the catalog has for openai; `{only: [...]}` replaces them")
    assert problems["providers.both.serves"] == ("error", "set either `also` or `only`")
    fine = checked(OPEN + text.partition("  both")[0])
    assert fine.compiled is not None
    openai, groq = fine.compiled.snapshot.endpoints.values()
    assert (openai.serves, openai.serves_only, groq.serves, groq.serves_only) == (("house",), False, ("house",), True)


def test_name_in_serves_is_that_of_the_provider() -> None:
    text = OPEN + "providers: {openai: {keys: {k: env.OPENAI_API_KEY}, serves: {only: [%s]}}}"
    assert found(checked(text % "GPT-4O-mini"), "warning") == [
        "providers.openai.serves: 'GPT-4O-mini' is sent as it is, but openai calls this model 'gpt-4o-mini'; write that"
    ]
    for name in ("gpt-4o-mini", "gpt-*", "my-own"):
        assert not found(checked(text % name), "warning")
