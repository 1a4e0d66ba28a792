"""The facts in a request of any dialect: the parts that two dialects can both express, without their form."""

import json
import re
from collections.abc import Iterable
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from msgspec import Raw, Struct
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from pointsman.domain.calls import Call
from pointsman.domain.conversations import (
    Audio,
    Conversation,
    DocumentPart,
    Image,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.dialects.anthropic.request_writer import DEFAULT_MAX_TOKENS

_BODIES: dict[str, TypeAdapter[Any]] = {
    "openai": TypeAdapter(CompletionCreateParamsNonStreaming),
    "openai-responses": TypeAdapter(ResponseCreateParamsNonStreaming),
    "anthropic": TypeAdapter(MessageCreateParamsNonStreaming),
}
# A message of a tool cannot hold files in the chat dialect. They follow in a message of the user, with these sentences.
_MOVED = re.compile(r"The result is in the next message of the user\.|Files in the result of the tool call \S+:")

ANY_BOUND = DEFAULT_MAX_TOKENS  # of a request that had no bound, in a dialect that requires one


class Asked(Struct, frozen=True):
    """A request without its form. `texts` holds the texts of each role in order, without their spaces; a document of
    plain text is one of them. `media` are images, documents and
    recordings. `calls` are names and arguments, and `results` the texts of their results."""

    texts: dict[str, str]
    media: tuple[str, ...]
    calls: tuple[tuple[str, str], ...]
    results: tuple[str, ...]
    links: tuple[int, ...]
    tools: tuple[tuple[str, str, object], ...]
    max_tokens: int | None
    choice: tuple[str | None, str]
    temperature: float | None
    top_p: float | None
    stop: tuple[str, ...]
    format: object


def asked(call: Call) -> Asked:
    """Return the facts in a request."""
    halves = DIALECTS[call.head.dialect].halves
    assert halves is not None
    return asked_in(halves.read_request(call))


def asked_in(found: Conversation) -> Asked:
    """Return the facts in a conversation."""
    texts = {"system": "".join(part.text for part in found.system)}
    parts: list[Part] = []
    for turn in found.turns:
        mine = "".join(part.text for part in turn.parts if isinstance(part, Text | Refusal | DocumentPart))
        texts[turn.role] = texts.get(turn.role, "") + mine
        parts += turn.parts
    calls = [part for part in parts if isinstance(part, ToolCall)]
    results = [part for part in parts if isinstance(part, ToolResult)]
    ids = [part.id for part in calls]
    inner = [part for one in results for part in one.parts]
    return Asked(
        texts={role: "".join(_MOVED.sub("", text).split()) for role, text in texts.items() if text},
        media=tuple(_media([*parts, *inner])),
        calls=tuple((part.name, _decoded(part.arguments)) for part in calls),
        results=tuple(
            _MOVED.sub("", "".join(part.text for part in one.parts if isinstance(part, Text))) for one in results
        ),
        links=tuple(ids.index(one.call_id) if one.call_id in ids else -1 for one in results),
        tools=tuple((tool.name, tool.description, _schema(tool.schema)) for tool in found.tools),
        max_tokens=None if found.max_tokens == ANY_BOUND else found.max_tokens,
        choice=(found.tool_choice.mode or ("auto" if found.tools else None), found.tool_choice.name),
        temperature=found.sampling.temperature,
        top_p=found.sampling.top_p,
        stop=found.sampling.stop,
        format=found.format and _schema(found.format.schema),
    )


def check_types(dialect: str, body: dict[str, object]) -> None:
    """Check that a body has the types of the official SDK. Raises `ValueError`."""
    _iterated(_BODIES[dialect].validate_python({name: value for name, value in body.items() if name != "stream"}))


def _iterated(value: object) -> None:
    """Iterate over all lists in a value, since pydantic checks them as they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            _iterated(inner)
    elif not isinstance(value, str) and isinstance(value, Iterable):
        for inner in value:
            _iterated(inner)


def _media(parts: Iterable[Part]) -> list[str]:
    found = []
    for part in parts:
        match part:
            case Image():
                found.append(f"image {part.url or part.data}")
            case Audio():
                found.append(f"audio {part.data}")
            case DocumentPart() if not part.text:
                found.append(f"document {part.url or part.data}")
    return found


def _schema(raw: Raw | None) -> object:
    return None if raw is None else json.loads(bytes(raw))


def _decoded(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments
