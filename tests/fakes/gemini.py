"""Builders for answers in Gemini's dialect, and a reader of its requests."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Raw

from pointsman.domain.conversations import (
    Conversation,
    DocumentPart,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from pointsman.domain.pieces import Piece
from pointsman.wire.dialects.gemini import HALVES
from pointsman.wire.sse import EventSplitter, event_data, split_events

USAGE: dict[str, Any] = {
    "promptTokenCount": 20,
    "candidatesTokenCount": 18,
    "thoughtsTokenCount": 12,
    "totalTokenCount": 50,
    "serviceTier": "standard",
}


def answer(*parts: Mapping[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return an answer, or an event of a stream."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r-1", **fields}


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"text": value, **fields}


def thought(value: str) -> dict[str, Any]:
    return {"text": value, "thought": True}


def call(name: str, signature: str = "", **fields: Any) -> dict[str, Any]:
    """Return a part that calls a function."""
    part: dict[str, Any] = {"functionCall": {"name": name, **fields}}
    return {**part, "thoughtSignature": signature} if signature else part


def stream_of(*events: Mapping[str, Any]) -> bytes:
    """Return a stream as Google writes it, with CRLF."""
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in events)


def read_stream(stream: bytes) -> list[Piece]:
    """Return the pieces in a stream."""
    reader, pieces = HALVES.reader(), list[Piece]()
    for event in split_events(EventSplitter().feed(stream)):
        data = event_data(event)
        assert data is not None
        pieces += reader.read(data, event)
    return pieces


def body_of(fields: Mapping[str, Raw]) -> dict[str, Any]:
    """Return the values of the written fields of a request."""
    return {name: json.loads(bytes(raw)) for name, raw in fields.items()}


def conversation_of(body: Mapping[str, Any]) -> Conversation:
    """Return the texts, the calls and the results in a request. Everything else is left out."""
    system = tuple(Text(part["text"]) for part in body.get("systemInstruction", {}).get("parts", ()))
    turns = tuple(
        Turn("assistant" if content["role"] == "model" else "user", tuple(_parts(content["parts"])))
        for content in body["contents"]
    )
    return Conversation(origin="gemini", system=system, turns=turns)


def _parts(written: Sequence[Mapping[str, Any]]) -> list[Part]:
    found: list[Part] = []
    for part in written:
        if part.get("thought"):
            found.append(Reasoning(part["text"], part["thoughtSignature"], origin="gemini"))
        elif "text" in part:
            found.append(Text(part["text"]))
        elif "functionCall" in part:
            made = part["functionCall"]
            found.append(ToolCall(made["id"], made["name"], json.dumps(made["args"])))
        elif "functionResponse" in part:
            found.append(_result(part["functionResponse"]))
        elif part.get("inlineData", {}).get("mimeType", "").startswith("text/"):
            found.append(DocumentPart(text=b64decode(part["inlineData"]["data"]).decode()))
    return found


def _result(response: Mapping[str, Any]) -> ToolResult:
    (output,) = response["response"].values()
    texts = [Text(one) for one in (output if isinstance(output, list) else [output])]
    more = [part for part in _parts(response.get("parts", ())) if isinstance(part, DocumentPart)]
    return ToolResult(response["id"], (*texts, *more), "error" in response["response"])
