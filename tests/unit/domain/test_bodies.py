"""The choice of requests whose bodies are kept."""

from pointsman.domain.bodies import BodyCapture


def test_key_rule_or_all_decide() -> None:
    by_key = BodyCapture(virtual_keys=frozenset({"a"}), max_bytes=1)
    assert (by_key.may_keep("a"), by_key.keeps("a", ())) == (True, True)
    assert (by_key.may_keep("b"), by_key.may_keep(None)) == (False, False)
    by_rule = BodyCapture(rules=frozenset({"r"}), max_bytes=1)
    assert by_rule.may_keep("b")
    assert (by_rule.keeps("b", ("r", "s")), by_rule.keeps("b", ("s",))) == (True, False)
    every = BodyCapture(is_for_all=True, max_bytes=1)
    assert (every.may_keep(None), every.keeps(None, ())) == (True, True)
