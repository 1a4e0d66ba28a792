"""Builders for answers of Amazon Bedrock, a reader of its requests, and the frames of its streams."""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

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
from pointsman.wire.sse import event_data, split_events
from pointsman.wire.upstreams.bedrock import HALVES
from pointsman.wire.upstreams.bedrock.frames import converse_splitter

USAGE: dict[str, Any] = {"inputTokens": 20, "outputTokens": 30, "totalTokens": 50}
STREAM_TYPE = b"application/vnd.amazon.eventstream"


def frame(payload: bytes, **headers: str) -> bytes:
    """Return a frame whose headers are texts, with a colon before their names and dashes in them."""
    block = b""
    for name, value in headers.items():
        written, text = b":" + name.replace("_", "-").encode(), value.encode()
        block += bytes([len(written)]) + written + b"\x07" + struct.pack(">H", len(text)) + text
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return whole + struct.pack(">I", crc32(whole))


def event(kind: str, **fields: Any) -> bytes:
    """Return an event of ConverseStream."""
    payload = json.dumps({**fields, "p": "abcdef"}).encode()
    return frame(payload, event_type=kind, content_type="application/json", message_type="event")


def chunk(value: Mapping[str, Any] | bytes) -> bytes:
    """Return a chunk of InvokeModelWithResponseStream with an event of the model's own API."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    payload = json.dumps({"bytes": b64encode(data).decode(), "p": "abc"}).encode()
    return frame(payload, event_type="chunk", content_type="application/json", message_type="event")


def exception(kind: str, message: str) -> bytes:
    """Return a documented exception inside a stream."""
    payload = json.dumps({"message": message}).encode()
    return frame(payload, exception_type=kind, content_type="application/json", message_type="exception")


def answer(*blocks: Mapping[str, Any], stop: str | None = "end_turn", **fields: Any) -> dict[str, Any]:
    """Return a whole answer."""
    found = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "usage": USAGE, **fields}
    return {**found, "metrics": {"latencyMs": 1}} | ({"stopReason": stop} if stop is not None else {})


def text(value: str) -> dict[str, Any]:
    return {"text": value}


def thought(value: str, signature: str = "") -> dict[str, Any]:
    shown = {"text": value, **({"signature": signature} if signature else {})}
    return {"reasoningContent": {"reasoningText": shown}}


def call(name: str, own_id: str = "t1", **arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": own_id, "name": name, "input": arguments}}


def stream_of(*blocks: Mapping[str, Any], stop: str = "end_turn", usage: Mapping[str, Any] = USAGE) -> bytes:
    """Return the stream of an answer with these blocks, each in two parts."""
    frames = [event("messageStart", role="assistant")]
    for index, block in enumerate(blocks):
        made = block.get("toolUse")
        if made is not None:
            begun = {name: made[name] for name in ("toolUseId", "name")}
            frames.append(event("contentBlockStart", contentBlockIndex=index, start={"toolUse": begun}))
        frames += [event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in _deltas(block)]
        frames.append(event("contentBlockStop", contentBlockIndex=index))
    metadata = event("metadata", usage=usage, metrics={"latencyMs": 1})
    return b"".join([*frames, event("messageStop", stopReason=stop), metadata])


def _deltas(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "text" in block:
        return [{"text": part} for part in _halved(block["text"])]
    if "toolUse" in block:
        given = block["toolUse"]["input"]
        return [{"toolUse": {"input": part}} for part in _halved(json.dumps(given))] if given else []
    shown = block["reasoningContent"].get("reasoningText")
    if shown is None:
        return [{"reasoningContent": block["reasoningContent"]}]
    parts: list[dict[str, Any]] = [{"reasoningContent": {"text": part}} for part in _halved(shown["text"])]
    proof = [{"reasoningContent": {"signature": shown["signature"]}}] if "signature" in shown else []
    return parts + proof


def _halved(value: str) -> list[str]:
    return [part for part in (value[: len(value) // 2], value[len(value) // 2 :]) if part]


def read_stream(stream: bytes) -> list[Piece]:
    """Return the pieces in a stream."""
    reader, pieces = HALVES.reader(), list[Piece]()
    for one in split_events(converse_splitter(1 << 20).feed(stream)):
        data = event_data(one)
        assert data is not None
        pieces += reader.read(data, one)
    return pieces


def conversation_of(body: Mapping[str, Any]) -> Conversation:
    """Return the texts, the calls and the results in a request. Everything else is left out."""
    system = tuple(Text(block["text"]) for block in body.get("system", ()) if "text" in block)
    turns = tuple(Turn(message["role"], tuple(_parts(message["content"]))) for message in body["messages"])
    return Conversation(origin="bedrock", system=system, turns=turns)


def _parts(written: Sequence[Mapping[str, Any]]) -> list[Part]:
    found: list[Part] = []
    for block in written:
        if "text" in block:
            found.append(Text(block["text"]))
        elif "reasoningContent" in block:
            inner = block["reasoningContent"]
            shown = inner.get("reasoningText", {"text": "", "signature": ""})
            redacted = inner.get("redactedContent", "")
            found.append(Reasoning(shown["text"], shown["signature"], redacted, origin="bedrock"))
        elif "toolUse" in block:
            made = block["toolUse"]
            found.append(ToolCall(made["toolUseId"], made["name"], json.dumps(made["input"])))
        elif "toolResult" in block:
            made = block["toolResult"]
            inner = [part for part in _parts(made["content"]) if isinstance(part, Text | DocumentPart)]
            found.append(ToolResult(made["toolUseId"], tuple(inner), made.get("status") == "error"))
        elif block.get("document", {}).get("format") == "txt":
            found.append(DocumentPart(text=b64decode(block["document"]["source"]["bytes"]).decode()))
    return found
