"""Go on with a streamed answer in Anthropic's dialect that broke off.

https://platform.claude.com/docs/en/build-with-claude/streaming: the blocks of a message have consecutive numbers, and
the message has one beginning and one end.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.wire.delivered import appended
from pointsman.wire.dialects.anthropic.answer_writer import MessagesWriter
from pointsman.wire.json_object import read_leniently
from pointsman.wire.thinking import requests_none
from pointsman.wire.translation import PieceWriter, Resuming

# Without thinking, the rules for its blocks are rejected too.
# https://platform.claude.com/docs/en/build-with-claude/context-editing
_REASONING = frozenset({"thinking", "context_management"})


class _Block(Struct, gc=False):
    type: str = ""


class _Event(Struct, gc=False):
    type: str = ""
    index: int = 0
    content_block: _Block | None = None


_EVENT = msgspec.json.Decoder(_Event)


class MessageResumption:
    """A `Resumption`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._index = -1
        self._open = ""  # the type of the open block

    def follow(self, data: bytes) -> None:
        if b'"content_block_s' not in data:  # nearly every event is a delta
            return
        event = read_leniently(_EVENT, data)
        if event.type == "content_block_start" and event.content_block is not None:
            self._index, self._open = event.index, event.content_block.type
        elif event.type == "content_block_stop":
            self._open = ""

    def writer(self) -> PieceWriter:
        return MessagesWriter.resumed(self._call, self._index, is_in_text=self._open == "text")


def continued(fields: dict[str, Raw], text: str) -> dict[str, Raw]:
    """Return the fields of a request for the rest of an answer."""
    thinks = "thinking" in fields and not requests_none(fields["thinking"])
    without = _REASONING if thinks else frozenset[str]()
    kept = {name: raw for name, raw in fields.items() if name not in without}
    kept["messages"] = appended(fields["messages"], {"role": "assistant", "content": text})
    return kept


RESUMING = Resuming(follow=MessageResumption, continued=continued)
