"""Addresses of images and documents in conversations of every dialect, and the same conversations with the contents."""

import json
from typing import Any

import pytest

from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.wire.remote_media import Content, addresses_in, type_of, with_contents

IMAGE, FILE = "https://a.test/b.png", "https://a.test/doc.pdf?x=1"
CONTENTS = {IMAGE: Content("image/png", "AAAA"), FILE: Content("application/pdf", "BBBB")}
PNG, PDF = "data:image/png;base64,AAAA", "data:application/pdf;base64,BBBB"


def call_of(path: str, *parts: Any, dialect: str = "openai") -> Call:
    field = "input" if path == "/responses" else "messages"
    body: dict[str, Any] = {"model": "m", field: [{"role": "user", "content": [*parts]}]}
    if path == "/messages":
        body["max_tokens"] = 9
    return parse(body, path, dialect=dialect)


def parts_of(call: Call) -> Any:
    field = "input" if "input" in call.fields else "messages"
    return json.loads(bytes(call.fields[field]))[0]["content"]


@pytest.mark.parametrize(
    ("path", "dialect", "given", "expected"),
    [
        (
            "/chat/completions",
            "openai",
            {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        ),
        (
            "/chat/completions",
            "openai",
            {"type": "image_url", "image_url": IMAGE},
            {"type": "image_url", "image_url": PNG},
        ),
        (
            "/chat/completions",
            "openai",
            {"type": "file", "file": {"file_data": FILE}},
            {"type": "file", "file": {"file_data": PDF}},
        ),
        (
            "/responses",
            "openai-responses",
            {"type": "input_image", "image_url": IMAGE},
            {"type": "input_image", "image_url": PNG},
        ),
        (
            "/responses",
            "openai-responses",
            {"type": "input_file", "file_url": FILE},
            {"type": "input_file", "file_data": PDF, "filename": "doc.pdf"},
        ),
        (
            "/messages",
            "anthropic",
            {"type": "document", "title": "t", "source": {"type": "url", "url": FILE}},
            {
                "type": "document",
                "title": "t",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"},
            },
        ),
        (
            "/messages",
            "anthropic",
            {"type": "image", "source": {"type": "url", "url": IMAGE}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        ),
    ],
)
def test_addresses_become_contents(path: str, dialect: str, given: Any, expected: Any) -> None:
    text = {"type": "input_text" if path == "/responses" else "text", "text": IMAGE}
    call = call_of(path, text, given, dialect=dialect)
    (address,) = addresses_in(call)
    assert address in CONTENTS
    changed = with_contents(call, CONTENTS)
    assert parts_of(changed) == [text, expected], "a text is no address"
    assert addresses_in(changed) == {}
    assert parts_of(call) == [text, given]
    assert changed.size - call.size == len(changed.fields["input" if "input" in call.fields else "messages"]) - len(
        call.fields["input" if "input" in call.fields else "messages"]
    )
    assert changed.media.count == 1


def test_part_that_must_be_an_image_is_noted() -> None:
    call = call_of(
        "/chat/completions", {"type": "image_url", "image_url": IMAGE}, {"type": "file", "file": {"file_data": FILE}}
    )
    assert addresses_in(call) == {IMAGE: True, FILE: False}


PICTURE = {"type": "image", "source": {"type": "url", "url": IMAGE}}


def test_arguments_of_tools_are_no_media() -> None:
    called = {"type": "tool_use", "id": "t1", "name": "show", "input": {"parts": [PICTURE], "content": [PICTURE]}}
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": [called]}]
    call = parse({"model": "m", "max_tokens": 9, "messages": turns}, "/messages", dialect="anthropic")
    assert addresses_in(call) == {}
    item = {"type": "input_image", "image_url": IMAGE}
    arguments = {"type": "mcp_call", "id": "1", "name": "n", "server_label": "s", "arguments": [item], "action": item}
    call = parse({"model": "m", "input": [arguments]}, "/responses", dialect="openai-responses")
    assert addresses_in(call) == {}


def test_results_of_tools_have_media() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [PICTURE]}
    document = {"type": "document", "source": {"type": "content", "content": [PICTURE]}}
    for part in (result, document):
        assert addresses_in(call_of("/messages", part, dialect="anthropic")) == {IMAGE: True}
    output = {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image", "image_url": IMAGE}]}
    call = parse({"model": "m", "input": [output]}, "/responses", dialect="openai-responses")
    assert addresses_in(call) == {IMAGE: True}
    assert addresses_in(with_contents(call, CONTENTS)) == {}


def test_files_of_geminis_requests_become_contents() -> None:
    file = {"fileData": {"mimeType": "image/png", "fileUri": IMAGE}}
    result = {"functionResponse": {"name": "f", "response": {}, "parts": [{"fileData": {"fileUri": FILE}}]}}
    called = {"functionCall": {"name": "f", "args": {"parts": [file], "content": [file]}}}
    stored = {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}}
    turns = [
        {"role": "user", "parts": [{"text": IMAGE}, file]},
        {"role": "model", "parts": [called]},
        {"role": "user", "parts": [result]},
    ]
    call = parse({"contents": turns}, "/generateContent")
    assert addresses_in(call) == {IMAGE: True, FILE: False}
    changed = with_contents(call, CONTENTS)
    first, second, third = json.loads(bytes(changed.fields["contents"]))
    assert first["parts"] == [{"text": IMAGE}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    assert second["parts"] == [called], "arguments of tools are no media"
    (inner,) = third["parts"][0]["functionResponse"]["parts"]
    assert inner == {"inlineData": {"mimeType": "application/pdf", "data": "BBBB"}}
    assert addresses_in(changed) == {}
    assert addresses_in(parse({"contents": [{"role": "user", "parts": [stored]}]}, "/generateContent")) == {}


def test_other_addresses_are_not_fetched() -> None:
    inline = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    call = call_of("/chat/completions", inline, {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})
    assert addresses_in(call) == {}
    assert addresses_in(parse({"model": "m", "messages": [{"role": "user", "content": IMAGE}]})) == {}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"<svg xmlns=", None),
        (b"<html>", None),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"", None),
    ],
)
def test_type_is_read_from_the_first_bytes(data: bytes, expected: str | None) -> None:
    assert type_of(data) == expected
