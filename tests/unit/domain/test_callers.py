"""A caller has a stable name, and the rights of its identity or of its team."""

import pytest

from pointsman.domain.callers import CallerError, CallerIdentity, shown, text_at, value_at
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit, Period

SHARED = Limit(level="virtual_key", owner="virtual_key:ci", metric="requests", period=Period("day"), amount=9)
POLICY = VirtualKey(name="ci", digest=b"", labels={"env": "dev"}, limits=(SHARED,))


def identity(**fields: object) -> CallerIdentity:
    every = {"name": "ci", "key": POLICY, "each": (SHARED,), "when": "true", "subject": "sub", **fields}
    return CallerIdentity(**every)  # type: ignore[arg-type]


def test_names_are_distinct_and_have_no_separators() -> None:
    subjects = ["a/b", "a%2Fb", "a|b", "a b", "ä", "a:b", "x" * 300, "x" * 301, "system:serviceaccount:ns:name"]
    names = [shown(one) for one in subjects]
    assert len(set(names)) == len(subjects)
    assert not any({"/", "|", " "} & set(name) or len(name) > 200 or not name.isascii() for name in names)
    assert names[-1] == subjects[-1]


def test_claims_are_found_by_name_and_by_path() -> None:
    inner = {"k.io": {"name.space": {"x": 3}}}
    assert value_at(inner, "k.io.name.space.x") == 3
    claims = {"a.b": 1, "a": {"b": 2, "c": ["x"]}, "many": ["x", "y"], "empty": ""}
    assert (value_at(claims, "a.b"), value_at(claims, "a.c"), value_at(claims, "a.b.c")) == (1, ["x"], None)
    assert [text_at(claims, name) for name in ("a.c", "many", "empty", "a.b", "none")] == ["x", None, None, None, None]


def test_caller_is_a_child_with_limits_of_its_own() -> None:
    key = identity(labels={"repository": "repo", "gone": "gone"}).caller({"sub": "a/b", "repo": "r"})
    assert (key.name, key.parent, key.is_caller) == ("ci:a%2Fb", "ci", True)
    assert key.labels == {"env": "dev", "repository": "r"}
    assert [limit.counter for limit in key.limits] == [
        "virtual_key:ci:a%2Fb|requests|day",
        "virtual_key:ci|requests|day",
    ]
    assert identity().named(key.name).limits[0].counter == key.limits[0].counter


def test_team_is_that_of_the_claim() -> None:
    research = VirtualKey(name="ci", digest=b"", team="research")
    one = identity(team="group", owned={"research": research})
    assert one.caller({"sub": "x", "group": "research"}).team == "research"
    with pytest.raises(CallerError, match="names no team"):
        one.caller({"sub": "x", "group": "nobody"})
    with pytest.raises(CallerError, match="group is missing"):
        one.caller({"sub": "x"})
    with_own = identity(team="group", key=VirtualKey(name="ci", digest=b"", team="rest"))
    assert with_own.caller({"sub": "x"}).team == "rest"


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": 5}, {"sub": ["a", "b"]}, {"sub": "x" * 600}])
def test_caller_without_a_usable_name_is_refused(claims: dict[str, object]) -> None:
    with pytest.raises(CallerError, match="the claim sub"):
        identity().caller(claims)
