"""Long texts of a JSON value are replaced, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.wire import short_texts
from pointsman.wire.short_texts import shorten

MOST = 8
TEXTS = st.text(st.sampled_from('ab"\\\\\\/:,[]{}\u00e4\U0001f600\n'), max_size=60)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4),
    max_leaves=12,
)


def expected(value: Any, found: Any) -> bool:
    """Return whether `found` equals `value` except for long texts."""
    if isinstance(value, str):
        return found == value or (isinstance(found, str) and len(found) > MOST and len(value.encode()) > MOST)
    if isinstance(value, list):
        return len(value) == len(found) and all(map(expected, value, found))
    if isinstance(value, dict):
        return list(value) == list(found) and all(expected(value[name], found[name]) for name in value)
    return bool(value == found)


@given(VALUES, st.booleans(), st.integers(1, 40))
def test_only_long_texts_are_replaced_at_every_cut(value: Any, is_ascii: bool, piece: int) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(short_texts, "_PIECE_BYTES", piece + 1)
        assert expected(value, json.loads(shorten(text, MOST)))


def test_long_texts_take_no_memory() -> None:
    value = ["x" * 1_000_000, "\\" * 1_000_000, {"a": "b" * 5, "c": "\u00e4" * 1_000_000}]
    short = shorten(json.dumps(value).encode(), MOST)
    assert len(short) < 200
    assert json.loads(short)[2]["a"] == "b" * 5
