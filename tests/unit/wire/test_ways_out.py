"""Tools that a provider runs, and addresses that it fetches, are found in every dialect, and ordinary requests have
none."""

import json
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import make_call
from fakes.wire import parse
from pointsman.domain.calls import Media
from pointsman.domain.operations import Operation
from pointsman.wire.bounds import SMALL_BYTES
from pointsman.wire.ways_out import WayOut, is_allowed, is_remote_text, ways_out_of

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"url": {"type": "string"}}}}}
LONG = "x" * SMALL_BYTES


def names(operation: Operation = "chat", **fields: Any) -> list[str]:
    return [way.name for way in ways_out_of(make_call(operation, fields=fields))]


def raw_names(operation: Operation = "chat", **fields: str) -> list[str]:
    found = make_call(operation, fields={})
    found.fields.update({name: Raw(text.encode()) for name, text in fields.items()})
    return [way.name for way in ways_out_of(found)]


def chat(*parts: Any, **fields: Any) -> list[str]:
    body = {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **fields}
    return [way.name for way in ways_out_of(parse(body))]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": 'see https://a.test/x or "url": "http://b"'}]},
        {"tools": [FUNCTION, {"type": "custom", "name": "c"}, {"name": "f", "input_schema": {}}]},
        {"tools": [{"type": "bash_20250124", "name": "bash"}, {"type": "shell", "environment": {"type": "local"}}]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION]}]},
        {"tools": None, "plugins": [], "web_search_options": None, "models": [], "mcp_servers": []},
        {"messages": [{"role": "assistant", "annotations": [{"type": "url_citation", "url": "https://a.test"}]}]},
        {"messages": [{"content": [{"type": "tool_use", "input": {"url": "https://a.test"}}]}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}]},
        {"metadata": {"callback_url": "https://a.test"}, "response_format": {"url": "x"}},
    ],
)
def test_ordinary_requests_have_no_way_out(fields: dict[str, Any]) -> None:
    assert names(**fields) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, ["web_search"]),
        ({"inference_geo": "global"}, ["inference_geo"]),
        ({"tools": [FUNCTION, {"type": "code_interpreter", "container": {"type": "auto"}}]}, ["code_interpreter"]),
        ({"tools": [{"type": "mcp", "server_url": "https://MCP.Example.com:8443/sse"}]}, ["mcp:mcp.example.com:8443"]),
        ({"tools": [{"type": "mcp", "connector_id": "connector_gmail"}]}, ["mcp:connector_gmail"]),
        ({"tools": [{"type": "mcp", "server_url": "https://good.test\\@evil.test/"}]}, ["mcp"]),
        ({"tools": [{"type": "namespace", "tools": [{"type": "file_search"}]}]}, ["file_search"]),
        ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, ["shell"]),
        ({"tools": [{"google_search": {}}]}, ["unknown"]),
        ({"tools": "x"}, ["unknown"]),
        ({"tools": [{"Type": "web_search", "type": "function"}]}, ["unknown"]),
        ({"mcp_servers": [{"type": "url", "url": "https://a.test/x"}]}, ["mcp:a.test"]),
        ({"web_search_options": {}}, ["web_search_options"]),
        ({"Web_Search_Options": {}}, ["web_search_options"]),
        ({"web_search_options": {}, "WEB_SEARCH_OPTIONS": None}, ["unknown"]),
        ({"search_parameters": {"mode": "auto"}}, ["live_search"]),
        ({"plugins": [{"id": "web"}]}, ["plugin:web"]),
        ({"models": ["a/b"], "provider": {"order": ["x"]}}, ["models", "provider"]),
        ({"messages": [{"content": {"image_url": {"url": "https://a.test"}}}]}, ["remote_urls"]),
        ({"tools": [{"type": "image_generation", "input_image_mask": {"image_url": "https://a.test"}}]},
         ["image_generation", "remote_urls"]),
    ],
)  # fmt: skip
def test_ways_out_of_a_chat_are_found(fields: dict[str, Any], expected: list[str]) -> None:
    assert names(**fields) == expected


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://a.test/x.png"}},
        {"type": "image_url", "image_url": "HTTPS://a.test/x.png"},
        {"image_url": {"url": "https:a.test"}},
        {"type": "video_url", "video_url": {"url": "https://a.test/x.mp4"}},
        {"type": "image", "image": "https://a.test/x.png"},
        {"type": "image", "source": {"type": "url", "url": "https://a.test/x.png"}},
        {"type": "input_file", "file_url": "gs://bucket/x"},
        {"type": "document", "padding": LONG, "source": {"type": "url", "url": "https://a.test/x"}},
    ],
)
def test_addresses_of_media_are_found(part: dict[str, Any]) -> None:
    assert chat({"type": "text", "text": "hi"}, part) == ["remote_urls"]


def test_large_data_is_no_address() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{LONG}"}}
    assert chat(image, image) == []
    assert chat({"type": "image", "source": {"type": "base64", "data": LONG}}) == []
    quoting = {"type": "text", "text": f'"data:" and "data:{LONG}'}
    assert chat(quoting, image, {"type": "image_url", "image_url": {"url": "http://a"}}) == ["remote_urls"]


