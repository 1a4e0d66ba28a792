"""Go on with a streamed answer in OpenAI's chat dialect that broke off.

https://platform.openai.com/docs/api-reference/chat-streaming: every chunk has the same id, model and time, and only the
first one has the role.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.pieces import Start
from pointsman.wire.delivered import appended
from pointsman.wire.json_object import read_leniently
from pointsman.wire.openai_chat.write_answer import ChatWriter
from pointsman.wire.thinking import requests_none
from pointsman.wire.translation import PieceWriter, Resuming

# The fields that request reasoning, of OpenAI, OpenRouter, Anthropic by LiteLLM, and Qwen.
_REASONING = frozenset({"reasoning_effort", "reasoning", "include_reasoning", "thinking", "enable_thinking"})


class _Head(Struct, gc=False):
    id: str | int | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[Raw] | None = None


_HEAD = msgspec.json.Decoder(_Head)


class ChatResumption:
    """A `Resumption`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._head: _Head | None = None

    def follow(self, data: bytes) -> None:
        if self._head is None and data.strip() != b"[DONE]":
            head = read_leniently(_HEAD, data)
            self._head = head if head.choices else None

    def writer(self) -> PieceWriter:
        head = self._head or _Head()
        found = ChatWriter(self._call, float(head.created or 0))
        found.write((Start(str(head.id or ""), head.model or ""),))  # the chunk with the role, which the client has
        return found


def continued(fields: dict[str, Raw], text: str) -> dict[str, Raw]:
    """Return the fields of a request for the rest of an answer."""
    kept = {name: raw for name, raw in fields.items() if name not in _REASONING or requests_none(raw)}
    kept["messages"] = appended(fields["messages"], {"role": "assistant", "content": text})
    return kept


RESUMING = Resuming(follow=ChatResumption, continued=continued)
