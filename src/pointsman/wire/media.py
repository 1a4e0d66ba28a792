"""How many parts of a prompt are media: those named by address are few bytes, and cost many tokens.

https://platform.openai.com/docs/api-reference/chat/create (`messages`), …/responses/create (`input`)
"""

import msgspec
from msgspec import Raw, Struct

TYPES = frozenset({"image_url", "input_audio", "file", "input_image", "input_file", "video_url"})


class _Part(Struct, gc=False):
    type: str = ""


_PARTS = msgspec.json.Decoder(list[_Part])
_MARKS = tuple(f'"{name}"'.encode() for name in sorted(TYPES))


def in_content(content: Raw) -> int:
    """The media in the `content` of one message: a text, or a list of parts that each state their type. What is
    neither has none: a provider refuses it."""
    text = bytes(content)
    if not text.startswith(b"["):
        return 0
    try:
        return sum(part.type in TYPES for part in _PARTS.decode(text))
    except msgspec.DecodeError:
        return 0


def in_value(value: Raw | None) -> int:
    """The most media that a JSON value of any shape can hold: the names of their types are counted wherever they are,
    read through escapes as a provider reads them."""
    if value is None:
        return 0
    text = bytes(value)
    if b"\\u" in text:
        text = msgspec.json.encode(msgspec.json.decode(text))
    return sum(text.count(mark) for mark in _MARKS)
