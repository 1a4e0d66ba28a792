"""Shapes that several parts of a chat request share, and their decoding with errors that name the field."""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import CacheMark
from pointsman.wire.json_object import UNREADABLE, rejection

T = TypeVar("T")


class ChatCacheControl(Struct, gc=False):
    """`cache_control` as OpenRouter's and LiteLLM's clients send it.
    https://openrouter.ai/docs/guides/best-practices/prompt-caching"""

    type: str = "ephemeral"
    ttl: str | None = None


def mark_of(control: ChatCacheControl | None) -> CacheMark | None:
    """Return the mark in the common form."""
    return None if control is None else CacheMark(control.ttl or "")


def decode_at(decoder: "msgspec.json.Decoder[T]", raw: Raw | bytes, place: str) -> T:
    """Decode a value of a request. Raises `Rejection` that names the field, which is at `place`."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        field = place + path.rstrip("`")
        raise rejection(f"the field {field!r}: {message[0].lower()}{message[1:]}", field) from None
    except UNREADABLE:
        raise rejection(f"the field {place!r} is not valid JSON", place) from None
