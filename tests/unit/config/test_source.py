"""YAML text is parsed into data with places, or rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config import source
from pointsman.config.source import SourceError, parse


def refusal(content: bytes) -> SourceError:
    with pytest.raises(SourceError) as caught:
        parse(content)
    return caught.value


def test_values_have_paths_and_lines() -> None:
    parsed = parse(b"a:\n  b: [1, 2.5]\n  c d:\n    - x: yes\n")
    assert parsed.data == {"a": {"b": [1, 2.5], "c d": [{"x": True}]}}
    assert parsed.place(("a", "b", 1)) == ("a.b[1]", 2)
    assert parsed.place(("a", "c d", 0, "x")) == ('a."c d"[0].x', 4)
    assert parsed.place(()) == ("", 1)


def test_missing_part_has_the_line_of_its_parent() -> None:
    parsed = parse(b"a:\n  b: 1\n")
    assert parsed.place(("a", "c")) == ("a.c", 1)
    assert parsed.place(("a", "c", "d")) == ("a.c.d", 1)


def test_places_follow_short_forms() -> None:
    parsed = parse(b"providers:\n  openai: env.X\nmodels:\n  quick:\n    - a/b\n    - c/d\n")
    assert parsed.place(("providers", "openai", "keys", "default", "value")) == ("providers.openai", 2)
    assert parsed.place(("models", "quick", "targets", 1, "model")) == ("models.quick[1]", 6)
    assert parsed.place(("models", "quick", "targets", 7)) == ("models.quick", 4)


def test_anchors_and_merges_are_expanded() -> None:
    parsed = parse(b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 8}, *a], z: *a}\n")
    assert parsed.data["b"] == {"x": 1, "y": 3}
    assert parsed.data["c"] == {"x": 8, "y": 2, "z": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"", "the file is empty", None),
        (b"# nothing but a remark\n", "the file is empty", None),
        (b"[1]", "must be a mapping", 1),
        (b"text", "must be a mapping", 1),
        (b"a:\n\tb: 1\n", "indent with spaces, not tabs", 2),
        (b"a: 1\nb: \0\n", r"the control character '\x00' is not allowed", 2),
        (b"a: \x7f\n", "the control character", 1),
        ("a: 1\nb: \x80\n".encode(), r"the control character '\x80' is not allowed", 2),
        ("a: 1\n\nb: \ufffe\n".encode(), r"the control character '\ufffe' is not allowed", 3),
        (b"a: 1\nb: \xff\n", "not valid UTF-8: invalid start byte at byte 8", 2),
        (b"a: 1\n---\nb: 1\n", "a second YAML document begins here", 2),
        (b"a: *nowhere\n", "undefined alias", 1),
        (b"a: 'text\n", "not valid YAML", 2),
        (b"a: !!python/object/apply:os.system [ls]\n", "tags are not supported", 1),
        (b"a: !mine text\n", "tags are not supported", 1),
        (b"a: {<<: 3}\n", "`<<` must be a mapping", 1),
        (b"no: 1\n", "the key 'no' is not text; put it in quotes", 1),
        (b"? [a]\n: b\n", "a key must be text", 1),
        (b"a: 2024-13-45\n", "not a valid number or date", 1),
        (b"a: " + b"9" * 5000, "not a valid number or date", 1),
    ],
)
def test_invalid_yaml_is_rejected_with_its_line(content: bytes, message: str, line: int | None) -> None:
    error = refusal(content)
    assert message in error.message
    assert error.line == line


def test_size_is_limited() -> None:
    assert f"the limit is {source.MAX_BYTES} bytes" in refusal(b"a: " + b"x" * source.MAX_BYTES).message


@pytest.mark.parametrize("content", [b"[" * 200_000, b"a: " + b"{b: " * 100_000, b"a: &a [*a]", b"a: &a {<<: *a}"])
def test_depth_is_limited(content: bytes) -> None:
    assert "nested deeper than" in refusal(content).message


def test_expansion_of_aliases_is_limited() -> None:
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        aliases = b", ".join([b"*a%d" % (level - 1)] * 10)
        lines.append(b"a%d: &a%d [%s]" % (level, level, aliases))
    assert "counting each alias in full" in refusal(b"\n".join(lines)).message


def test_byte_order_mark_and_windows_line_ends_are_ignored() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").data == {"a": 1, "b": 2}


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!<>|'\"\n\t #%@?,0", max_size=200).map(str.encode))
def test_any_bytes_are_parsed_or_rejected(content: bytes) -> None:
    try:
        parse(content)
    except SourceError as error:
        assert error.message  # noqa: PT017 -- an error with a message is also a valid outcome


def test_duplicate_keys_are_all_reported_and_the_first_is_kept() -> None:
    source = parse(b"a: 1\nb:\n  c: 1\n  c: 2\na: {d: 3}\n")
    assert source.data == {"a": 1, "b": {"c": 1}}
    assert [(one.location, one.line, one.message) for one in source.duplicates] == [
        (("b", "c"), 4, "duplicate key; the first is on line 3"),
        (("a",), 5, "duplicate key; the first is on line 1"),
    ]
