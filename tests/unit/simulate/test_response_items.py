"""The rules of the Responses API for the items of an input."""

from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.response_items import check_items, sealed_content

CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "x"}


def reasoning(name: str = "simulated", **fields: Any) -> dict[str, Any]:
    content = sealed_content(context_for(name=name), "Hm.")
    return {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": content, **fields}


def test_whole_loop_is_accepted() -> None:
    check_items(context_for(), [{"role": "user", "content": "x"}, reasoning(), CALL, RESULT], is_continued=False)
    check_items(context_for(), [{"type": "reasoning", "id": "rs_simulated1", "summary": []}], is_continued=False)
    check_items(context_for(), [RESULT], is_continued=True)


@pytest.mark.parametrize(
    ("items", "status", "message"),
    [
        ([RESULT], 400, "No tool call found for function call output with call_id call_1."),
        ([CALL], 400, "No tool output found for function call call_1."),
        ([{**CALL, "call_id": "x" * 65}], 400, "Invalid 'input[0].call_id'"),
        ([{**CALL, "call_id": None}], 400, "Invalid 'input[0].call_id'"),
        ([reasoning("other")], 400, "The encrypted content for item rs_1 could not be verified."),
        ([reasoning(encrypted_content="gAAA")], 400, "The encrypted content for item rs_1 could not be verified."),
        ([reasoning(encrypted_content=None)], 404, "Item with id 'rs_1' not found."),
    ],
)
def test_broken_rule_is_named(items: list[Any], status: int, message: str) -> None:
    found = rejected(lambda: check_items(context_for(), items, is_continued=False))
    assert found["status"] == status
    assert found["message"].startswith(message)
