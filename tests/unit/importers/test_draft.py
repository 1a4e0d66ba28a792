"""Names, amounts and secrets of a draft."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.importers.draft import Draft, name_of, per_million, usd_of


@given(st.lists(st.text(max_size=80), max_size=8))
def test_names_are_valid_and_different(texts: list[str]) -> None:
    taken: list[str] = []
    for text in texts:
        taken.append(name_of(text, taken, "key"))
    assert len(set(taken)) == len(taken)
    for name in taken:
        assert len(name) <= 64
        assert name[0].isalnum()
        assert name.isascii()
        assert all(character.isalnum() or character in "._-" for character in name)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (29.9, "29.9"),
        ("30", "30"),
        (1e-9, "0.000000001"),
        (0, None),
        (-1, None),
        ("x", None),
        (None, None),
        ("NaN", None),
    ],
)
def test_dollars_have_nine_decimals(value: object, text: str | None) -> None:
    assert usd_of(value) == text


@pytest.mark.parametrize(("value", "price"), [(2.5e-6, 2.5), ("0.00001", 10.0), (0, 0.0), ("x", None), (-1, None)])
def test_prices_are_per_million(value: object, price: float | None) -> None:
    assert per_million(value) == price


def test_equal_secrets_share_a_variable_and_others_do_not() -> None:
    draft = Draft()
    references = [draft.secret(value, "my key") for value in ("a", "b", "a")]
    assert references == ["env.MY_KEY", "env.MY_KEY_2", "env.MY_KEY"]
    assert draft.secret("c", "1x") == "env.KEY_1X"
    assert draft.secrets == {"MY_KEY": "a", "MY_KEY_2": "b", "KEY_1X": "c"}


def test_unknown_settings_are_lost_unless_empty() -> None:
    draft = Draft()
    draft.leave_out("a", {"known": 1, "new": 1, "none": None, "empty": [], "off": False}, {"known"})
    assert [note.origin for note in draft.notes] == ["a.new"]
