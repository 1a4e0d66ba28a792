"""Signatures of reasoning carry the name of their author while they are at a client of another dialect."""

from pointsman.domain.conversations import Conversation, Tool
from pointsman.wire.translation import labels_of, mark_signature, read_signature


def test_signature_of_the_clients_own_dialect_is_unchanged() -> None:
    assert mark_signature("EqQB", "anthropic", "anthropic") == "EqQB"
    assert read_signature("EqQB", "anthropic") == ("EqQB", "anthropic")


def test_signature_of_another_dialect_returns_to_its_author() -> None:
    shown = mark_signature("gAAA.b", "openai-responses", "anthropic")
    assert shown != "gAAA.b"
    assert read_signature(shown, "anthropic") == ("gAAA.b", "openai-responses")


def test_labels_are_the_set_fields_without_a_place() -> None:
    plain = Conversation(origin="openai", verbosity="medium", service_tier="auto")
    assert labels_of(plain) == []
    tools = (Tool("f", is_deferred=True),)
    set_ones = Conversation(origin="openai", user="u", service_tier="flex", verbosity="low", tools=tools)
    assert labels_of(set_ones) == ["verbosity", "user", "service_tier", "defer_loading"]
    assert labels_of(set_ones, ("flex",)) == ["verbosity", "user", "defer_loading"]
