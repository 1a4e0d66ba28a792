"""The stored objects that a call of the Responses API needs or asks for."""

from typing import Any

import pytest

from fakes.wire import parse
from pointsman.wire.dialects.openai_responses.stored import stored


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ""),
        ({"store": False, "background": False, "previous_response_id": None, "conversation": None}, ""),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"store": True, "background": True}, "background: true, store: true"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "an item_reference in input"),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}]}, ""),
        ({"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}, "an item_reference in input"),
    ],
)
def test_fields_about_stored_objects_are_named(fields: dict[str, Any], found: str) -> None:
    assert stored(parse({"model": "m", "input": "hi", **fields}, "/responses")) == found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/responses/resp_1"),
        ("DELETE", "/responses/resp_1"),
        ("POST", "/responses/resp_1/cancel"),
        ("POST", "/conversations"),
    ],
)
def test_path_of_a_stored_object_is_named(method: str, path: str) -> None:
    assert stored(parse(b"", path, method)) == f"{method} {path}"


def test_count_of_tokens_needs_no_stored_object() -> None:
    assert stored(parse({"model": "m", "input": "hi"}, "/responses/input_tokens")) == ""
