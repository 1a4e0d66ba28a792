"""The session that a body names."""

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import call
from pointsman.domain.records import RequestRecord
from pointsman.wire.sessions import note_session, session_in_body


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a-1", "a-1"),
        ("é", "é"),
        ("", None),
        (None, None),
        (5, None),
        ("x" * 255, "x" * 255),
        ("x" * 256, None),
        ("a\n", None),
    ],
)
def test_key_of_the_prompt_cache_is_the_session(value: object, expected: str | None) -> None:
    fields = {"prompt_cache_key": Raw(json.dumps(value).encode())}
    assert session_in_body(replace(call(), fields=fields)) == expected


def test_body_without_the_key_has_none() -> None:
    assert session_in_body(call()) is None


@pytest.mark.parametrize(("of_head", "expected"), [(None, "a-1"), ("of-the-head", "of-the-head")])
def test_session_of_the_head_comes_first(of_head: str | None, expected: str) -> None:
    record = RequestRecord(time=0.0, request_id="r", method="POST", path="/v1/x", status=200, session=of_head)
    note_session(record, replace(call(), fields={"prompt_cache_key": Raw(b'"a-1"')}))
    assert record.session == expected
