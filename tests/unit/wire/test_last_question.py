"""The last question of a request, in every dialect."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.wire import parse
from pointsman.wire.last_question import HEAD_BYTES, TAIL_BYTES, LastQuestion, last_question

CHAT, TEXT, RESPONSES, MESSAGES = "/chat/completions", "/completions", "/responses", "/messages"
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "42"}
REMINDER = {"type": "text", "text": "<system-reminder>be brief</system-reminder>"}


def said(content: object, role: str = "user") -> dict[str, object]:
    return {"role": role, "content": content}


def text(value: str, kind: str = "text") -> dict[str, object]:
    return {"type": kind, "text": value}


def question(body: dict[str, object], path: str = CHAT, **fields: Any) -> LastQuestion | None:
    dialect = {"dialect": "anthropic"} if path == MESSAGES else {}
    return last_question(parse({"model": "m", **body}, path, **dialect, **fields))


@pytest.mark.parametrize(
    ("path", "body", "expected", "turns"),
    [
        (CHAT, {"messages": [said("be kind", "system"), said("why?")]}, "why?", 1),
        (CHAT, {"messages": [said("a"), said("b", "assistant"), said("c"), said("d", "tool")]}, "c", 2),
        (CHAT, {"messages": [said([text("why?"), {"type": "image_url", "image_url": {"url": "x"}}])]}, "why?", 1),
        (CHAT, {"messages": [said([text("a"), text("b")])]}, "a\n\nb", 1),
        (CHAT, {"messages": [said("only", "system")]}, "", 0),
        (CHAT, {"messages": [said('größe \\ "x" \n 東京')]}, 'größe \\ "x" \n 東京', 1),
        (TEXT, {"prompt": "why?"}, "why?", 1),
        (TEXT, {"prompt": ["a", "why?"]}, "why?", 1),
        (TEXT, {"prompt": [1, 2]}, "", 1),
        (RESPONSES, {"input": "why?", "instructions": "be kind"}, "why?", 1),
        (RESPONSES, {"input": [said("a"), said([text("why?", "input_text")])]}, "why?", 2),
        (RESPONSES, {"input": [said("a"), {"type": "function_call_output", "call_id": "c", "output": "x"}]}, "a", 1),
        (MESSAGES, {"max_tokens": 9, "system": "be kind", "messages": [said("why?")]}, "why?", 1),
        (MESSAGES, {"max_tokens": 9, "messages": [said("a"), said("b", "assistant"), said([RESULT])]}, "a", 2),
        (MESSAGES, {"max_tokens": 9, "messages": [said([REMINDER, text("why?")])]}, "why?", 1),
    ],
)
def test_last_text_of_the_user_is_the_question(path: str, body: dict[str, object], expected: str, turns: int) -> None:
    found = question(body, path)
    assert found is not None
    assert (found.head, found.tail, found.turns, found.chars) == (expected, "", turns, len(expected))


@pytest.mark.parametrize("path", ["/embeddings", "/moderations"])
def test_operation_without_an_answer_in_words_has_no_question(path: str) -> None:
    assert question({"input": "why?"}, path) is None


def test_request_without_a_prompt_has_no_question() -> None:
    assert question({"previous_response_id": "r"}, RESPONSES) is None


def test_unreadable_prompt_has_no_question() -> None:
    assert question({"input": [1, 2, 3]}, RESPONSES) is None


def test_system_prompt_is_measured_in_every_dialect() -> None:
    cases: tuple[tuple[str, dict[str, object]], ...] = (
        (CHAT, {"messages": [said("x" * 98, "system"), said("why?")]}),
        (RESPONSES, {"input": "why?", "instructions": "x" * 98}),
        (MESSAGES, {"max_tokens": 9, "system": "x" * 98, "messages": [said("why?")]}),
    )
    for path, body in cases:
        found = question(body, path)
        assert found is not None
        assert found.system_bytes == 100


def test_long_text_is_cut_to_its_ends() -> None:
    found = question({"messages": [said("begin\n" + "\u20ac\\" * 50_000 + "\nend?")]})
    assert found is not None
    assert found.head.startswith("begin\n\u20ac\\")
    assert found.tail.endswith("\nend?")
    assert len(found.head) <= HEAD_BYTES
    assert len(found.tail) <= TAIL_BYTES


@given(st.text(max_size=20), st.sampled_from([1, 2000]), st.booleans())
def test_any_text_can_be_read(value: str, times: int, is_ascii: bool) -> None:
    body = json.dumps({"model": "m", "messages": [said(value * times)]}, ensure_ascii=is_ascii)
    found = last_question(parse(body.encode()))
    assert found is not None
    assert found.tail or found.head == value * times
