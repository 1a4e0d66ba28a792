"""Usage objects in the spellings of OpenAI's dialects."""

import msgspec
import pytest
from msgspec import Raw

from pointsman.domain.outcomes import Usage
from pointsman.wire.usage import read_usage


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"prompt_tokens": 3, "completion_tokens": 2}', Usage(3, 2)),
        (b'{"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}', Usage(3, 2, 1)),
        (b'{"input_tokens": 3, "input_tokens_details": {"cache_write_tokens": 1}}', Usage(3, tokens_cache_write=1)),
        (
            b'{"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}',
            Usage(3, 9, 0, 7),
        ),
        (b'{"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 6}', Usage(9, 2, 6)),
        (b'{"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "cached_tokens": 6}', Usage(9, 2, 6)),
        (
            b'{"prompt_tokens": 9, "prompt_cache_hit_tokens": 6, "prompt_tokens_details": {"cached_tokens": 6}}',
            Usage(9, 0, 6),
        ),
        (b'{"server_tool_use": {"web_search_requests": 2}}', Usage(tools=(("web_search", 2),))),
        (b'{"prompt_tokens": -1}', None),
        (b"null", None),
        (b"[", None),
    ],
)
def test_usage_is_read_in_each_spelling(text: bytes, expected: Usage | None) -> None:
    assert read_usage(Raw(text)) == expected


@pytest.mark.parametrize(
    ("total", "tokens_out"),
    [
        (135, 103),  # xAI's total: a prompt, an answer, and the reasoning apart from it
        (41, 9),  # OpenAI's total: the reasoning is a part of the answer
        (None, 9),
        (140, 9),  # of something else
    ],
)
def test_reasoning_that_the_answer_does_not_count_is_added(total: int | None, tokens_out: int) -> None:
    usage = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": 94},
    }
    assert read_usage(Raw(msgspec.json.encode(usage))) == Usage(32, tokens_out, 0, 94)
