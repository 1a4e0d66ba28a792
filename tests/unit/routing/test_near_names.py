"""Names near a misspelt one."""

import pytest

from pointsman.routing.near_names import NearNames

NAMES = NearNames((
    "gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.1", "claude-sonnet-4", "claude-sonnet-4-5", "claude-sonnet-5",
    "claude-opus-5", "gemini-2.5-flash", "gemini-2.5-pro", "llama-3.3-70b-instruct", "llama-3.1-8b-instruct",
    "text-embedding-3-small", "mistral-large-latest",
))  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("gpt-40", "gpt-4o"),
        ("gpt4o", "gpt-4o"),
        ("gpt-4o-min", "gpt-4o-mini"),
        ("cluade-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-45", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("gemini-flash-2.5", "gemini-2.5-flash"),
        ("llama3.3", "llama-3.3-70b-instruct"),
        ("TEXT-EMBEDING-3-SMALL", "text-embedding-3-small"),
    ],
)
def test_nearest_name_comes_first(typed: str, first: str) -> None:
    assert NAMES.near(typed)[0] == first


def test_newest_version_comes_first_for_a_part_of_a_name() -> None:
    assert NAMES.near("sonnet") == ["claude-sonnet-5", "claude-sonnet-4-5", "claude-sonnet-4"]


@pytest.mark.parametrize("typed", ["my-finetuned-model", "default", "", "x", "9" * 10_000])
def test_foreign_name_is_near_nothing(typed: str) -> None:
    assert NAMES.near(typed) == []


def test_number_of_names_is_bounded() -> None:
    assert len(NAMES.near("claude", most=2)) == 2
    assert NearNames(()).near("gpt-4o") == []
