"""Makes a stream of an answer in one piece: some servers that speak OpenAI's dialect do not stream, whatever is asked.

https://platform.openai.com/docs/api-reference/chat-streaming, …/completions. What the two forms of an answer differ in:
a chat's `message` is a `delta`, in which tool calls are numbered, and usage comes by itself, where it was asked for.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Refusal
from pointsman.wire.bounds import check_body
from pointsman.wire.json_object import UNREADABLE, encode_object

_DONE = b"data: [DONE]\n\n"
_NULL = Raw(b"null")
_CHUNK = Raw(b'"chat.completion.chunk"')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
MAX_OBJECTS = 2_000  # choices, or calls of tools in one of them
MAX_REPEATED_BYTES = 4 << 20  # of what each event holds beside its choice


class _Counted(Struct, gc=False):
    """Any object."""


_COUNTED = msgspec.json.Decoder(list[_Counted])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])


def stream_of(call: Call, body: bytes) -> bytes | None:
    """The whole stream: an event for each choice, then usage and the end. `None` if the body holds no answer to it."""
    try:
        check_body(body)
        fields = _OBJECT.decode(body)
        choices = _objects(fields.pop("choices", Raw(b"[]")))
        if len(choices) * sum(memoryview(value).nbytes for value in fields.values()) > MAX_REPEATED_BYTES:
            return None
        if call.operation == "chat":
            fields["object"] = _CHUNK
            choices = [_with_delta(choice) for choice in choices]
        elif not all("text" in choice for choice in choices):
            return None
        usage = fields.pop("usage", _NULL)
        if not choices:
            return None
        events = []
        for position, choice in enumerate(choices):
            choice.setdefault("index", Raw(b"%d" % position))
            events.append(_event({**fields, "choices": [choice]}))
        if call.wants_usage and bytes(usage) != b"null":
            events.append(_event({**fields, "choices": [], "usage": usage}))
    except (*UNREADABLE, KeyError, Refusal):
        return None
    return b"".join((*events, _DONE))


def _with_delta(choice: dict[str, Raw]) -> dict[str, Raw]:
    """Raises `KeyError` without a message, `msgspec.DecodeError` where it is none."""
    delta = _OBJECT.decode(choice.pop("message"))
    calls = delta.get("tool_calls", _NULL)
    if bytes(calls) != b"null":
        numbered = [{"index": Raw(b"%d" % number), **made} for number, made in enumerate(_objects(calls))]
        delta["tool_calls"] = Raw(encode_object(numbered))
    return {**choice, "delta": Raw(encode_object(delta))}


def _objects(value: Raw) -> list[dict[str, Raw]]:
    """A list of objects. Raises `KeyError` where it is longer than any answer's, before any of them is made."""
    if len(_COUNTED.decode(value)) > MAX_OBJECTS:
        raise KeyError(MAX_OBJECTS)
    return _OBJECTS.decode(value)


def _event(value: object) -> bytes:
    """In one line, whatever white space the values came with."""
    return b"data: %b\n\n" % msgspec.json.format(encode_object(value), indent=-1)
