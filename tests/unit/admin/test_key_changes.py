"""Answers about keys: their state, and secrets that only the first answer has."""

from time import time
from typing import Any

import msgspec
import pytest

from pointsman.admin.key_changes import hexadecimal, key_answer, key_row, with_value
from pointsman.admin.problems import ApiError
from pointsman.control.inquiries.keys import KeyOutcome

ROW: dict[str, Any] = {
    **dict.fromkeys(("team", "customer", "parent", "note", "previous_digest", "created_by"), ""),
    "name": "app",
    "digest": "d",
    "hint": "pm-",
    "settings": "{}",
    "is_enabled": 1,
    "changed": 7,
    "created_at": 1.0,
    "changed_at": 1.0,
    "expires_at": None,
    "previous_until": None,
}


@pytest.mark.parametrize(
    ("fields", "state"), [({}, "active"), ({"is_enabled": 0}, "disabled"), ({"expires_at": 1.0}, "expired")]
)
def test_key_shows_its_state(fields: dict[str, Any], state: str) -> None:
    assert key_row({**ROW, **fields})["state"] == state
    assert key_row({**ROW, "previous_until": time() - 1})["previous_until"] is None


def test_workers_that_wait_make_it_202() -> None:
    row = msgspec.json.encode(ROW)
    assert key_answer(KeyOutcome(row=row, value="v"), 201).status_code == 201
    answer = key_answer(KeyOutcome(row=row, waiting=[1]), 201)
    assert (answer.status_code, answer.headers["etag"]) == (202, '"7"')


def test_repeated_call_has_no_value_to_show() -> None:
    replayed = KeyOutcome(row=msgspec.json.encode(ROW), is_replayed=True)
    assert with_value(replayed, "a digest") is replayed
    with pytest.raises(ApiError, match="'app'"):
        with_value(replayed, None)


def test_digest_is_stored_without_its_prefix() -> None:
    assert hexadecimal("sha256:ab") == hexadecimal("ab") == "ab"
    assert hexadecimal(None) is None
