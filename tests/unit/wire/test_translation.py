"""Signatures of reasoning carry the name of their author while they are at a client of another dialect."""

from pointsman.domain.conversations import Conversation, Sampling, Tool
from pointsman.wire.dialects.openai_responses.request import write_request as write_response
from pointsman.wire.openai_chat.write_request import write_request as write_chat
from pointsman.wire.translation import dropped_top_k, labels_of, mark_signature, read_signature


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


def test_setting_of_gemini_cli_is_dropped_for_its_dialect_only() -> None:
    sampling = Sampling(top_k=64)
    assert dropped_top_k(Conversation(origin="gemini", sampling=sampling)) == ["top_k"]
    assert dropped_top_k(Conversation(origin="anthropic", sampling=sampling)) == []
    assert dropped_top_k(Conversation(origin="gemini")) == []
    for write in (write_chat, write_response):
        written = write(Conversation(origin="gemini", sampling=sampling), False)
        assert (written.cannot, written.dropped) == ((), ("top_k",))
