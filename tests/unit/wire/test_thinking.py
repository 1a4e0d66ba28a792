"""Efforts and budgets of reasoning stand for each other."""

from typing import get_args

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import make_call
from pointsman.domain.conversations import Effort, Thinking
from pointsman.wire.thinking import budget_in, budget_of, effort_of, requests_none


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(0, "none"), (1, "low"), (1_024, "low"), (1_025, "medium"), (8_192, "medium"), (9_000, "high"), (99_999, "high")],
)
def test_budget_becomes_an_effort(tokens: int, expected: Effort) -> None:
    assert effort_of(Thinking(is_on=True, budget_tokens=tokens)) == expected


@pytest.mark.parametrize("effort", get_args(Effort))
def test_effort_is_kept_and_has_a_budget(effort: Effort) -> None:
    assert effort_of(Thinking(effort=effort)) == effort
    budget = budget_of(Thinking(effort=effort))
    assert budget is not None
    assert effort_of(Thinking(budget_tokens=budget)) in (effort, "low", "high")


def test_budget_counts_more_than_its_effort() -> None:
    assert budget_of(Thinking(effort="low", budget_tokens=7)) == 7


def test_request_without_either_has_neither() -> None:
    assert effort_of(Thinking(is_on=True)) is None
    assert budget_of(Thinking(is_on=True)) is None


def test_reasoning_that_is_switched_off_has_no_effort() -> None:
    assert effort_of(Thinking(is_on=False)) == "none"


@pytest.mark.parametrize(
    ("fields", "stated", "expected"),
    [
        ({}, 4000, 0),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 4000, 2000),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, None, 2000),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 2000, 0),  # it counts for several answers
        ({"thinking": {"type": "adaptive"}}, 4000, 0),
        ({"reasoning": {"max_tokens": 700}}, 4000, 700),
        ({"reasoning": {"effort": "high"}}, 4000, 0),
        ({"reasoning": "deep", "thinking": None}, 4000, 0),
    ],
)
def test_budget_in_a_request_is_read(fields: dict[str, object], stated: int | None, expected: int) -> None:
    assert budget_in(replace(make_call(fields=fields), stated_tokens=stated)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"false", True),
        (b'"none"', True),
        (b'{"type": "disabled"}', True),
        (b'{"enabled": false}', True),
        (b'{"effort": "none"}', True),
        (b'{"max_tokens": 0}', True),
        (b'{"thinkingBudget": 0}', True),
        (b'{"thinkingBudget": -1}', False),
        (b"true", False),
        (b'"low"', False),
        (b'{"type": "enabled", "budget_tokens": 1024}', False),
        (b'{"summary": "auto"}', False),
        (b"null", False),
        (b"{", False),
    ],
)
def test_field_that_turns_reasoning_off(value: bytes, expected: bool) -> None:
    assert requests_none(Raw(value)) is expected
