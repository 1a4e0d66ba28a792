"""The end user that a request names."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import call
from pointsman.wire.end_users import end_user


@pytest.mark.parametrize(
    ("dialect", "fields", "expected"),
    [
        ("openai", {}, ""),
        ("openai", {"user": '"u"'}, "u"),
        ("openai", {"user": '"u"', "safety_identifier": '"new"'}, "new"),
        ("openai", {"user": "7"}, ""),
        ("openai-responses", {"user": '"u"'}, "u"),
        ("anthropic", {"metadata": '{"user_id":"u"}', "user": '"x"'}, "u"),
        ("anthropic", {"metadata": '{"user_id":null}'}, ""),
        ("anthropic", {"metadata": "[]"}, ""),
    ],
)
def test_end_user_comes_from_the_field_of_the_dialect(dialect: str, fields: dict[str, str], expected: str) -> None:
    one = call()
    raw = {name: Raw(value.encode()) for name, value in fields.items()}
    assert end_user(replace(one, fields=raw, head=replace(one.head, dialect=dialect))) == expected
