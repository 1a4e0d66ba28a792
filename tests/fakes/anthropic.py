"""Builders for requests and answers in Anthropic's dialect."""

import json
from collections.abc import Sequence
from typing import Any

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.pieces import (
    CitationPiece,
    Piece,
    ReasoningPiece,
    RefusalPiece,
    TextPiece,
    ToolArguments,
)
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.wire.api.messages import COUNT_TOKENS, MESSAGES
from pointsman.wire.dialects.anthropic import HALVES
from pointsman.wire.paths import ParsedHead
from pointsman.wire.sse import EventSplitter, event_data, is_comment, split_events

HELLO: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}


def message_call(body: object = HELLO, *, counts: bool = False) -> Call:
    """Parse a body (bytes, or a value to encode) into a call. Raise `Rejection`."""
    path = COUNT_TOKENS if counts else MESSAGES
    head = ParsedHead(
        path, RequestHead(path=path.path, dialect="anthropic", content_type="application/json"), NO_SNAPSHOT
    )
    assert path.parse is not None
    return path.parse(head, body if isinstance(body, bytes) else json.dumps(body).encode())


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """Return the data of the events in a stream, which must have the names of their types."""
    found = []
    for event in split_events(stream):
        if is_comment(event):
            continue
        data = json.loads(event_data(event) or b"null")
        assert event.startswith(f"event: {data['type']}\n".encode())
        found.append(data)
    return found


def blocks_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the blocks of a stream together as official SDKs do."""
    blocks: list[dict[str, Any]] = []
    is_open = False
    for event in events:
        if event["type"] == "content_block_start":
            assert not is_open
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "parts": ""})
            is_open = True
        elif event["type"] == "content_block_stop":
            assert is_open
            assert event["index"] == len(blocks) - 1
            is_open = False
        elif event["type"] == "content_block_delta":
            assert is_open
            assert event["index"] == len(blocks) - 1
            change, block = event["delta"], blocks[-1]
            if change["type"] == "citations_delta":
                block.setdefault("citations", []).append(change["citation"])
            elif change["type"] == "signature_delta":
                block["signature"] = change["signature"]
            elif change["type"] == "input_json_delta":
                block["parts"] += change["partial_json"]
            else:
                block[change["type"].removesuffix("_delta")] += change[change["type"].removesuffix("_delta")]
    assert not is_open
    for block in blocks:
        parts = block.pop("parts")
        if parts:
            block["input"] = json.loads(parts)
    return blocks


def stream_of(*events: dict[str, Any]) -> bytes:
    """Return a stream of events."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def read_stream(stream: bytes, size: int = 0) -> list[Piece]:
    """Return the pieces in a stream that arrives in parts of `size` bytes."""
    splitter, reader, pieces = EventSplitter(), HALVES.reader(), list[Piece]()
    step = size or max(len(stream), 1)
    for at in range(0, len(stream), step):
        for event in split_events(splitter.feed(stream[at : at + step])):
            data = event_data(event)
            assert data is not None
            pieces += reader.read(data, event)
    return pieces


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return pieces in which neighbouring parts of one block are one. A citation has no place in a text."""
    out: list[Piece] = []
    for piece in pieces:
        last = out[-1] if out else None
        match piece, last:
            case TextPiece(begins=False), TextPiece():
                out[-1] = TextPiece(last.text + piece.text, last.begins)
            case ReasoningPiece(begins=False), ReasoningPiece():
                out[-1] = ReasoningPiece(last.text + piece.text, last.begins)
            case RefusalPiece(), RefusalPiece():
                out[-1] = RefusalPiece(last.text + piece.text)
            case ToolArguments(), ToolArguments() if last.index == piece.index:
                out[-1] = ToolArguments(piece.index, last.text + piece.text)
            case CitationPiece(), _:
                out.append(CitationPiece(piece.raw, piece.origin, piece.url, piece.title))
            case _:
                out.append(piece)
    return out
