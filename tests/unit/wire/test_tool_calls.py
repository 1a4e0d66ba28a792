"""Ids and arguments of calls, as dialects write them that take only certain ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pointsman.wire.tool_calls import CallIds, OpenCall, compact, tool_input


@given(st.lists(st.text(max_size=90), min_size=1, max_size=6))
def test_ids_are_valid_unique_and_repeatable(names: list[str]) -> None:
    written = [CallIds(64), CallIds(64)]
    first, second = ([ids.of_call(name) for name in names] for ids in written)
    assert first == second
    assert len(set(first)) == len(names)
    assert all(0 < len(one) <= 64 and one.isascii() and set(one) <= _LETTERS for one in first)
    assert sorted(written[0].of_result(name) for name in names) == sorted(first)


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def test_valid_id_stays_and_a_result_belongs_to_its_call() -> None:
    ids = CallIds()
    assert [ids.of_call("call_1"), ids.of_call("call_1")] == ["call_1", "call_1-2"]
    assert [ids.of_result("call_1") for _ in range(3)] == ["call_1", "call_1-2", "call_1-2"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        (' {"a": 1} ', Raw(b'{"a": 1}')),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("{", {"INVALID_JSON": "{"}),
    ],
)
def test_input_is_an_object(arguments: str, expected: object) -> None:
    assert tool_input(arguments) == expected


def test_arguments_lose_their_white_space() -> None:
    assert (compact(Raw(b'{ "a" : 1 }')), compact(Raw(b"null")), compact(Raw(b""))) == ('{"a":1}', "{}", "{}")
    with pytest.raises(ValueError, match="Expected"):
        compact(Raw(b"[1]"))


def test_call_is_complete_once_its_arguments_are_an_object() -> None:
    call = OpenCall("1", "f", [])
    for part, is_complete in (('{"a"', False), (":1", False), ("}", True)):
        call.arguments.append(part)
        assert call.is_complete() is is_complete
