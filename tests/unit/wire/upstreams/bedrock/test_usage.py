"""The usage of Converse."""

import json

import pytest
from msgspec import Raw

from pointsman.domain.outcomes import Usage
from pointsman.wire.upstreams.bedrock.usage import read_usage


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}, Usage(5, 7)),
        # Recorded: the tokens of the cache are not among the input tokens.
        (
            {"inputTokens": 22, "outputTokens": 13, "cacheReadInputTokens": 0, "cacheWriteInputTokens": 2492},
            Usage(2514, 13, tokens_cache_write=2492),
        ),
        ({"inputTokens": 22, "outputTokens": 13, "cacheReadInputTokens": 100}, Usage(122, 13, tokens_cached=100)),
        (
            {
                "inputTokens": 1,
                "outputTokens": 1,
                "cacheWriteInputTokens": 10,
                "cacheDetails": [{"ttl": "5m", "inputTokens": 4}, {"ttl": "1h", "inputTokens": 6}],
            },
            Usage(11, 1, tokens_cache_write=4, tokens_cache_write_1h=6),
        ),
        ({"inputTokens": 0, "outputTokens": 0}, None),
        ({"inputTokens": "many"}, None),
        ([], None),
        (None, None),
    ],
)
def test_counts_are_normalised(given: object, expected: Usage | None) -> None:
    assert read_usage(Raw(json.dumps(given).encode())) == expected
