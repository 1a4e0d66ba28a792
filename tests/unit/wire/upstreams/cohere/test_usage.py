"""The usage of Cohere's answers."""

import json

import pytest
from msgspec import Raw

from fakes.cohere import USAGE
from pointsman.domain.outcomes import Usage
from pointsman.wire.upstreams.cohere.usage import read_usage


def usage(value: object) -> Usage | None:
    return read_usage(Raw(json.dumps(value).encode()))


def test_billed_units_outrank_counted_tokens() -> None:
    assert USAGE["tokens"]["input_tokens"] != USAGE["billed_units"]["input_tokens"]
    assert usage(USAGE) == Usage(20, 30, tokens_cached=8)
    assert usage({"tokens": {"input_tokens": 7.0, "output_tokens": 3.0}}) == Usage(7, 3)


def test_cached_tokens_are_a_part_of_the_billed_prompt() -> None:
    assert usage({"billed_units": {"input_tokens": 5, "output_tokens": 1}, "cached_tokens": 144}) == Usage(5, 1, 5)


@pytest.mark.parametrize(
    "value", [None, {}, 3, {"tokens": {"input_tokens": -1}}, {"billed_units": {"input_tokens": 0}}, {"tokens": None}]
)
def test_malformed_usage_counts_as_none(value: object) -> None:
    assert usage(value) is None
