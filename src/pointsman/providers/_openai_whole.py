"""Make a stream from an answer in one piece, since some servers with OpenAI's dialect never stream.

https://platform.openai.com/docs/api-reference/chat-streaming, …/completions. The two forms differ in two ways. A chat's
`message` is a `delta`, in which tool calls are numbered. Usage comes by itself, if it was requested.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Rejection
from pointsman.wire.bounds import check_body
from pointsman.wire.json_object import UNREADABLE, encode_object

_DONE = b"data: [DONE]\n\n"
_NULL = Raw(b"null")
_CHUNK = Raw(b'"chat.completion.chunk"')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
MAX_OBJECTS = 2_000  # choices, or calls of tools in one of them
MAX_REPEATED_BYTES = 4 << 20  # of the part of each event beside its choice


class _Counted(Struct, gc=False):
    """Any object, to be counted."""


_COUNTED = msgspec.json.Decoder(list[_Counted])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])


def stream_of(call: Call, body: bytes) -> bytes | None:
    """Return the whole stream: an event for each choice, then usage and the end. Return `None` if the body has no
    answer."""
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
    except (*UNREADABLE, KeyError, Rejection):
        return None
    return b"".join((*events, _DONE))


def _with_delta(choice: dict[str, Raw]) -> dict[str, Raw]:
    """Return a choice with a `delta`. Raises `KeyError` without a message, `msgspec.DecodeError` if it is malformed."""
    delta = _OBJECT.decode(choice.pop("message"))
    calls = delta.get("tool_calls", _NULL)
    if bytes(calls) != b"null":
        numbered = [{"index": Raw(b"%d" % number), **made} for number, made in enumerate(_objects(calls))]
        delta["tool_calls"] = Raw(encode_object(numbered))
    return {**choice, "delta": Raw(encode_object(delta))}


def _objects(value: Raw) -> list[dict[str, Raw]]:
    """Return a list of objects. Raises `KeyError` for a list longer than any answer's, before it makes any object."""
    if len(_COUNTED.decode(value)) > MAX_OBJECTS:
        raise KeyError(MAX_OBJECTS)
    return _OBJECTS.decode(value)


def _event(value: object) -> bytes:
    """Return an event in one line, regardless of the white space in the values."""
    return b"data: %b\n\n" % msgspec.json.format(encode_object(value), indent=-1)
