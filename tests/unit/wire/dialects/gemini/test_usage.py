"""The counts of Gemini's answers in the common form."""

import json
from typing import Any

import pytest
from msgspec import Raw

from pointsman.domain.outcomes import Usage
from pointsman.wire.dialects.gemini.usage import read_usage


def read(**fields: Any) -> Usage | None:
    return read_usage(Raw(json.dumps(fields).encode()))


def test_thoughts_are_output_and_cached_tokens_are_input() -> None:
    found = read(
        promptTokenCount=100,
        cachedContentTokenCount=60,
        candidatesTokenCount=7,
        thoughtsTokenCount=13,
        totalTokenCount=120,
        serviceTier="standard",
    )
    assert found == Usage(100, 20, tokens_cached=60, tokens_reasoning=13, tier="standard")


def test_sum_of_both_sides_is_the_total_of_google() -> None:
    found = read(
        promptTokenCount=15,
        toolUsePromptTokenCount=288,
        candidatesTokenCount=40,
        thoughtsTokenCount=257,
        totalTokenCount=600,
    )
    assert found is not None
    assert (found.tokens_in, found.tokens_out) == (303, 297)
    assert found.tokens_in + found.tokens_out == 600


def test_modalities_are_parts_of_both_sides() -> None:
    found = read(
        promptTokenCount=1_300,
        toolUsePromptTokenCount=10,
        candidatesTokenCount=50,
        promptTokensDetails=[
            {"modality": "TEXT", "tokenCount": 10},
            {"modality": "AUDIO", "tokenCount": 1_000},
            {"modality": "IMAGE", "tokenCount": 258},
            {"modality": "DOCUMENT", "tokenCount": 32},
        ],
        toolUsePromptTokensDetails=[{"modality": "AUDIO", "tokenCount": 10}],
        candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 30}, {"modality": "IMAGE"}],
    )
    assert found == Usage(1_310, 50, audio_in=1_010, image_in=258, audio_out=30)


def test_cached_tokens_never_exceed_the_prompt() -> None:
    found = read(promptTokenCount=5, cachedContentTokenCount=9)
    assert found is not None
    assert found.tokens_cached == 5


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b"[]", b'{"promptTokenCount":-1}', b'{"promptTokenCount":"5"}'])
def test_missing_or_malformed_counts_are_none(raw: bytes) -> None:
    assert read_usage(Raw(raw)) is None
