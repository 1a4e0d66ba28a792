"""Conditions over claims are compiled once for each snapshot, and anything but `true` is false."""

import pytest

from fakes.configuration import compiled
from pointsman.routing.caller_conditions import conditions_of
from pointsman.routing.conditions.programs import over_claims
from pointsman.routing.conditions.references import ConditionError

TEXT = """
providers: {openai: env.OPENAI_API_KEY}
governance:
  identities:
    ci: {jwt: {issuer: 'https://issuer.example', audience: me}, when: claims.a == 1}
"""


def test_conditions_are_kept_with_their_snapshot() -> None:
    snapshot = compiled(TEXT).snapshot
    assert conditions_of(snapshot) is conditions_of(snapshot)
    assert [conditions_of(snapshot)["ci"](claims) for claims in ({"a": 1}, {"a": 2}, {})] == [True, False, False]


@pytest.mark.parametrize(
    ("source", "claims", "holds"),
    [
        ('claims.sub.startsWith("repo:")', {"sub": "repo:x"}, True),
        ('claims.sub.startsWith("repo:")', {"sub": 5}, False),
        ('"admin" in claims.groups', {"groups": ["admin"]}, True),
        ('"admin" in claims.groups', {}, False),
        ("claims.flag", {"flag": "true"}, False),
        ("claims.flag", {"flag": True}, True),
        ("has(claims.a) && claims.a.b > 3", {"a": {"b": 4}}, True),
        ('claims["https://x/role"] == "a"', {"https://x/role": "a"}, True),
        ("!has(claims.a)", {}, True),
        ("claims.a == 1", {"a": 2**80}, False),
        ("claims.a == null", {"a": None}, True),
    ],
)
def test_condition_holds(source: str, claims: dict[str, object], holds: bool) -> None:
    assert over_claims(source)(claims) is holds


@pytest.mark.parametrize("source", ["claim.a == 1", "claims.a ==", '"text"', 'headers["x"] == "a"'])
def test_faulty_condition_is_an_error(source: str) -> None:
    with pytest.raises(ConditionError):
        over_claims(source)
