"""Requests lose the reasoning of other authors before they reach a provider of this dialect."""

import json
from typing import Any

import pytest
from msgspec import Raw

from pointsman.wire.dialects.openai_responses import HALVES
from pointsman.wire.dialects.openai_responses.own_fields import own_fields

FOREIGN = {"type": "reasoning", "summary": [], "encrypted_content": "pm.anthropic.sig"}
OWN = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
TEXT = {"role": "user", "content": '"pm.anthropic" is a mark'}


def fields_of(value: Any) -> dict[str, Raw]:
    return {"model": Raw(b'"m"'), "input": Raw(json.dumps(value).encode())}


def test_reasoning_of_other_authors_is_left_out() -> None:
    found = own_fields(fields_of([TEXT, FOREIGN, OWN]))
    assert json.loads(bytes(found["input"])) == [TEXT, OWN]
    assert found["model"] == Raw(b'"m"')


@pytest.mark.parametrize("value", ["pm.x", [TEXT, OWN], ["pm.x"], {"pm.x": 1}, [{"type": 1, "a": "pm.x"}]])
def test_any_other_input_stays_as_it_is(value: Any) -> None:
    fields = fields_of(value)
    assert own_fields(fields) is fields
    assert own_fields({}) == {}


def test_dialect_has_the_function() -> None:
    assert HALVES.own_fields is own_fields
