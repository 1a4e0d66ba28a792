"""Signatures of reasoning carry the name of their author while they are at a client of another dialect."""

from pointsman.wire.translation import mark_signature, read_signature


def test_signature_of_the_clients_own_dialect_is_unchanged() -> None:
    assert mark_signature("EqQB", "anthropic", "anthropic") == "EqQB"
    assert read_signature("EqQB", "anthropic") == ("EqQB", "anthropic")


def test_signature_of_another_dialect_returns_to_its_author() -> None:
    shown = mark_signature("gAAA.b", "openai-responses", "anthropic")
    assert shown != "gAAA.b"
    assert read_signature(shown, "anthropic") == ("gAAA.b", "openai-responses")
