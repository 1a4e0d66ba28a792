"""The simulated model."""

from typing import Any

import pytest

from fakes.simulated import context_for
from pointsman.simulate.model import CALL_OVERHEAD, Function, Wish, answer_length, is_sealed, respond, seal

ONE, TWO = Function("one"), Function("two", {"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.mark.parametrize(
    ("wish", "called"),
    [
        (Wish(), []),
        (Wish(functions=[ONE, TWO]), ["one", "two", "one"]),
        (Wish(functions=[ONE, TWO], is_parallel=False), ["one"]),
        (Wish(functions=[TWO], has_result=True), []),
        (Wish(functions=[TWO], has_result=True, must_call=True, is_parallel=False), ["two"]),
    ],
)
def test_functions_are_called_unless_a_result_has_come(wish: Wish, called: list[str]) -> None:
    turn = respond(context_for(parallel_calls=3), wish)
    assert [call.name for call in turn.calls] == called
    assert bool(turn.text) == (not called)


def test_arguments_fit_the_schema() -> None:
    (call,) = respond(context_for(), Wish(functions=[TWO])).calls
    assert call.arguments == '{"city":"x"}'
    assert call.token_count == CALL_OVERHEAD + len(call.tokens)


@pytest.mark.parametrize("limit", range(1, 40))
@pytest.mark.parametrize("fields", [{}, {"functions": [TWO, TWO]}, {"schema": TWO.schema}])
def test_limit_bounds_all_tokens(limit: int, fields: dict[str, Any]) -> None:
    turn = respond(context_for(parallel_calls=2, output_tokens=15), Wish(limit=limit, thinks=True, **fields))
    free = respond(context_for(parallel_calls=2, output_tokens=15), Wish(thinks=True, **fields))
    assert turn.token_count <= limit
    assert turn.is_cut == (free.token_count > limit)
    assert turn.reasoning == free.reasoning[:limit]
    assert not free.is_cut


def test_length_is_the_limit_if_the_settings_say_so() -> None:
    context = context_for(output_tokens="max_tokens")
    assert (answer_length(context, 7), answer_length(context, None)) == (7, 16)
    turn = respond(context, Wish(limit=30, thinks=True))
    assert (turn.token_count, len(turn.reasoning)) == (30, 8)


def test_seal_is_that_of_one_provider_and_one_text() -> None:
    found = seal(context_for(), "thinking", "a")
    assert is_sealed(context_for(), "thinking", "a", found)
    assert not is_sealed(context_for(name="other"), "thinking", "a", found)
    assert not is_sealed(context_for(), "thinking", "b", found)
    assert not is_sealed(context_for(), "reasoning", "a", found)
    assert not is_sealed(context_for(), "thinking", "a", None)
