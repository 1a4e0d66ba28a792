"""Reasoning of other authors is left out of a request for Anthropic, and nothing else changes."""

import msgspec
import pytest
from msgspec import Raw

from pointsman.wire.dialects.anthropic.own_fields import own_fields, without_lost_thinking

TEXT = {"type": "text", "text": 'a "pm. quoted" text'}
OWN = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
FOREIGN = {"type": "thinking", "thinking": "hm", "signature": "pm.openai-responses.gAAA"}
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}
REDACTED = {"type": "redacted_thinking", "data": "pm.openai-responses.gAAA"}


def fields_of(*blocks: object) -> dict[str, Raw]:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": list(blocks)}]
    return {"model": Raw(b'"m"'), "messages": Raw(msgspec.json.encode(messages))}


def test_fields_without_foreign_reasoning_are_the_same_object() -> None:
    fields = fields_of(OWN, TEXT)
    assert own_fields(fields) is fields


@pytest.mark.parametrize("block", [FOREIGN, UNSIGNED, REDACTED])
def test_reasoning_of_another_author_is_left_out(block: object) -> None:
    kept = msgspec.json.decode(own_fields(fields_of(block, OWN, TEXT))["messages"])
    assert kept[1]["content"] == [OWN, TEXT]
    assert kept[0] == {"role": "user", "content": "hi"}


def test_message_of_foreign_reasoning_alone_is_left_out() -> None:
    kept = msgspec.json.decode(own_fields(fields_of(FOREIGN))["messages"])
    assert kept == [{"role": "user", "content": "hi"}]


PAGE = {"type": "web_search_result_location", "cited_text": "", "title": "t", "url": "https://x.example"}
OWN_PAGE, FOREIGN_PAGE = {**PAGE, "encrypted_index": "Eo8B"}, {**PAGE, "encrypted_index": ""}


def test_citation_of_another_author_is_left_out() -> None:
    def content_with(*citations: object) -> object:
        fields = fields_of({**TEXT, "citations": citations}, OWN)
        return msgspec.json.decode(own_fields(fields)["messages"])[1]["content"]

    assert content_with(FOREIGN_PAGE) == [TEXT, OWN]
    assert content_with(FOREIGN_PAGE, OWN_PAGE) == [{**TEXT, "citations": [OWN_PAGE]}, OWN]
    assert content_with(OWN_PAGE) == [{**TEXT, "citations": [OWN_PAGE]}, OWN]


def test_input_of_a_tool_is_no_citation() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "citations": [FOREIGN_PAGE]}
    fields = fields_of(use)
    assert own_fields(fields) is fields


@pytest.mark.parametrize(
    "content",
    [
        b'[{"type": "text", "citations": {"encrypted_index": ""}}]',
        b'"pm.x"',
        b"3",
        b'[3, "pm."]',
        b'[{"type": "thinking", "signature": 4, "a": "pm."}]',
    ],
)
def test_malformed_content_is_left_to_the_provider(content: bytes) -> None:
    fields = {"messages": Raw(b'[{"role": "assistant", "content": %b}]' % content)}
    assert msgspec.json.decode(own_fields(fields)["messages"]) == msgspec.json.decode(fields["messages"])


BUDGET = {"type": "enabled", "budget_tokens": 2000}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
CLEARING = {"type": "clear_thinking_20251015", "keep": "all"}
USES = {"type": "clear_tool_uses_20250919"}


def loop_of(*blocks: object, thinking: object = BUDGET, last: object = (RESULT,), **fields: object) -> dict[str, Raw]:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": blocks}]
    body = {"messages": [*turns, {"role": "user", "content": last}], "thinking": thinking, **fields}
    return {name: Raw(msgspec.json.encode(value)) for name, value in body.items()}


@pytest.mark.parametrize("block", [FOREIGN, UNSIGNED, REDACTED])
def test_results_for_calls_of_another_author_do_not_come_with_a_budget(block: object) -> None:
    """Anthropic would reject the request."""
    found = own_fields(loop_of(block, USE))
    assert found.keys() == {"messages"}
    assert msgspec.json.decode(found["messages"])[1]["content"] == [USE]


@pytest.mark.parametrize(
    "fields",
    [
        loop_of(OWN, USE),
        loop_of({"type": "redacted_thinking", "data": "EqQB"}, USE),
        loop_of(USE, thinking={"type": "adaptive"}),
        loop_of(USE, thinking={"type": "disabled"}),
        loop_of(TEXT, last="Thanks"),
        loop_of(TEXT, last=[TEXT]),
        {"thinking": Raw(msgspec.json.encode(BUDGET))},
    ],
)
def test_other_requests_keep_their_thinking(fields: dict[str, Raw]) -> None:
    assert without_lost_thinking(fields) is fields


def test_edits_of_thinking_go_with_it() -> None:
    found = without_lost_thinking(loop_of(USE, context_management={"edits": [CLEARING, USES]}))
    assert msgspec.json.decode(found["context_management"]) == {"edits": [USES]}
    assert without_lost_thinking(loop_of(USE, context_management={"edits": [CLEARING]})).keys() == {"messages"}
