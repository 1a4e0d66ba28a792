"""The candidates of a name, and the verdict on each of them."""

import random

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import NOW, FakeView, ScriptedRandom, call, endpoint, plan_for, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts, RequestHead
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import candidate
from pointsman.engine.live import Live
from pointsman.routing.decide import decide

A, B, C = (endpoint(name) for name in "abc")


def rejection(call: Call, configuration: Snapshot) -> Failure:
    decision = decide(Facts(call), FakeView(configuration), ScriptedRandom(), NOW)
    assert isinstance(decision, Failure)
    return decision


def ids(plan: Plan) -> list[str]:
    return [choice.candidate.id for choice in plan.choices]


def ids_for(call: Call, configuration: Snapshot) -> list[str]:
    return ids(plan_for(call, FakeView(configuration)))


CHAT = snapshot([A, B, C], [candidate(A, "m"), candidate(B, "m")], [candidate(C, "m", provenance="fallback")])


def test_public_name_lists_its_targets_before_its_fallbacks() -> None:
    plan = plan_for(call(), FakeView(CHAT))
    assert ids(plan) == ["a/m", "b/m", "c/m"]
    assert plan.source == "model chat"
    assert (plan.made_at, plan.deadline, plan.max_attempts) == (NOW, NOW + 600, 5)


def test_public_name_outranks_a_provider_of_the_same_name() -> None:
    configuration = snapshot([A], [candidate(A, "m")])
    configuration.models["a/x"] = configuration.models["chat"]
    assert ids_for(call("a/x"), configuration) == ["a/m"]


def test_call_without_an_allowed_target_is_rejected_each_time() -> None:
    entries = {"a": ProviderEntry(provider="a", allow_models=("other",))}
    facts = Facts(call("a/m"), VirtualKey(name="k", digest=b"", entries=entries))
    live = Live(CHAT)
    for _ in range(2):
        rejected = decide(facts, live, ScriptedRandom(), NOW)
        assert isinstance(rejected, Failure)
        assert rejected.kind is failures.MODEL_NOT_ALLOWED


def test_first_slash_separates_provider_and_model() -> None:
    assert ids_for(call("b/org/name"), CHAT) == ["b/org/name"]


def test_bare_name_has_every_provider_configured_to_serve_it() -> None:
    by_provider = endpoint("p", serves=("gpt-*",))
    by_key = endpoint("k", provider_key("k1", serves=("gpt-4o",)))
    configuration = snapshot([A, by_provider, by_key])
    assert ids_for(call("gpt-4o"), configuration) == ["p/gpt-4o", "k/gpt-4o"]
    assert ids_for(call("gpt-5"), configuration) == ["p/gpt-5"]


def test_fallbacks_of_the_request_replace_those_of_the_name() -> None:
    assert ids_for(call(fallbacks=("c/x", "a/y")), CHAT) == ["a/m", "b/m", "c/x", "a/y"]


def test_fallback_may_be_a_public_name() -> None:
    plan = plan_for(call("c/x", fallbacks=("chat",)), FakeView(CHAT))
    assert ids(plan) == ["c/x", "a/m", "b/m"]
    assert [choice.candidate.provenance for choice in plan.choices] == ["target", "fallback", "fallback"]


def test_allow_models_applies_to_fallbacks_of_a_request() -> None:
    key = VirtualKey(name="k", digest=b"", allow_models=("chat", "b/*"))
    view = FakeView(CHAT)

    def decided(*fallbacks: str) -> Plan | Failure:
        return decide(Facts(call(fallbacks=fallbacks), key), view, ScriptedRandom(), NOW)

    rejected = decided("b/x", "a/y")
    assert isinstance(rejected, Failure)
    assert (rejected.kind, rejected.param) == (failures.MODEL_NOT_ALLOWED, "fallbacks[1]")
    assert "'a/y'" in rejected.message
    allowed, declared = decided("b/x"), decided()
    assert isinstance(allowed, Plan)
    assert ids(allowed) == ["a/m", "b/m", "b/x"]
    assert isinstance(declared, Plan)
    assert ids(declared) == ["a/m", "b/m", "c/m"]  # the fallbacks of the configuration are the operator's choice


def test_provider_rights_of_a_key_apply_to_fallbacks_of_a_request() -> None:
    entries = {"a": ProviderEntry("a"), "b": ProviderEntry("b", allow_models=("m",))}
    request = call(fallbacks=("c/m", "b/secret", "b/m"))
    plan = decide(
        Facts(request, VirtualKey(name="k", digest=b"", entries=entries)), FakeView(CHAT), ScriptedRandom(), NOW
    )
    assert isinstance(plan, Plan)
    assert ids(plan) == ["a/m", "b/m"]
    assert {verdict.candidate: verdict.reason.code for verdict in plan.verdicts} == {
        "c/m": "provider_not_allowed",
        "b/secret": "model_not_allowed",
    }


