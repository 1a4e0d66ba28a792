"""Lists of names in messages."""

from pointsman.routing.wording import either, listed


def test_long_list_is_cut_short() -> None:
    assert listed([]) == "none"
    assert listed(["b", "a"]) == "a, b"
    assert listed("abcd", limit=2) == "a, b and 2 more"


def test_choice_quotes_its_names() -> None:
    assert [either([]), either(["a"]), either(["a", "b", "c"])] == ["", "'a'", "'a', 'b' or 'c'"]
