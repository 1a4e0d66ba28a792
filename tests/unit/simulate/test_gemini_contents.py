"""The contents of a request: their tokens, and the rules for calls and their signatures."""

from typing import Any

import msgspec
import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.gemini_contents import Content, FunctionCall, check_contents, sealed_name
from pointsman.simulate.model import CALL_OVERHEAD, seal

CONTEXT = context_for({})
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
RESULT = {"functionResponse": {"name": "f", "response": {"a": 1}}}


def contents(*turns: tuple[str, list[Any]]) -> list[Content]:
    return [msgspec.convert({"role": role, "parts": parts}, Content) for role, parts in turns]


def test_tokens_of_texts_calls_results_and_media() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}
    (found,) = contents(("user", [{"text": "a" * 8}, CALL, RESULT, image]))
    assert [part.tokens for part in found.parts] == [2, 2 + CALL_OVERHEAD, 2, 258]
    assert found.tokens == 3 + sum(part.tokens for part in found.parts)


def test_signature_is_accepted_from_its_author_and_as_the_documented_text() -> None:
    own = seal(CONTEXT, "functionCall", sealed_name(FunctionCall("f", args={"a": 1})))
    for signature in (own, "skip_thought_signature_validator"):
        check_contents(CONTEXT, contents(("model", [{**CALL, "thoughtSignature": signature}]), ("user", [RESULT])))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([("model", [CALL])], "number of function response parts"),
        ([("model", [CALL]), ("user", [RESULT, RESULT])], "number of function response parts"),
        ([("user", [RESULT])], "immediately after"),
        ([("user", [{"text": "a", **CALL}])], "oneof field"),
        ([("model", [{**CALL, "thoughtSignature": "YQ=="}]), ("user", [RESULT])], "Corrupted thought signature."),
    ],
)
def test_broken_rules_are_named(turns: list[tuple[str, list[Any]]], message: str) -> None:
    assert message in rejected(lambda: check_contents(CONTEXT, contents(*turns)))["message"]
