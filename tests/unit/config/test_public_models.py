"""Public names are compiled into targets and fallbacks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.configuration import OPEN, checked, compiled, errors, found
from pointsman.config.problems import Severity
from pointsman.domain.snapshots import PublicModel
from pointsman.domain.targets import Strategy

PROVIDERS = (
    OPEN
    + """
providers:
  openai: env.OPENAI_API_KEY
  groq: {keys: {small: {value: env.GROQ_API_KEY, serves: ["llama-*"]}}}
  one: {type: vllm, base_url: "http://127.0.0.1:9001/v1", serves: ["qwen*"]}
  two: {type: vllm, base_url: "http://127.0.0.1:9002/v1", serves: ["qwen*"]}
models:
"""
)


def model(text: str) -> PublicModel:
    (found_model,) = compiled(f"{PROVIDERS}  {text}\n").snapshot.models.values()
    return found_model


def test_list_of_targets_is_an_order_of_priority() -> None:
    quick = model("quick: [openai/gpt-4o, one/org/model]")
    assert quick.strategy == Strategy("priority")
    assert [(item.id, item.model, item.weight) for item in quick.targets] == [
        ("openai/gpt-4o", "gpt-4o", 1.0),
        ("one/org/model", "org/model", 1.0),
    ]


def test_full_form_is_compiled() -> None:
    chat = model(
        "chat: {strategy: weighted, targets: [{model: openai/a, weight: 80, variant: x}, one/b], fallbacks: [two/c]}"
    )
    assert chat.strategy == Strategy("weighted")
    assert [(item.id, item.weight, item.variant) for item in chat.targets] == [
        ("openai/a", 80.0, "x"),
        ("one/b", 1.0, None),
    ]
    assert [(item.id, item.provenance) for item in chat.fallbacks] == [("two/c", "fallback")]


def test_bare_name_splits_its_weight_between_providers() -> None:
    chat = model("chat: {strategy: weighted, targets: [{model: qwen3, weight: 10}, {model: openai/a, weight: 30}]}")
    assert [(item.id, item.weight) for item in chat.targets] == [
        ("one/qwen3", 5.0),
        ("two/qwen3", 5.0),
        ("openai/a", 30.0),
    ]


def test_provider_serves_the_models_of_its_keys() -> None:
    assert [item.id for item in model("chat: llama-3").targets] == ["groq/llama-3"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: opnai/x", "models.a: unknown provider 'opnai'; did you mean 'openai'?"),
        ("a: [zzzzzz/x]", "models.a[0]: unknown provider 'zzzzzz'; the providers are groq, one, openai, two"),
        ("a: [openai/]", "models.a[0]: add a model after the slash"),
        (
            "a: [gpt-4oo]",
            (
                "models.a[0]: no configured provider serves 'gpt-4oo'; "
                "write provider/model with one of groq, one, openai, two; did you mean 'gpt-4o'?"
            ),
        ),
        ("a: [a]", "models.a[0]: 'a' is a public name; targets and fallbacks must be provider/model"),
        (
            "a: {targets: [openai/x], fallbacks: [a]}",
            "models.a.fallbacks[0]: 'a' is a public name; targets and fallbacks must be provider/model",
        ),
        (
            "openai/gpt: [openai/gpt]",
            "models.\"openai/gpt\": hides a model of the provider 'openai'",
        ),
        (
            "a: {strategy: wieghted, targets: [openai/x]}",
            (
                "models.a.strategy: unknown strategy 'wieghted'; use one of: "
                "adaptive, cheapest, fastest, least-busy, priority, round-robin, weighted; did you "
                "mean 'weighted'?"
            ),
        ),
        (
            "a: {targets: [{model: openai/x, weight: 0}]}",
            "models.a.targets: every target has weight 0, so no request can be served; set a weight above 0",
        ),
    ],
)
def test_invalid_public_models_are_errors(text: str, problem: str) -> None:
    messages = errors(f"{PROVIDERS}  {text}\n")
    assert messages[0].startswith(problem)


def test_unknown_default_strategy_is_an_error() -> None:
    (message,) = errors(OPEN + "providers: {openai: env.OPENAI_API_KEY}\nrouting: {strategy: quickest}")
    assert message == (
        "routing.strategy: unknown strategy 'quickest'; use one of: "
        "adaptive, cheapest, fastest, least-busy, priority, round-robin, weighted"
    )


def test_faulty_provider_is_reported_only_once() -> None:
    text = OPEN + "providers: {openai: env.MISSING}\nmodels: {a: [openai/x], b: [bare]}"
    assert errors(text) == ["providers.openai: the environment variable MISSING is not set"]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("a: [openai/x, openai/x]", "models.a[1]: duplicate target openai/x; remove one of the two"),
        (
            "a: {targets: [openai/x], fallbacks: [openai/x]}",
            "models.a.fallbacks[0]: openai/x is already tried before this fallback; remove the fallback",
        ),
        (
            "a: {targets: [openai/x], fallbacks: [one/x, one/x]}",
            "models.a.fallbacks[1]: one/x is already tried before this fallback; remove the fallback",
        ),
        (
            "a: {strategy: priority, targets: [{model: openai/x, weight: 3}]}",
            "models.a.targets[0].weight: has no effect with the strategy `priority`; set `strategy: weighted`",
        ),
        ("a: [groq/gemma]", "models.a[0]: groq/gemma is never used: no key of groq with a weight above 0 serves it"),
        (
            "qwen-x: [openai/x]",
            "models.qwen-x: hides the model with this name at one, two; only provider/model reaches that model",
        ),
    ],
)
def test_targets_without_effect_are_warnings(text: str, warning: str) -> None:
    outcome = checked(f"{PROVIDERS}  {text}\n")
    assert outcome.compiled is not None
    assert found(outcome, "warning") == [warning]


def test_misspelt_model_is_a_warning_with_the_nearest_name() -> None:
    outcome = checked(f"{PROVIDERS}  a: [openai/gpt-4o-minni]\n")
    warning = "models.a[0]: the catalog has no model 'gpt-4o-minni' of openai; did you mean 'gpt-4o-mini'?"
    assert found(outcome, "warning") == [warning]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a: {targets: [one/m, two/m]}", "set `strategy: priority` to keep the order of the list"),
        ("a: {targets: [{model: one/m, weight: 3}, two/m]}", "set `strategy: weighted` to keep fixed shares"),
        ("a: [one/m, two/m]", ""),
        ("a: {targets: [one/m]}", ""),
        ("a: {strategy: adaptive, targets: [one/m, two/m]}", ""),
    ],
)
def test_default_strategy_is_noted_where_it_ignores_the_order_of_targets(name: str, told: str) -> None:
    outcome = checked(f"{PROVIDERS}  {name}\n")
    notes = [note for note in found(outcome, "note") if "adaptive" in note]
    assert [note.startswith("models.a: ") and note.endswith(told) for note in notes] == ([True] if told else [])
    explicit = checked(f"{PROVIDERS}  {name}\nrouting: {{strategy: adaptive}}\n")
    assert not any("default" in note for note in found(explicit, "note"))


@pytest.mark.parametrize(
    ("left", "severity", "message"),
    [
        (31, "note", "openai retires gpt-99 in 31 days, on 2030-06-15, according to the catalog"),
        (
            30,
            "warning",
            "openai retires gpt-99 in 30 days, on 2030-06-15, according to the catalog; choose a newer model",
        ),
        (1, "warning", "openai retires gpt-99 on 2030-06-15, according to the catalog; choose a newer model"),
        (-5, "warning", "openai has retired gpt-99 on 2030-06-15, according to the catalog; choose a newer model"),
    ],
)
def test_retirement_within_a_month_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, severity: Severity, message: str
) -> None:
    day = datetime(2030, 6, 15, 12, tzinfo=UTC)
    monkeypatch.setattr("pointsman.config.public_models.time", (day - timedelta(days=left)).timestamp)
    (tmp_path / "over.yaml").write_text("models: {openai/gpt-99: {name: gpt-99, retires_on: 2030-06-15}}")
    text = OPEN + "providers: {openai: env.OPENAI_API_KEY}\nmodels: {a: [openai/gpt-99]}\ncatalog: {overlay: over.yaml}"
    (told,) = found(checked(text, folder=tmp_path), severity)
    assert told.startswith(f"models.a[0]: {message}")


def test_bare_name_resolves_to_each_provider_with_it_in_the_catalog() -> None:
    text = OPEN + "providers: {openai: env.OPENAI_API_KEY, openrouter: env.GROQ_API_KEY, groq: env.GROQ_API_KEY}\n"
    model = compiled(text + "models: {a: [gpt-4.1-mini]}").snapshot.models["a"]
    assert [item.id for item in model.targets] == ["openai/gpt-4.1-mini", "openrouter/openai/gpt-4.1-mini"]
    assert not model.fallbacks


def test_siblings_come_after_declared_fallbacks() -> None:
    text = OPEN + "providers: {openai: env.OPENAI_API_KEY, openrouter: env.GROQ_API_KEY, groq: env.GROQ_API_KEY}\n"
    text += "models: {a: {strategy: priority, targets: [openai/gpt-4.1-mini], fallbacks: [groq/qwen/qwen3.6-27b]}}\n"
    alone = compiled(text).snapshot.models["a"]
    assert [item.id for item in alone.fallbacks] == ["groq/qwen/qwen3.6-27b"], "siblings are off by default"
    model = compiled(text.replace("fallbacks", "siblings: true, fallbacks")).snapshot.models["a"]
    assert [(item.id, item.provenance) for item in model.fallbacks] == [
        ("groq/qwen/qwen3.6-27b", "fallback"),
        ("openrouter/openai/gpt-4.1-mini", "sibling"),
    ]


def test_global_siblings_setting_is_a_warning_with_public_names() -> None:
    text = PROVIDERS + "  a: [openai/gpt-4o]\n"
    assert not found(checked(text + "routing: {siblings: false}\n"), "warning")
    (warning,) = found(checked(text + "routing: {siblings: true}\n"), "warning")
    assert warning.startswith("routing.siblings: applies only to bare names")
    assert "`siblings: true` in a public name" in warning


def test_public_name_may_set_timeouts_failover_and_response_model() -> None:
    assert model("a: [openai/gpt-4o]").routing is None
    text = "a: {targets: [{model: openai/gpt-4o, timeouts: {response_s: 7}}, one/x], fallbacks: [two/x], "
    text += "timeouts: {response_s: 20, stall_s: 9}, failover: {fallback_on: [quota], first_token_s: 4}, "
    own = model(text + "response_model: requested}")
    routing = own.routing
    assert routing is not None
    assert (routing.timeouts.response_s, routing.timeouts.stall_s, routing.timeouts.stream_head_s) == (20, 9, 30)
    assert (sorted(routing.failover.fallback_on), routing.failover.first_token_s) == (["quota"], 4)
    assert routing.response_model == "requested"
    assert [item.response_s for item in own.targets] == [7, None]


def test_unset_fields_of_a_public_name_follow_routing() -> None:
    text = PROVIDERS + "  a: {targets: [openai/gpt-4o], timeouts: {stall_s: 9}}\n"
    text += "routing: {max_attempts: 2, timeouts: {stream_head_s: 4}, failover: {fallback_on: [provider]}}\n"
    snapshot = compiled(text).snapshot
    routing = snapshot.models["a"].routing
    assert routing is not None
    assert routing.max_attempts == 2
    assert (routing.timeouts.stall_s, routing.timeouts.stream_head_s) == (9, 4)
    assert routing.failover == snapshot.routing.failover
    assert routing.failover.fallback_on == {"provider"}


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("routing: {failover: {fallback_on: [quotas]}}", "routing.failover.fallback_on[0]"),
        ("routing: {failover: {fallback_on: []}}", "routing.failover.fallback_on"),
        ("routing: {failover: {stream_recovery: resume}}", "routing.failover.stream_recovery"),
        ("models: {a: {targets: [openai/x], response_model: other}}", "models.a.response_model"),
    ],
)
def test_invalid_choices_are_errors(text: str, start: str) -> None:
    (error,) = errors(f"{OPEN}providers: {{openai: env.OPENAI_API_KEY}}\n{text}\n")
    assert error.startswith(start)


def test_drained_and_unknown_targets_are_notes() -> None:
    outcome = checked(f"{PROVIDERS}  a: {{targets: [openai/x, {{model: groq/gemma, weight: 0}}]}}\n")
    assert found(outcome, "note") == [
        "providers.groq.keys.small.serves: matches no model that this file configures for the provider",
        "models.a.targets[0]: the catalog has no model 'x' of openai",
        "models.a.targets[1].weight: weight 0: the target is drained",
        "models.a.targets[1].model: the catalog has no model 'gemma' of groq",
    ]


def test_key_that_serves_a_deployed_model_is_not_idle() -> None:
    keys = "keys: {a: {value: env.OPENAI_API_KEY, serves: [my-tune/x], deployments: {my-tune/x: d}}}"
    text = f"{OPEN}providers: {{openai: {{{keys}}}}}\nmodels: {{m: openai/gpt-4o}}\n"
    assert not [one for one in found(checked(text), "note") if "matches no model" in one]


def test_headers_that_strategies_read_are_in_the_snapshot() -> None:
    sticky = "strategy: {{weighted: {{sticky: {}}}}}, targets: [openai/a, one/b]"
    text = f"{PROVIDERS}  chat: {{{sticky.format('header:x-user')}}}\n  other: {{{sticky.format('session')}}}\n"
    assert compiled(text).snapshot.read_headers == ("x-user",)


def test_fallbacks_for_causes_come_before_those_for_all_purposes() -> None:
    text = "chat: {targets: [openai/a, one/b], fallbacks: [two/c, two/d], fallbacks_for: "
    chat = model(text + "{refusal: [one/e, two/d, one/b], content_filter: [one/e]}}")
    assert [(item.id, sorted(item.after)) for item in chat.targets] == [("openai/a", []), ("one/b", ["refusal"])]
    usual = ["context_length", "credential", "model_missing", "provider", "quota"]
    assert [(item.id, sorted(item.after)) for item in chat.fallbacks] == [
        ("one/e", ["content_filter", "refusal"]),
        ("two/c", []),
        ("two/d", sorted([*usual, "refusal"])),
    ]
    assert all(item.provenance == "fallback" for item in chat.fallbacks)


def test_mistakes_in_fallbacks_for_causes_are_errors_with_their_place() -> None:
    for text, place in (
        ("{refusal: [nowhere/x]}", "models.a.fallbacks_for.refusal[0]"),
        ("{refusals: [one/x]}", "models.a.fallbacks_for"),
        ("{refusal: []}", "models.a.fallbacks_for.refusal"),
    ):
        found_errors = errors(PROVIDERS + f"  a: {{targets: [openai/x], fallbacks_for: {text}}}\n")
        assert any(one.startswith(place) for one in found_errors), found_errors
