"""The prompt of a call of the Messages API: its media, its capabilities, and costs that its bytes do not bound."""

from typing import Any

import pytest
from msgspec import Raw

from fakes.anthropic import HELLO, message_call
from pointsman.domain.calls import NO_MEDIA, Call, Media
from pointsman.wire.dialects.anthropic import DIALECT
from pointsman.wire.dialects.anthropic.prompts import about_tokens, in_content
from pointsman.wire.json_object import encode_object
from pointsman.wire.tokens import IMAGE_TOKENS, MEDIA_TOKENS, MESSAGE_TOKENS, REPLY_TOKENS, most_in
from pointsman.wire.unbounded import USES, Unbounded, Use

ALL = ("tools", "json_schema", "vision", "audio_in", "audio_out", "reasoning")
PNG: dict[str, Any] = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 400}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 400}}
LINK = {"type": "image", "source": {"type": "url", "url": "https://x.test"}}


def call_of(*blocks: Any, **fields: Any) -> Call:
    messages = [{"role": "user", "content": list(blocks) or "hello"}]
    return message_call({**HELLO, "messages": messages, **fields})


def result_of(*blocks: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


@pytest.mark.parametrize(
    ("block", "media"),
    [
        ({"type": "text", "text": "image"}, NO_MEDIA),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"type": "image"}}, NO_MEDIA),
        ({"type": "search_result", "source": "https://x.test", "content": []}, NO_MEDIA),
        (PNG, Media(1, MEDIA_TOKENS, 402)),
        (LINK, Media(1, MEDIA_TOKENS)),
        ({**PNG, "source": {**PNG["source"], "media_type": "image/tiff"}}, Media(1, MEDIA_TOKENS)),
        (PDF, Media(1, MEDIA_TOKENS)),
        ({"type": "document", "source": {"type": "text", "data": "x"}}, NO_MEDIA),
        ({"type": "document", "source": {"type": "content", "content": [PNG]}}, Media(1, MEDIA_TOKENS, 402)),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x.test"}},
            Media(1, MEDIA_TOKENS, elsewhere="document.source.url"),
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, Media(1, MEDIA_TOKENS, elsewhere="file_id")),
        (result_of(PNG, {"type": "text", "text": "x"}), Media(1, MEDIA_TOKENS, 402)),
        ({"type": "web_fetch_tool_result", "content": {}}, Media(1, MEDIA_TOKENS)),
        ({"type": "container_upload", "file_id": "f"}, Media(elsewhere="file_id")),
        ({"type": "hologram"}, Media(elsewhere="content")),
        (result_of(result_of(result_of(result_of(result_of(PNG))))), Media(elsewhere="content")),
        ({"type": 1}, Media(elsewhere="content")),
    ],
)
def test_media_in_a_block(block: dict[str, Any], media: Media) -> None:
    assert in_content(encode_object([block])) == media


def test_text_has_no_media() -> None:
    assert in_content(b'"image"') == NO_MEDIA


def test_bytes_of_an_image_do_not_count_as_text() -> None:
    small, large = call_of(PNG), call_of({**PNG, "source": {**PNG["source"], "data": "A" * 40_000}})
    assert most_in(small) == most_in(large)
    assert about_tokens(small) == about_tokens(large)


def test_estimate_counts_each_part() -> None:
    base = about_tokens(call_of())
    assert base == REPLY_TOKENS + MESSAGE_TOKENS + 2
    assert about_tokens(call_of(system="four" * 4)) == base + 4
    assert about_tokens(call_of(system=[{"type": "text", "text": "four" * 4}])) == base + 4
    assert about_tokens(call_of(PNG)) == REPLY_TOKENS + MESSAGE_TOKENS + IMAGE_TOKENS
    assert about_tokens(call_of(result_of(LINK))) == REPLY_TOKENS + MESSAGE_TOKENS + IMAGE_TOKENS
    assert about_tokens(call_of(tools=[{"name": "f"}])) > base
    assert about_tokens(call_of(output_config={"format": {"schema": {}}})) > base
    assert about_tokens(call_of(output_config={"effort": "low"})) == base


