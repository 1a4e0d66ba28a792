"""Which candidates a name stands for, and what becomes of each of them."""

import random

import pytest

from fakes.routing import NOW, FakeView, ScriptedDice, call, endpoint, plan_for, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Call, Facts
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import candidate
from pointsman.engine.live import Live
from pointsman.routing.decide import decide

A, B, C = (endpoint(name) for name in "abc")


def refusal(asked: Call, configuration: Snapshot) -> Failure:
    decision = decide(Facts(asked), FakeView(configuration), ScriptedDice(), NOW)
    assert isinstance(decision, Failure)
    return decision


def ids(plan: Plan) -> list[str]:
    return [choice.candidate.id for choice in plan.choices]


def ids_for(asked: Call, configuration: Snapshot) -> list[str]:
    return ids(plan_for(asked, FakeView(configuration)))


CHAT = snapshot([A, B, C], [candidate(A, "m"), candidate(B, "m")], [candidate(C, "m", provenance="fallback")])


def test_a_public_name_brings_its_targets_and_then_its_fallbacks() -> None:
    plan = plan_for(call(), FakeView(CHAT))
    assert ids(plan) == ["a/m", "b/m", "c/m"]
    assert plan.source == "model chat"
    assert (plan.made_at, plan.deadline, plan.max_attempts) == (NOW, NOW + 600, 5)


def test_a_public_name_wins_over_a_provider_of_the_same_name() -> None:
    configuration = snapshot([A], [candidate(A, "m")])
    configuration.models["a/x"] = configuration.models["chat"]
    assert ids_for(call("a/x"), configuration) == ["a/m"]


def test_a_call_that_nothing_may_serve_is_rejected_each_time_it_comes() -> None:
    entries = {"a": ProviderEntry(provider="a", allow_models=("other",))}
    facts = Facts(call("a/m"), VirtualKey(name="k", digest=b"", entries=entries))
    live = Live(CHAT)
    for _ in range(2):
        refused = decide(facts, live, ScriptedDice(), NOW)
        assert isinstance(refused, Failure)
        assert refused.kind is failures.MODEL_NOT_ALLOWED


def test_provider_and_model_may_be_named_together_and_further_slashes_belong_to_the_model() -> None:
    assert ids_for(call("b/org/name"), CHAT) == ["b/org/name"]


def test_a_bare_name_goes_to_every_provider_said_to_serve_it() -> None:
    by_provider = endpoint("p", serves=("gpt-*",))
    by_key = endpoint("k", provider_key("k1", serves=("gpt-4o",)))
    configuration = snapshot([A, by_provider, by_key])
    assert ids_for(call("gpt-4o"), configuration) == ["p/gpt-4o", "k/gpt-4o"]
    assert ids_for(call("gpt-5"), configuration) == ["p/gpt-5"]


def test_fallbacks_of_the_request_replace_those_of_the_name() -> None:
    assert ids_for(call(fallbacks=("c/x", "a/y")), CHAT) == ["a/m", "b/m", "c/x", "a/y"]


def test_a_fallback_may_be_a_public_name() -> None:
    plan = plan_for(call("c/x", fallbacks=("chat",)), FakeView(CHAT))
    assert ids(plan) == ["c/x", "a/m", "b/m"]
    assert [choice.candidate.provenance for choice in plan.choices] == ["target", "fallback", "fallback"]


def test_a_key_asks_for_the_fallbacks_of_a_request_as_it_asks_for_its_model() -> None:
    key = VirtualKey(name="k", digest=b"", allow_models=("chat", "b/*"))
    view = FakeView(CHAT)

    def decided(*fallbacks: str) -> Plan | Failure:
        return decide(Facts(call(fallbacks=fallbacks), key), view, ScriptedDice(), NOW)

    refused = decided("b/x", "a/y")
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.param) == (failures.MODEL_NOT_ALLOWED, "fallbacks[1]")
    assert "'a/y'" in refused.message
    allowed, declared = decided("b/x"), decided()
    assert isinstance(allowed, Plan)
    assert ids(allowed) == ["a/m", "b/m", "b/x"]
    assert isinstance(declared, Plan)
    assert ids(declared) == ["a/m", "b/m", "c/m"]  # what the configuration has behind the name is not asked for


