"""Usage objects in the spellings of OpenAI's dialects."""

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
        (b'{"server_tool_use": {"web_search_requests": 2}}', Usage(tools=(("web_search", 2),))),
        (b'{"prompt_tokens": -1}', None),
        (b"null", None),
        (b"[", None),
    ],
)
def test_usage_is_read_in_each_spelling(text: bytes, expected: Usage | None) -> None:
    assert read_usage(Raw(text)) == expected
