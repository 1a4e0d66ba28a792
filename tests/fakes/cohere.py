"""Builders for answers in Cohere's dialect, and a reader of its requests."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.domain.conversations import Conversation, Part, Text, ToolCall, ToolResult, Turn
from pointsman.domain.pieces import Piece
from pointsman.wire.sse import EventSplitter, event_data, split_events
from pointsman.wire.upstreams.cohere import HALVES

USAGE: dict[str, Any] = {
    "billed_units": {"input_tokens": 20.0, "output_tokens": 30.0},
    "tokens": {"input_tokens": 213.0, "output_tokens": 41.0},
    "cached_tokens": 8.0,
}


def answer(*blocks: Mapping[str, Any], finish: str | None = "COMPLETE", **message: Any) -> dict[str, Any]:
    """Return a whole answer."""
    found: dict[str, Any] = {"role": "assistant", "content": list(blocks), **message}
    return {"id": "r-1", "message": found, "finish_reason": finish, "usage": USAGE}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def thought(value: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": value}


def call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def event(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    """Return an event of a stream with a part of a message."""
    found: dict[str, Any] = {"type": kind} if index is None else {"type": kind, "index": index}
    return {**found, "delta": {"message": message}} if message else found


def block(index: int, kind: str, *parts: str) -> list[dict[str, Any]]:
    """Return the events of a block of `text` or `thinking`."""
    return [
        event("content-start", index, content={"type": kind, kind: ""}),
        *(event("content-delta", index, content={kind: part}) for part in parts),
        event("content-end", index),
    ]


def called(index: int, call_id: str, name: str, *parts: str) -> list[dict[str, Any]]:
    """Return the events of a call."""
    return [
        event("tool-call-start", index, tool_calls=call(call_id, name, "")),
        *(event("tool-call-delta", index, tool_calls={"function": {"arguments": part}}) for part in parts),
        event("tool-call-end", index),
    ]


def begin() -> dict[str, Any]:
    return {"id": "r-1", **event("message-start", role="assistant", content=[], tool_plan="", tool_calls=[])}


def end(reason: str = "COMPLETE", **fields: Any) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE, **fields}}


def stream_of(*events: Mapping[str, Any]) -> bytes:
    """Return a stream as Cohere writes it."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in events)


def read_stream(stream: bytes) -> list[Piece]:
    """Return the pieces in a stream."""
    reader, pieces = HALVES.reader(), list[Piece]()
    for one in split_events(EventSplitter().feed(stream)):
        data = event_data(one)
        assert data is not None
        pieces += reader.read(data, one)
    return pieces


def conversation_of(body: Mapping[str, Any]) -> Conversation:
    """Return the texts, the calls and the results in a request. Everything else is left out."""
    messages = list(body["messages"])
    system = _texts(messages.pop(0)["content"]) if messages[0]["role"] == "system" else ()
    turns: list[Turn] = []
    for message in messages:
        content = _texts(message.get("content") or "")
        if message["role"] == "tool":
            turns.append(Turn("user", (ToolResult(message["tool_call_id"], content),)))
        elif message["role"] == "user":
            turns.append(Turn("user", content))
        else:
            assert message["role"] == "assistant"
            parts: list[Part] = [*content, *_texts(message.get("tool_plan", ""))]
            for one in message.get("tool_calls", ()):
                function = one["function"]
                parts += [ToolCall(one["id"], function["name"], function["arguments"])]
            turns.append(Turn("assistant", tuple(parts)))
    return Conversation(origin="cohere", system=system, turns=tuple(turns))


def _texts(content: str | Sequence[Mapping[str, Any]]) -> tuple[Text, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(Text(part["text"]) for part in content if part["type"] == "text")