def test_virtual_key_may_be_limited_to_some_keys_of_a_provider() -> None:
    """This holds for targets, fallbacks of the request, weights of the key, and stored objects."""
    two = endpoint("a", provider_key("prod", 9), provider_key("dev", 1), provider_key("other", serves=("x",)))
    configuration = snapshot([two, B], [candidate(two, "m"), candidate(B, "m")])

    def keys_of(call: Call, weight: float | None = None) -> dict[str, list[str]]:
        entries = {"a": ProviderEntry("a", weight, keys=frozenset({"dev"})), "b": ProviderEntry("b", weight)}
        plan = decide(
            Facts(call, VirtualKey(name="mine", digest=b"", entries=entries)),
            FakeView(configuration),
            ScriptedRandom(),
            NOW,
        )
        assert isinstance(plan, Plan)
        return {choice.candidate.id: [key.name for key in choice.keys] for choice in plan.choices}

    assert keys_of(call()) == {"a/m": ["dev"], "b/m": ["k1"]}
    assert keys_of(call(), weight=1.0) == {"a/m": ["dev"], "b/m": ["k1"]}
    assert keys_of(call("b/m", fallbacks=("a/m",))) == {"a/m": ["dev"], "b/m": ["k1"]}
    assert keys_of(call("a/m", stateful=True)) == {"a/m": ["dev"]}
    held = VirtualKey(name="mine", digest=b"", entries={"a": ProviderEntry("a", keys=frozenset({"other"}))})
    rejected = decide(Facts(call("a/m"), held), FakeView(configuration), ScriptedRandom(), NOW)
    assert isinstance(rejected, Failure)
    assert rejected.kind is failures.MODEL_NOT_ALLOWED
    assert "may use only the keys other of provider a, and none of them serves m" in rejected.message


def test_candidate_named_twice_is_in_the_plan_once() -> None:
    assert ids_for(call("a/m", fallbacks=("a/m", "b/m", "b/m", "chat")), CHAT) == ["a/m", "b/m"]


def test_named_provider_narrows_a_public_name() -> None:
    assert ids_for(call(provider="b"), CHAT) == ["b/m"]


@pytest.mark.parametrize("model", ["x", "c/x"])
def test_named_provider_accepts_any_model_with_or_without_its_prefix(model: str) -> None:
    assert ids_for(call(model, provider="c"), CHAT) == ["c/x"]


def test_path_without_a_model_uses_the_only_provider_that_supports_it() -> None:
    chat_only = endpoint("a", operations=frozenset({"chat"}))
    configuration = snapshot([chat_only, B])
    assert ids_for(call("", "file"), configuration) == ["b/"]
    assert rejection(call("", "chat"), configuration).kind is failures.INVALID_REQUEST


@pytest.mark.parametrize(
    ("call", "kind", "expected"),
    [
        (call("nothing"), failures.MODEL_NOT_FOUND, "chat"),
        (call("a/"), failures.MODEL_NOT_FOUND, "'a/'"),
        (call("z/m"), failures.MODEL_NOT_FOUND, "a, b, c"),
        (call(fallbacks=("a/m", "nothing")), failures.MODEL_NOT_FOUND, "nothing"),
        (call(provider="z"), failures.INVALID_REQUEST, "'z'"),
        (call("m", provider="z"), failures.INVALID_REQUEST, "a, b, c"),
    ],
)
def test_unknown_name_is_rejected_with_the_valid_names(call: Call, kind: Kind, expected: str) -> None:
    rejected = rejection(call, CHAT)
    assert rejected.kind is kind
    assert expected in rejected.message


def test_invalid_fallback_is_named_by_its_index() -> None:
    assert rejection(call(fallbacks=("a/m", "nothing")), CHAT).param == "fallbacks[1]"


def test_long_lists_of_names_are_cut() -> None:
    configuration = snapshot([endpoint(f"p{number:02}") for number in range(15)])
    assert "p11 and 3 more" in rejection(call("nothing"), configuration).message


def test_zero_weight_target_is_excluded_with_its_reason() -> None:
    plan = plan_for(call(), FakeView(snapshot([A, B], [candidate(A, "m", 0), candidate(B, "m")])))
    assert ids(plan) == ["b/m"]
    assert [(item.candidate, item.policy) for item in plan.verdicts] == [("a/m", "drained")]


def test_candidate_with_an_open_breaker_follows_the_fallbacks() -> None:
    view = FakeView(CHAT)
    view.open_breaker("a/m", NOW + 1)
    plan = plan_for(call(), view)
    assert ids(plan) == ["b/m", "c/m", "a/m"]
    assert plan.verdicts[0].reason.is_last_resort


