"""Usage in Anthropic's dialect, whose input excludes the tokens of a cache."""

from msgspec import Raw

from pointsman.domain.outcomes import Usage
from pointsman.wire.dialects.anthropic.usage import AnthropicUsage, read_counts, written_usage


def test_input_includes_the_cache() -> None:
    counts = read_counts(
        Raw(
            b'{"input_tokens":5,"cache_creation_input_tokens":30,"cache_read_input_tokens":100,"output_tokens":9,'
            b'"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},'
            b'"output_tokens_details":{"thinking_tokens":4},"service_tier":"priority",'
            b'"server_tool_use":{"web_search_requests":2,"web_fetch_requests":null}}'
        )
    )
    assert counts is not None
    assert counts.normalised() == Usage(
        135,
        9,
        100,
        4,
        tokens_cache_write=10,
        tokens_cache_write_1h=20,
        tier="priority",
        tools=(("web_search", 2), ("web_fetch", 0)),
    )


def test_later_counts_replace_earlier_ones() -> None:
    earlier = AnthropicUsage(input_tokens=5, output_tokens=1, service_tier="standard")
    later = earlier.updated(AnthropicUsage(output_tokens=7, cache_read_input_tokens=2))
    assert later.normalised() == Usage(7, 7, 2, tier="standard")


def test_malformed_usage_is_none() -> None:
    assert read_counts(Raw(b'{"input_tokens":-1}')) is None
    assert read_counts(Raw(b"null")) is None
    assert read_counts(Raw(b"")) is None


def test_usage_of_another_dialect_is_shown_with_known_fields_only() -> None:
    shown = written_usage(Usage(10, 3, 4, tier="default", tools=(("live_search", 2), ("web_search", 1))))
    assert (shown["input_tokens"], shown["cache_read_input_tokens"], shown["output_tokens"]) == (6, 4, 3)
    assert shown["server_tool_use"] == {"web_search_requests": 1}
    assert shown["service_tier"] == "standard"
    assert "service_tier" not in written_usage(Usage(1, 1, tier="flex"))
