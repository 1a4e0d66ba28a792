"""Token counts, text, and the smallest JSON for a schema."""

import random
from typing import Any

import jsonschema
import pytest

from pointsman.simulate.text import content_tokens, count_tokens, json_tokens, minimal, words


def test_token_is_four_bytes_rounded_up() -> None:
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "ééé")] == [0, 1, 1, 2, 2]


def test_content_counts_text_and_media() -> None:
    assert content_tokens("abcd") == 4
    assert content_tokens(None) == 3
    assert content_tokens([{"type": "text", "text": "abcd"}, {"type": "image_url"}]) == 3 + 1 + 85


def test_words_depend_on_the_random_generator() -> None:
    assert words(8, "words", random.Random(3)) == words(8, "words", random.Random(3))
    assert words(8, "words", random.Random(3)) != words(8, "words", random.Random(4))
    assert words(3, "numbered", random.Random()) == [" 0", " 1", " 2"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"city": {"type": "string", "minLength": 3}}, "required": ["city"]},
        {
            "type": "object",
            "properties": {
                "unit": {"enum": ["celsius", "kelvin"]},
                "days": {"type": "array", "items": {"type": "integer", "minimum": 4}, "minItems": 2},
                "deep": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
                "maybe": {"anyOf": [{"type": "null"}, {"type": "number"}]},
                "either": {"type": ["string", "null"]},
                "fixed": {"const": 4},
            },
            "required": ["unit", "days", "deep", "maybe", "either", "fixed"],
            "additionalProperties": False,
        },
        {"type": "number", "minimum": 2.5},
        {},
    ],
)
def test_minimal_values_fit_their_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(minimal(schema), schema)


def test_json_tokens_join_to_the_value() -> None:
    assert "".join(json_tokens({"city": "Paris"})) == '{"city":"Paris"}'
