"""Names of holds, and their end."""

import pytest

from fakes.routing import endpoint, snapshot
from pointsman.domain.holds import Hold, key_in, owner_in, pause_name, problem_with

CONFIGURATION = snapshot([endpoint("alpha", "k1", "k2")])


@pytest.mark.parametrize(
    ("name", "key"),
    [("alpha", None), ("alpha/m", None), ("alpha/org/m:8b", None), ("alpha:k1", ("alpha", "k1"))],
)
def test_key_is_named_after_a_colon_and_a_model_may_contain_one(name: str, key: tuple[str, str] | None) -> None:
    assert key_in(name) == key


@pytest.mark.parametrize("name", ["alpha", "alpha/m", "alpha/org/m:8b", "alpha:k1"])
def test_configured_names_may_be_held(name: str) -> None:
    assert problem_with(name, CONFIGURATION) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("beta", "no provider is named 'beta'"),
        ("beta/m", "no provider is named 'beta'"),
        ("beta:k1", "no provider is named 'beta'"),
        ("alpha:k3", "the provider alpha has no key 'k3'; its keys: k1, k2"),
        ("alpha/", "name a model after the slash"),
    ],
)
def test_unknown_names_are_rejected(name: str, message: str) -> None:
    assert message in (problem_with(name, CONFIGURATION) or "")


def test_hold_ends_by_time_or_never() -> None:
    assert Hold("alpha", until=5.0).is_over(5.0)
    assert not Hold("alpha", until=5.0).is_over(4.9)
    assert not Hold("alpha").is_over(1e12)
    assert Hold("alpha").describe() == "an operator holds alpha out of use until it is released"


def test_pause_has_a_name_that_no_provider_can_have() -> None:
    assert owner_in(pause_name("team", "research")) == "team:research"
    assert owner_in("alpha") is owner_in("alpha/m=8") is owner_in("alpha:k1") is None
    text = Hold("virtual_key=app", reason="spend check", until=0.0).describe()
    assert text == "an operator paused the virtual key app until 1970-01-01 00:00:00Z: spend check"
