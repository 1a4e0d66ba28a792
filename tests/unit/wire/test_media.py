"""Media in a prompt are found, however they are written."""

import json

import pytest
from msgspec import Raw

from pointsman.wire.media import TYPES, in_content, in_value


def raw(value: object) -> Raw:
    return Raw(json.dumps(value).encode())


@pytest.mark.parametrize("name", sorted(TYPES))
def test_each_kind_of_media_counts(name: str) -> None:
    content = [{"type": "text", "text": "look"}, {"type": name}, {"type": name, name: {"url": "https://host/x"}}]
    assert in_content(raw(content)) == 2
    assert in_value(raw([{"role": "user", "content": content}])) >= 2


@pytest.mark.parametrize(
    "content", ["text", 'the word "image_url"', '[{"type":"image_url"}]', None, 1, [], [1], {"type": "image_url"}]
)
def test_what_holds_no_part_has_none(content: object) -> None:
    assert in_content(raw(content)) == 0


def test_an_absent_content_has_none() -> None:
    assert in_content(Raw(b"")) == 0
    assert in_value(None) == 0


def test_escapes_hide_nothing() -> None:
    hidden = b'[{"\\u0074ype": "\\u0069mage_url"}]'
    assert json.loads(hidden) == [{"type": "image_url"}]
    assert in_content(Raw(hidden)) == 1
    assert in_value(Raw(b'[{"content": ' + hidden + b"}]")) == 1


def test_what_cannot_be_read_as_a_provider_would_is_counted_at_its_most() -> None:
    half = b'[{"text":"\\ud800","type":"\\u0069mage_url"},{"type":"input_image"}]'
    assert in_value(Raw(half)) == 2
    assert in_value(Raw(b'["\\ud800 \\u00e9"]')) == 0


def test_depth_is_no_error_here() -> None:
    deep = b"[" * 100_000 + b'"\\u0061"' + b"]" * 100_000
    assert in_content(Raw(deep)) == 0
    assert in_value(Raw(deep)) == 1
