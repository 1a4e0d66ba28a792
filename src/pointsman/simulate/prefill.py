"""A text of the assistant at the end of a conversation, which a model may continue.

Providers differ: some need a mark for it, some repeat the text, others begin anew, or reject it.
"""

from typing import Any

import msgspec

from pointsman.simulate.answers import RequestContext
from pointsman.simulate.anthropic_errors import invalid

_REJECTED = "This model does not support assistant message prefill. The conversation must end with a user message."
_BLANK_END = "messages: final assistant content cannot end with trailing whitespace"


def chat_prefill(context: RequestContext) -> str | None:
    """Return the text that a chat continues, if the provider continues it and the request has its mark."""
    settings = context.settings
    last: dict[str, Any] = msgspec.json.decode(context.fields["messages"])[-1]
    mark = settings.prefill_mark
    is_marked = not mark or last.get(mark) is True or bytes(context.fields.get(mark, b"")) == b"true"
    if last.get("role") != "assistant" or settings.prefill not in ("continued", "echoed") or not is_marked:
        return None
    content = last.get("content")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


def message_prefill(context: RequestContext, text: str | None) -> str | None:
    """Return the text that a message continues. `text` is that of the assistant's last turn, if the conversation ends
    with one. Raise `Rejected` for one that is not accepted.
    https://platform.claude.com/docs/en/about-claude/models/migration-guide"""
    if text is None:
        return None
    if context.settings.prefill == "rejected":
        raise invalid(_REJECTED)
    if text != text.rstrip():
        raise invalid(_BLANK_END)
    return text if context.settings.prefill in ("continued", "echoed") else None


def rest_of(tokens: list[str], prefill: str, *, is_echoed: bool) -> list[str]:
    """Return the tokens of an answer from the end of `prefill` on. If the answer does not begin with it, its tokens
    that are as long as the prefill are left out."""
    length = 0
    for position, token in enumerate(tokens):
        if length >= len(prefill):
            rest = tokens[position:]
            break
        length += len(token)
    else:
        rest = []
    if length > len(prefill):  # the prefill ends within a token
        rest = [("".join(tokens)[:length])[len(prefill) :], *rest]
    return [prefill, *rest] if is_echoed else rest
