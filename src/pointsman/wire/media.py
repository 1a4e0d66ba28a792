"""How many parts of a prompt are media: those named by address are few bytes, and cost many tokens.

https://platform.openai.com/docs/api-reference/chat/create (`messages`), …/responses/create (`input`)
"""

import re

import msgspec
from msgspec import Raw, Struct

TYPES = frozenset({"image_url", "input_audio", "file", "input_image", "input_file", "video_url"})


class _Part(Struct, gc=False):
    type: str = ""


_PARTS = msgspec.json.Decoder(list[_Part])
_ESCAPED = re.compile(rb"\\u00[2-7]")  # of a character that needs no escape
_MARKS = tuple(f'"{name}"'.encode() for name in sorted(TYPES))


def in_content(content: Raw) -> int:
    """The media in the `content` of one message: a text, or a list of parts that each state their type. What is
    neither has none: a provider refuses it."""
    text = bytes(content)
    if not text.startswith(b"["):
        return 0
    try:
        return sum(part.type in TYPES for part in _PARTS.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return 0


def in_value(value: Raw | None) -> int:
    """The most media that a JSON value of any shape can hold: the names of their types are counted wherever they are,
    read through escapes as a provider reads them."""
    if value is None:
        return 0
    text = bytes(value)
    hidden = 0
    if b"\\u" in text:
        try:
            text = msgspec.json.encode(msgspec.json.decode(text))
        except (msgspec.DecodeError, RecursionError):  # half of a pair, say: any escape may then hide a mark
            hidden = len(_ESCAPED.findall(text))
    return sum(text.count(mark) for mark in _MARKS) + hidden