@pytest.mark.parametrize(
    ("operation", "fields", "expected"),
    [
        ("responses", {"prompt": {"id": "p"}}, ["stored_prompts"]),
        ("responses", {"input": [{"type": "additional_tools", "tools": [{"type": "mcp"}]}]}, ["mcp"]),
        ("responses", {"input": [{"content": [{"type": "input_image", "image_url": "http://a"}]}]}, ["remote_urls"]),
        ("batch", {"input_file_id": "f", "endpoint": "/v1/chat/completions"}, ["batches"]),
        ("other", {"tools": [{"type": "code_interpreter"}]}, ["code_interpreter"]),
        ("other", {"thread": {"tools": [{"type": "file_search"}]}}, ["file_search"]),
        ("other", {"training_file": "f", "integrations": [{"type": "wandb"}]}, ["integrations"]),
        ("other", {"input_reference": {"image_url": "https://a.test"}}, ["remote_urls"]),
        ("image", {"image": {"url": "https://a.test"}, "prompt": "x"}, ["remote_urls"]),
        ("image", {"image": "https://a.test", "response_format": "url"}, ["remote_urls"]),
        ("image", {"image": "AAAA", "prompt": "https://a.test"}, []),
        ("audio", {"url": "https://a.test"}, ["remote_urls"]),
        ("embedding", {"input": ["a", {"image": "https://a.test/x"}]}, ["remote_urls"]),
        ("embedding", {"input": [{"image": "aGVsbG8="}, 'an "image" of {"image": "https://a.test"}']}, []),
        ("rerank", {"query": "q", "documents": [{"image": "https://a.test/x"}]}, ["remote_urls"]),
        ("rerank", {"query": {"video": "https://a.test/x"}, "documents": ["d"]}, ["remote_urls"]),
        ("embedding", {"input": ["https://a.test", "b"]}, []),
    ],
)
def test_other_operations(operation: Operation, fields: dict[str, Any], expected: list[str]) -> None:
    assert names(operation, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": '[{"type":"web_search","type":"function"}]'}, ["unknown"]),
        ({"tools": '[{"type":"shell","environment":{"type":"auto","type":"local"}}]'}, ["unknown"]),
        ({"messages": '[{"image_url":{"url":"http://a","url":"data:x"}}]'}, ["remote_urls"]),
        ({"messages": '[{"image_\\u0075rl":"http://a"}]'}, ["remote_urls"]),
        ({"messages": '[{"type":["x"],"url":"http://a"}]'}, ["remote_urls"]),
        ({"tools": "[" + '{"type":"namespace","tools":[' * 9 + "]}" * 9 + "]"}, ["unknown"]),
    ],
)
def test_values_that_servers_may_read_differently_are_ways_out(fields: dict[str, Any], expected: list[str]) -> None:
    assert raw_names(**fields) == expected


def test_a_form_with_an_address_is_found() -> None:
    named = replace(make_call("audio"), remote=("file_url",))
    assert ways_out_of(named) == (WayOut("remote_urls", "file_url"),)
    assert ways_out_of(make_call("audio", media=Media(count=1))) == ()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("image_url", b"https://a.test/x.png", True),
        ("image", b"HTTPS://a.test/x.png", True),
        ("image[]", b" http://a.test", True),
        ("mask", b"https://a.test", True),
        ("images[0][url]", b"gs://bucket/x", True),
        ("webhook", b"https://a.test", True),
        ("style", "https://a.test".encode("utf-16"), True),
        ("image", b'{"url": "https://a.test"}', True),
        ("image", b" " * 64, True),
        ("image", b"data:image/png;base64,AA", False),
        ("image", b"file-abc", False),
        ("prompt", b"https://a.test is a page", False),
        ("user", b"https://a.test", False),
        ("size", b"1024x1024", False),
        ("timestamp_granularities[]", b"word", False),
        ("image", b"", False),
    ],
)
def test_texts_of_forms_that_are_addresses(name: str, text: bytes, expected: bool) -> None:
    assert is_remote_text(name, text) is expected


def test_names_allow_ways_out() -> None:
    way = WayOut("mcp:a.test", "tools", "https://a.test")
    assert is_allowed(way, {"mcp"})
    assert is_allowed(way, {"mcp:a.test"})
    assert not is_allowed(way, {"mcp:b.test", "web_search"})
    assert json.dumps(way.address)


def test_recordings_are_data_and_not_addresses() -> None:
    for size in (0, SMALL_BYTES):
        padding = {"type": "text", "text": "x" * size}
        for data, expected in (("https://a.test/x.wav?" + "x" * size, ["remote_urls"]), ("aGVsbG8=", [])):
            recording = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
            assert chat(padding, recording) == expected


def test_addresses_are_named_without_their_secrets() -> None:
    picture = "https://user:pw@b.s3.example/x.png?X-Amz-Signature=SIG"
    (way,) = ways_out_of(make_call("image", fields={"image": picture}))
    assert way.address == "https://b.s3.example/x.png"
    tools = [{"type": "mcp", "server_label": "s", "server_url": "https://mcp.test/sse?token=SECRET"}]
    (server,) = ways_out_of(make_call("responses", fields={"tools": tools}))
    assert (server.name, server.address) == ("mcp:mcp.test", "https://mcp.test/sse")