def test_what_a_key_may_use_of_a_provider_holds_for_fallbacks_of_a_request() -> None:
    entries = {"a": ProviderEntry("a"), "b": ProviderEntry("b", allow_models=("m",))}
    asked = call(fallbacks=("c/m", "b/secret", "b/m"))
    plan = decide(Facts(asked, VirtualKey(name="k", digest=b"", entries=entries)), FakeView(CHAT), ScriptedDice(), NOW)
    assert isinstance(plan, Plan)
    assert ids(plan) == ["a/m", "b/m"]
    assert {verdict.candidate: verdict.reason.code for verdict in plan.verdicts} == {
        "c/m": "provider_not_allowed",
        "b/secret": "model_not_allowed",
    }


def test_a_virtual_key_may_be_bound_to_some_of_a_providers_keys() -> None:
    """In targets, in fallbacks of the request, with weights of its own, and for what an account keeps."""
    two = endpoint("a", provider_key("prod", 9), provider_key("dev", 1), provider_key("other", serves=("x",)))
    configuration = snapshot([two, B], [candidate(two, "m"), candidate(B, "m")])

    def keys_of(asked: Call, weight: float | None = None) -> dict[str, list[str]]:
        entries = {"a": ProviderEntry("a", weight, keys=frozenset({"dev"})), "b": ProviderEntry("b", weight)}
        plan = decide(
            Facts(asked, VirtualKey(name="mine", digest=b"", entries=entries)),
            FakeView(configuration),
            ScriptedDice(),
            NOW,
        )
        assert isinstance(plan, Plan)
        return {choice.candidate.id: [key.name for key in choice.keys] for choice in plan.choices}

    assert keys_of(call()) == {"a/m": ["dev"], "b/m": ["k1"]}
    assert keys_of(call(), weight=1.0) == {"a/m": ["dev"], "b/m": ["k1"]}
    assert keys_of(call("b/m", fallbacks=("a/m",))) == {"a/m": ["dev"], "b/m": ["k1"]}
    assert keys_of(call("a/m", stateful=True)) == {"a/m": ["dev"]}
    held = VirtualKey(name="mine", digest=b"", entries={"a": ProviderEntry("a", keys=frozenset({"other"}))})
    refused = decide(Facts(call("a/m"), held), FakeView(configuration), ScriptedDice(), NOW)
    assert isinstance(refused, Failure)
    assert refused.kind is failures.MODEL_NOT_ALLOWED
    assert "may use only the keys other of provider a, and none of them serves m" in refused.message


def test_a_candidate_named_twice_is_in_the_plan_once() -> None:
    assert ids_for(call("a/m", fallbacks=("a/m", "b/m", "b/m", "chat")), CHAT) == ["a/m", "b/m"]


def test_a_named_provider_narrows_a_public_name() -> None:
    assert ids_for(call(provider="b"), CHAT) == ["b/m"]


@pytest.mark.parametrize("model", ["x", "c/x"])
def test_a_named_provider_takes_any_model_with_or_without_its_own_prefix(model: str) -> None:
    assert ids_for(call(model, provider="c"), CHAT) == ["c/x"]


