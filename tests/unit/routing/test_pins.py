"""Calls for stored objects use only the provider and the key of the object."""

from random import Random
from typing import Any

import pytest
from msgspec.structs import astuple, replace

from fakes.routing import NOW, FakeView, call, endpoint, provider_key, snapshot
from pointsman.domain import failures
from pointsman.domain.calls import Facts
from pointsman.domain.failures import Failure
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.plans import Plan
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.state import Pin
from pointsman.domain.targets import candidate
from pointsman.routing.decide import decide
from pointsman.routing.pins import with_key

A = endpoint("a", provider_key("one", 3), provider_key("two"), provider_key("old", 0))
B = endpoint("b", "one", "two")
ALL = snapshot([A, B], [candidate(A, "m", 1), candidate(B, "m", 9)], [candidate(A, "n")], strategy="weighted")


def decided(pin: Pin, key: VirtualKey | None = None, of: Snapshot = ALL, **fields: Any) -> Plan | Failure:
    pinned_call = replace(call(fields.pop("model", "chat"), "responses", stateful=True), pin=pin, **fields)
    return decide(Facts(pinned_call, key), FakeView(of), Random(1), NOW)


def keys_by_candidate(plan: Plan | Failure) -> list[tuple[str, list[str]]]:
    assert isinstance(plan, Plan), plan
    return [(choice.candidate.id, [key.name for key in choice.keys]) for choice in plan.choices]


def code_and_message(plan: Plan | Failure) -> tuple[str, str]:
    assert isinstance(plan, Failure)
    return plan.kind.code, plan.message


def pin(provider: str = "a", key: str = "two") -> Pin:
    return Pin(provider, key, "the response 'r'")


def test_pin_overrides_strategy_and_weights() -> None:
    assert keys_by_candidate(decided(pin())) == [("a/m", ["two"]), ("a/n", ["two"])]
    assert keys_by_candidate(decided(pin("b", "one"))) == [("b/m", ["one"])]
    plan = decided(pin())
    assert isinstance(plan, Plan)
    assert plan.source == "the provider that stores the response 'r'"


def test_call_without_a_model_follows_its_pin() -> None:
    serving = endpoint("a", provider_key("two", 1, ("gpt-*",)))
    assert keys_by_candidate(decided(pin(), model="", of=snapshot([serving, B]))) == [("a/", ["two"])]


@pytest.mark.parametrize("model", ["chat", "a/m", ""])
def test_conflict_of_pin_and_provider_header_names_the_header(model: str) -> None:
    head = replace(call().head, provider="b")
    assert code_and_message(decided(pin(), model=model, head=head)) == (
        "invalid_request",
        "the response 'r' is stored at provider 'a', but the header x-pointsman-provider names 'b'; remove the header",
    )


def test_key_restrictions_of_a_virtual_key_apply_to_pins() -> None:
    entries = {"b": ProviderEntry("b", 1.0)}
    assert (
        code_and_message(decided(pin(), VirtualKey(name="k", digest=b"", entries=entries)))[0]
        == failures.MODEL_NOT_ALLOWED.code
    )
    weighted = VirtualKey(name="k", digest=b"", entries={"a": ProviderEntry("a", 1.0), "b": ProviderEntry("b", 99.0)})
    assert keys_by_candidate(decided(pin(), weighted)) == [("a/m", ["two"]), ("a/n", ["two"])]


def test_removed_location_is_named() -> None:
    for where, words in (
        (pin("c"), "stored at provider 'c', which is no longer configured"),
        (pin(key="three"), "stored under the key 'three' of a, which is no longer configured"),
        (pin(key="old"), "its weight is 0"),
    ):
        for model in ("chat", ""):
            code, message = code_and_message(decided(where, model=model))
            assert code == failures.STATE_UNAVAILABLE.code
            assert words in message


def test_model_missing_at_the_location_is_named() -> None:
    only_b = snapshot([A, B], [candidate(B, "m")])
    code, message = code_and_message(decided(pin(), of=only_b))
    assert (code, "'chat' has no target there" in message) == (failures.INVALID_REQUEST.code, True)
    choosy = endpoint("a", "one", provider_key("two", 1, ("gpt-*",)))
    code, message = code_and_message(decided(pin(), of=snapshot([choosy], [candidate(choosy, "m")])))
    assert (code, "cannot be used for 'chat'" in message) == (failures.INVALID_REQUEST.code, True)


def test_pinned_candidate_loses_only_its_other_keys() -> None:
    item = replace(candidate(A, "m", 2.0), response_s=3.0, stream_head_s=1.0)
    assert astuple(with_key(item, A.keys[0])) == astuple(replace(item, keys=A.keys[:1]))
    sole = candidate(endpoint("x"), "m")
    assert with_key(sole, sole.keys[0]) is sole