def test_estimate_of_documents() -> None:
    def document(**source: Any) -> int:
        return about_tokens(call_of({"type": "document", "source": source})) - REPLY_TOKENS - MESSAGE_TOKENS

    assert document(type="text", data="four" * 10) == 10
    assert document(type="content", content="four" * 10) == 10
    assert document(type="url", url="https://x.test") == 1_000
    assert document(type="base64", data="A" * 128_000) == 3_000


def test_estimate_of_a_large_body_goes_by_its_size() -> None:
    call = call_of(*[{"type": "text", "text": "a"}] * 20_000)
    assert about_tokens(call) == -(-call.size // 4)
    assert about_tokens(call_of({"type": "text", "text": "a" * 5_000_000})) > 1_250_000


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (call_of(), set()),
        (call_of(tools=[], thinking={"type": "disabled"}, output_config={"effort": "low"}), set()),
        (call_of(tools=[{"name": "f"}]), {"tools"}),
        (call_of(thinking={"type": "adaptive"}), {"reasoning"}),
        (call_of(output_config={"format": {"type": "json_schema", "schema": {}}}), {"json_schema"}),
        (call_of(LINK), {"vision"}),
        (call_of(PDF), set()),
        (call_of({"type": "text", "text": 'an "image"'}), set()),
    ],
)
def test_required_capabilities(call: Call, expected: set[str]) -> None:
    assert DIALECT.needs(call, ALL) == expected
    assert DIALECT.needs(call, ()) == set()


@pytest.mark.parametrize(
    ("fields", "tier"),
    [({}, None), ({"service_tier": "auto"}, "auto"), ({"speed": "fast", "service_tier": "auto"}, "fast")],
)
def test_service_tier(fields: dict[str, Any], tier: str | None) -> None:
    assert DIALECT.service_tier(call_of(**fields)) == tier


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"tools": [{"name": "f"}, {"type": "bash_20250124"}, {"type": "browser_toolset_20260801"}]}, None),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]},
            Unbounded("tools", (Use("web_search", 2, "tools"),)),
        ),
        (
            {"tools": [{"type": "code_execution_20260120", "name": "code_execution"}]},
            Unbounded("tools", (Use("code_execution", USES, "tools"),)),
        ),
        ({"fallbacks": "default"}, Unbounded("fallbacks", (Use("models", 1, "fallbacks"),))),
        ({"fallbacks": ["ours"]}, None),
        ({"mcp_servers": [{"url": "https://x.test"}]}, Unbounded("mcp_servers")),
        ({"mcp_servers": []}, None),
        ({"thread": {"type": "create"}}, Unbounded("thread")),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, Unbounded("context_management")),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, None),
    ],
)
def test_unbounded_input(fields: dict[str, Any], expected: Unbounded | None) -> None:
    assert DIALECT.unbounded(call_of(**fields)) == expected


def test_file_at_the_provider_is_unbounded() -> None:
    found = DIALECT.unbounded(call_of({"type": "document", "source": {"type": "file", "file_id": "f"}}))
    assert found == Unbounded("file_id")


def test_counting_is_free_and_has_no_bound() -> None:
    counting, asking = message_call({"model": "m", "messages": HELLO["messages"]}, counts=True), message_call()
    assert [DIALECT.is_free(counting), DIALECT.is_free(asking)] == [True, False]
    assert [DIALECT.takes_bound(counting), DIALECT.takes_bound(asking)] == [False, True]
    assert not DIALECT.continues_unread(asking)


def test_unreadable_prompt_is_estimated_by_its_size() -> None:
    call = call_of()
    call.fields["messages"] = Raw(b'[{"content":[{"type":1}]}]')
    assert about_tokens(call) == REPLY_TOKENS + 7
