"""Shapes that several parts of a chat request share."""

from msgspec import Struct

from pointsman.domain.conversations import CacheMark


class ChatCacheControl(Struct, gc=False):
    """`cache_control` as OpenRouter's and LiteLLM's clients send it.
    https://openrouter.ai/docs/guides/best-practices/prompt-caching"""

    type: str = "ephemeral"
    ttl: str | None = None


def mark_of(control: ChatCacheControl | None) -> CacheMark | None:
    """Return the mark in the common form."""
    return None if control is None else CacheMark(control.ttl or "")