def test_plan_with_every_breaker_open_begins_with_the_next_to_recover() -> None:
    view = FakeView(CHAT)
    for name, until in (("a/m", NOW + 9), ("b/m", NOW + 1), ("c/m", NOW + 5)):
        view.open_breaker(name, until)
    assert ids(plan_for(call(), view)) == ["b/m", "c/m", "a/m"]


def test_open_breaker_does_not_override_a_rule_that_excludes_a_candidate() -> None:
    unable = endpoint("a", operations=frozenset({"chat"}))
    keyless = endpoint("c", provider_key("k1", serves=("other",)))
    targets = [candidate(unable, "m"), candidate(B, "m"), candidate(keyless, "m")]
    view = FakeView(snapshot([unable, B, keyless], targets))
    view.open_breaker("a/m", NOW + 1)
    view.open_breaker("c/m", NOW + 1)
    plan = plan_for(call(operation="embedding"), view)
    assert ids(plan) == ["b/m"]
    assert [item.reason.code for item in plan.verdicts] == ["unsupported_operation", "no_key"]


def test_rejection_lists_the_reason_of_every_candidate() -> None:
    unable = endpoint("a", operations=frozenset({"chat"}))
    configuration = snapshot([unable, B], [candidate(unable, "m"), candidate(B, "m", 0)])
    rejected = rejection(call(operation="embedding"), configuration)
    assert rejected.kind is failures.NO_TARGET
    assert "does not support embedding" in rejected.message
    assert "weight is 0" in rejected.message
    only_unable = snapshot([unable], [candidate(unable, "m")])
    assert rejection(call(operation="embedding"), only_unable).kind is failures.UNSUPPORTED_OPERATION


def test_strategy_of_the_name_outranks_the_default() -> None:
    targets = [candidate(A, "m", 1), candidate(B, "m", 99)]
    weighted = snapshot([A, B], targets, strategy="weighted")
    assert plan_for(call(), FakeView(weighted), ScriptedRandom(0.5)).strategy == "weighted"
    assert ids(plan_for(call(), FakeView(weighted), ScriptedRandom(0.5))) == ["b/m", "a/m"]
    assert plan_for(call(), FakeView(snapshot([A, B], targets))).strategy == "priority"


def test_time_limit_of_the_client_replaces_the_default() -> None:
    assert plan_for(call(timeout_s=3), FakeView(CHAT)).deadline == NOW + 3


def test_client_may_shorten_the_time_limit_but_not_extend_it() -> None:
    assert plan_for(call(timeout_s=3600), FakeView(CHAT)).deadline == NOW + 600


def test_keys_are_drawn_by_weight_and_zero_weight_keys_are_unused() -> None:
    two = endpoint("a", provider_key("k1", 3), provider_key("k2", 1), provider_key("k3", 0))
    view = FakeView(snapshot([two], [candidate(two, "m")]))
    rng = random.Random(7)
    facts = Facts(call())
    first = {"k1": 0, "k2": 0}
    for _ in range(4000):
        plan = decide(facts, view, rng, NOW)
        assert isinstance(plan, Plan)
        assert len(plan.choices[0].keys) == 2
        first[plan.choices[0].keys[0].name] += 1
    assert abs(first["k1"] / 4000 - 0.75) < 0.03


def test_keys_that_do_not_serve_the_model_are_excluded() -> None:
    two = endpoint("a", provider_key("k1", serves=("other",)), provider_key("k2", serves=("m*",)))
    plan = plan_for(call(), FakeView(snapshot([two], [candidate(two, "m")])))
    assert [key.name for key in plan.choices[0].keys] == ["k2"]


def test_stateful_call_always_uses_the_heaviest_key() -> None:
    two = endpoint("a", provider_key("k1", 1), provider_key("k3", 2), provider_key("k2", 2))
    view = FakeView(snapshot([two], [candidate(two, "m")]))
    for number in (0.0, 0.5, 0.999):
        plan = plan_for(call(stateful=True), view, ScriptedRandom(number))
        assert plan.pinned
        assert [key.name for key in plan.choices[0].keys] == ["k2"]


@pytest.mark.parametrize(
    ("field", "value", "is_pinned"),
    [
        ("input", b'"hi"', False),
        ("store", b"false", False),
        ("store", b"true", True),
        ("background", b"true", True),
        ("previous_response_id", b'"resp_1"', True),
        ("conversation", b'"conv_1"', True),
    ],
)
def test_response_is_pinned_only_if_it_needs_stored_objects(field: str, value: bytes, is_pinned: bool) -> None:
    item = replace(endpoint("a"), dialects=("openai-responses",))
    head = RequestHead(path="/responses", dialect="openai-responses")
    fields = {"model": Raw(b'"a/m"'), "input": Raw(b'"hi"'), field: Raw(value)}
    request = replace(call(operation="responses", stateful=True), head=head, fields=fields)
    view = FakeView(snapshot([item], [candidate(item, "m")]))
    assert plan_for(request, view).pinned is is_pinned
