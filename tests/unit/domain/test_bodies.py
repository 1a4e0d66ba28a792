"""The choice of the requests whose bodies are kept."""

from pointsman.domain.bodies import BodyCapture, BodyScope
from pointsman.domain.identity import VirtualKey

A, B = VirtualKey(name="a", digest=b"a", team="red"), VirtualKey(name="b", digest=b"b", team="blue")


def keeps(*scopes: BodyScope) -> list[bool]:
    """Return whether the bodies of `A`, of `B` and of requests without a key are kept."""
    capture = BodyCapture(scopes=scopes, max_bytes=1)
    for key in (A, B, None):
        assert capture.may_keep(key) == capture.keeps(key, ())
    return [capture.keeps(key, ()) for key in (A, B, None)]


def test_bodies_are_kept_by_owner() -> None:
    by_key, by_team = BodyScope(virtual_keys=frozenset({"a"})), BodyScope(teams=frozenset({"blue"}))
    assert keeps() == [False, False, False]
    assert keeps(by_key) == [True, False, False]
    assert keeps(by_team) == [False, True, False]
    assert keeps(by_key, by_team) == [True, True, False]
    assert keeps(BodyScope(virtual_keys=frozenset({"a"}), teams=frozenset({"blue"}))) == [False, False, False]
    assert keeps(BodyScope()) == [True, True, True]


def test_bodies_are_kept_by_rule() -> None:
    by_rule = BodyCapture(rules=frozenset({"r"}), max_bytes=1)
    assert by_rule.may_keep(B)
    assert (by_rule.keeps(B, ("r", "s")), by_rule.keeps(B, ("s",))) == (True, False)
