"""The estimated tokens of a prompt: its text and its media, without the JSON around them."""

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.money import make_call
from fakes.wire import parse
from pointsman.simulate.chat import ChatRequest, prompt_tokens
from pointsman.wire.tokens import FILE_TOKENS, IMAGE_TOKENS, USUAL_RECORDING_TOKENS, about_tokens

CHAT, TEXT, RESPONSES, VECTORS = "/chat/completions", "/completions", "/responses", "/embeddings"
PICTURE = "data:image/png;base64," + "A" * 1_500_000
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
TOOL_BYTES = len(json.dumps(TOOLS, separators=(",", ":")))


def user(content: object, **more: object) -> dict[str, object]:
    return {"role": "user", "content": content, **more}


def text(value: str) -> dict[str, object]:
    return {"type": "text", "text": value}


@pytest.mark.parametrize(
    ("path", "prompt", "tokens"),
    [
        (CHAT, {"messages": [user("hi 12")]}, 3 + 4 + 2),
        (CHAT, {"messages": [user("hi 12"), user([text("12345678")]), user(None)]}, 3 + 6 + 6 + 4),
        (CHAT, {"messages": [user("größe")]}, 3 + 4 + 2),
        (CHAT, {"messages": [user("a")], "metadata": {"x": "y" * 999}, "user": "z" * 999}, 3 + 4 + 1),
        (CHAT, {"messages": [user("a")], "tools": TOOLS}, 3 + 4 + 1 + -(-TOOL_BYTES // 4)),
        (CHAT, {"messages": [user("a", tool_calls=TOOLS)]}, 3 + 4 + 1 + -(-TOOL_BYTES // 4)),
        (CHAT, {"messages": [user("a", tool_calls=[])], "tools": None}, 3 + 4 + 1),
        (CHAT, {"messages": [user("a")], "response_format": {"type": "json_object"}}, 3 + 4 + 1),
        (CHAT, {"messages": [user("a")], "response_format": {"schema": 1}}, 3 + 4 + 1 + 3),
        (CHAT, {"messages": [user([{"type": "image_url", "image_url": {"url": PICTURE}}])]}, 7 + IMAGE_TOKENS),
        (CHAT, {"messages": [user([{"image_url": {"url": PICTURE}}, text("abcde")])]}, 7 + IMAGE_TOKENS + 2),
        (CHAT, {"messages": [user([{"type": "file", "file": {"file_id": "f"}}])]}, 7 + FILE_TOKENS),
        (CHAT, {"messages": [user(["abcde", {"type": "new", "of": "abcde"}])]}, 3 + 4 + 2 + 2),
        (TEXT, {"prompt": "hello"}, 2),
        (TEXT, {"prompt": ["hello", "a"], "suffix": "b"}, 2 + 1 + 1),
        (TEXT, {"prompt": [5, 6, 7]}, 3),
        (TEXT, {"prompt": [[5, 6, 7], [8]]}, 4),
        (VECTORS, {"input": ["hello", "a"]}, 3),
        (RESPONSES, {"input": "hello", "instructions": "be brief"}, 3 + 4 + 2 + 2),
        (RESPONSES, {"input": [user("hello"), {"type": "function_call_output", "output": "abc"}]}, 3 + 6 + 5),
        (RESPONSES, {"input": [user([{"type": "input_image", "image_url": PICTURE}])]}, 7 + IMAGE_TOKENS),
        (RESPONSES, {"input": [{"output": {"type": "computer_screenshot", "image_url": PICTURE}}]}, 7 + IMAGE_TOKENS),
        ("/audio/speech", {"input": "hello"}, 2),
    ],
)
def test_prompt_is_estimated_by_its_text(path: str, prompt: dict[str, object], tokens: int) -> None:
    body = {"model": "m", **prompt}
    assert about_tokens(parse(body, path)) == tokens
    assert about_tokens(parse(json.dumps(body, ensure_ascii=False, indent=4).encode(), path)) == tokens


def test_recordings_and_files_are_estimated_by_their_bytes() -> None:
    def held(part: dict[str, object]) -> int:
        return about_tokens(parse({"model": "m", "messages": [user([part])]})) - 7

    def recording(size: int) -> int:
        return held({"type": "input_audio", "input_audio": {"data": b64encode(bytes(size)).decode(), "format": "mp3"}})

    assert recording(100) == USUAL_RECORDING_TOKENS
    assert recording(1_600_000) == 1_000
    file = "data:application/pdf;base64," + b64encode(bytes(320_000)).decode()
    assert held({"type": "file", "file": {"file_data": file}}) == pytest.approx(10_000, rel=0.001)


def test_form_is_estimated_by_its_size() -> None:
    assert about_tokens(make_call("audio", size=3_200_000)) == 2_000
    assert about_tokens(make_call("image", size=400)) == 100


@pytest.mark.parametrize("content", [b'"\\ud800 half of a pair"', b"[" * 99_999 + b"]" * 99_999, b'[{"type":7}]'])
def test_unreadable_prompt_is_estimated_by_its_size(content: bytes) -> None:
    call = parse({"model": "m", "messages": [user("a")]})
    call.fields["messages"] = msgspec.Raw(b'[{"role":"user","content":' + content + b"}]")
    assert about_tokens(call) == 3 + -(-len(bytes(call.fields["messages"])) // 4)


_CONTENTS = st.none() | st.text(max_size=40) | st.lists(st.builds(text, st.text(max_size=40)), max_size=3)
_MESSAGES = st.lists(st.builds(user, _CONTENTS, tool_calls=st.none() | st.just(TOOLS)), min_size=1, max_size=4)


@given(_MESSAGES, st.none() | st.just(TOOLS), st.booleans())
def test_chat_estimate_is_close_above_provider_count(
    messages: list[dict[str, Any]], tools: object, is_ascii: bool
) -> None:
    body = json.dumps({"model": "m", "messages": messages, "tools": tools}, ensure_ascii=is_ascii)
    billed = prompt_tokens(msgspec.json.decode(body, type=ChatRequest))
    assert billed <= about_tokens(parse(body.encode())) <= billed + len(messages)