def test_a_path_without_a_model_goes_to_the_only_provider_that_can_do_it() -> None:
    chat_only = endpoint("a", operations=frozenset({"chat"}))
    configuration = snapshot([chat_only, B])
    assert ids_for(call("", "file"), configuration) == ["b/"]
    assert refusal(call("", "chat"), configuration).kind is failures.INVALID_REQUEST


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        (call("nothing"), failures.MODEL_NOT_FOUND, "chat"),
        (call("a/"), failures.MODEL_NOT_FOUND, "'a/'"),
        (call("z/m"), failures.MODEL_NOT_FOUND, "a, b, c"),
        (call(fallbacks=("a/m", "nothing")), failures.MODEL_NOT_FOUND, "nothing"),
        (call(provider="z"), failures.INVALID_REQUEST, "'z'"),
        (call("m", provider="z"), failures.INVALID_REQUEST, "a, b, c"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused_with_what_would_have_worked(
    asked: Call, kind: Kind, said: str
) -> None:
    refused = refusal(asked, CHAT)
    assert refused.kind is kind
    assert said in refused.message


def test_a_bad_fallback_is_named_by_its_place() -> None:
    assert refusal(call(fallbacks=("a/m", "nothing")), CHAT).param == "fallbacks[1]"


def test_long_lists_of_names_are_cut() -> None:
    configuration = snapshot([endpoint(f"p{number:02}") for number in range(15)])
    assert "p11 and 3 more" in refusal(call("nothing"), configuration).message


def test_a_zero_weight_target_is_left_out_with_its_reason() -> None:
    plan = plan_for(call(), FakeView(snapshot([A, B], [candidate(A, "m", 0), candidate(B, "m")])))
    assert ids(plan) == ["b/m"]
    assert [(item.candidate, item.policy) for item in plan.verdicts] == [("a/m", "drained")]


def test_an_open_breaker_moves_a_candidate_behind_even_the_fallbacks() -> None:
    view = FakeView(CHAT)
    view.open_breaker("a/m", NOW + 1)
    plan = plan_for(call(), view)
    assert ids(plan) == ["b/m", "c/m", "a/m"]
    assert plan.verdicts[0].reason.is_last_resort


def test_with_every_breaker_open_the_plan_still_holds_all_the_next_to_recover_first() -> None:
    view = FakeView(CHAT)
    for name, until in (("a/m", NOW + 9), ("b/m", NOW + 1), ("c/m", NOW + 5)):
        view.open_breaker(name, until)
    assert ids(plan_for(call(), view)) == ["b/m", "c/m", "a/m"]


def test_an_open_breaker_does_not_bring_a_candidate_past_the_rule_that_refuses_it() -> None:
    unable = endpoint("a", operations=frozenset({"chat"}))
    keyless = endpoint("c", provider_key("k1", serves=("other",)))
    targets = [candidate(unable, "m"), candidate(B, "m"), candidate(keyless, "m")]
    view = FakeView(snapshot([unable, B, keyless], targets))
    view.open_breaker("a/m", NOW + 1)
    view.open_breaker("c/m", NOW + 1)
    plan = plan_for(call(operation="embedding"), view)
    assert ids(plan) == ["b/m"]
    assert [item.reason.code for item in plan.verdicts] == ["unsupported_operation", "no_key"]


def test_when_nothing_is_left_every_reason_is_told() -> None:
    unable = endpoint("a", operations=frozenset({"chat"}))
    configuration = snapshot([unable, B], [candidate(unable, "m"), candidate(B, "m", 0)])
    refused = refusal(call(operation="embedding"), configuration)
    assert refused.kind is failures.NO_TARGET
    assert "does not support embedding" in refused.message
    assert "weight is 0" in refused.message
    only_unable = snapshot([unable], [candidate(unable, "m")])
    assert refusal(call(operation="embedding"), only_unable).kind is failures.UNSUPPORTED_OPERATION


def test_the_strategy_of_the_name_wins_over_the_default() -> None:
    targets = [candidate(A, "m", 1), candidate(B, "m", 99)]
    weighted = snapshot([A, B], targets, strategy="weighted")
    assert plan_for(call(), FakeView(weighted), ScriptedDice(0.5)).strategy == "weighted"
    assert ids(plan_for(call(), FakeView(weighted), ScriptedDice(0.5))) == ["b/m", "a/m"]
    assert plan_for(call(), FakeView(snapshot([A, B], targets))).strategy == "priority"


def test_the_clients_time_limit_replaces_the_default() -> None:
    assert plan_for(call(timeout_s=3), FakeView(CHAT)).deadline == NOW + 3


def test_the_client_may_shorten_the_time_limit_but_not_lengthen_it() -> None:
    assert plan_for(call(timeout_s=3600), FakeView(CHAT)).deadline == NOW + 600


def test_keys_are_drawn_by_weight_and_a_zero_weight_key_is_never_used() -> None:
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


def test_keys_that_do_not_serve_the_model_are_not_offered() -> None:
    two = endpoint("a", provider_key("k1", serves=("other",)), provider_key("k2", serves=("m*",)))
    plan = plan_for(call(), FakeView(snapshot([two], [candidate(two, "m")])))
    assert [key.name for key in plan.choices[0].keys] == ["k2"]


def test_a_stateful_call_is_pinned_to_the_heaviest_key_whatever_the_dice_say() -> None:
    two = endpoint("a", provider_key("k1", 1), provider_key("k3", 2), provider_key("k2", 2))
    view = FakeView(snapshot([two], [candidate(two, "m")]))
    for number in (0.0, 0.5, 0.999):
        plan = plan_for(call(stateful=True), view, ScriptedDice(number))
        assert plan.pinned
        assert [key.name for key in plan.choices[0].keys] == ["k2"]
