"""Blocks of the beginning of a prompt."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fakes.routing import call
from pointsman.domain.calls import Call, Prefix
from pointsman.wire.prefixes import BLOCK_BYTES, LEAST_BYTES, MOST_BYTES, WHOLE_BYTES, prefix_of, tokens_of

TURN = "All of this turn is text. " * 40


def chat(*turns: str, **fields: Any) -> Call:
    body = {**fields, "messages": [{"role": "user", "content": turn} for turn in turns]}
    raw = json.dumps(body).encode()
    return replace(call(), fields=msgspec.json.decode(raw, type=dict[str, msgspec.Raw]), size=len(raw))


def blocks(*turns: str, **fields: Any) -> tuple[int, ...]:
    found = prefix_of(chat(*turns, **fields))
    assert found is not None
    return found.blocks


def test_longer_conversation_begins_with_the_blocks_of_the_shorter_one() -> None:
    short, long = blocks(*[TURN] * 12), blocks(*[TURN] * 20)
    assert len(short) == 6
    assert long[: len(short)] == short
    assert len(long) > len(short)


def test_change_in_one_block_changes_all_that_follow() -> None:
    turns = [TURN] * 20
    changed = blocks(*turns[:10], TURN.replace("turn", "talk"), *turns[11:])
    same = [one == other for one, other in zip(blocks(*turns), changed, strict=True)]
    assert same == sorted(same, reverse=True)
    assert any(same)
    assert not all(same)


def test_tools_and_instructions_come_before_messages() -> None:
    turns = [TURN] * 10
    plain, with_tools = blocks(*turns), blocks(*turns, tools=[{"name": "look"}])
    assert not set(plain) & set(with_tools)
    assert set(with_tools).isdisjoint(blocks(*turns, tools=[{"name": "find"}]))
    assert blocks(*turns, temperature=0.1) == plain, "other fields do not matter"


def test_short_prompts_and_requests_without_text_have_none() -> None:
    assert prefix_of(chat("x" * (LEAST_BYTES - 100))) is None
    assert prefix_of(chat("hello", user="x" * LEAST_BYTES)) is None, "the prompt itself is short"
    assert prefix_of(replace(call(operation="audio"), size=10**6)) is None
    assert prefix_of(replace(call(), size=10**6)) is None, "the body is passed through"


@given(st.integers(1, 2 * MOST_BYTES // BLOCK_BYTES))
def test_blocks_cover_the_prompt_as_far_as_it_is_read(count: int) -> None:
    found = blocks("x" * (count * BLOCK_BYTES + LEAST_BYTES))
    size = min((count + 2) * BLOCK_BYTES, MOST_BYTES)
    assert 4 * tokens_of(len(found)) <= size + 100
    assert 4 * tokens_of(len(found)) > size - (BLOCK_BYTES if size < WHOLE_BYTES else 4 * BLOCK_BYTES)
    assert len(found) <= 64


@pytest.mark.parametrize("fields", [{"prompt_cache_key": "a"}, {"session": "a"}])
def test_group_is_the_cache_key_or_the_session(fields: dict[str, str]) -> None:
    def group(value: str) -> int:
        request = chat(*[TURN] * 10, **({} if "session" in fields else {"prompt_cache_key": value}))
        if "session" in fields:
            request = replace(request, head=replace(request.head, session=value))
        found = prefix_of(request)
        assert found is not None
        return found.group

    assert group("a") == group("a") != group("b")
    assert group("a")
    assert prefix_of(chat(*[TURN] * 10)) == Prefix(blocks(*[TURN] * 10), 0)
    assert prefix_of(chat(*[TURN] * 10, prompt_cache_key=None)) == Prefix(blocks(*[TURN] * 10), 0)
