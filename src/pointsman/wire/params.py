"""Parameters of a request under the same names in every dialect, for rules that read or change them.

A parameter is a field at the top of the body. Two have other names in some dialects: `max_tokens`, and `user`, which
Anthropic's API has in `metadata`. Gemini's settings are in `generationConfig`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.operations import GENERATING
from pointsman.wire import end_users
from pointsman.wire.dialects.gemini import settings
from pointsman.wire.json_object import encode_object

# The types of values: a text, a number with a fraction, a whole number, and true or false.
Kind = Literal["text", "number", "integer", "flag"]
# The types of parameters whose use in a condition does not show it.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("temperature", "top_p", "top_k", "n", "seed", "max_tokens"), "number"),
    **dict.fromkeys(("presence_penalty", "frequency_penalty"), "number"),
    **dict.fromkeys(("stream", "store", "parallel_tool_calls", "logprobs"), "flag"),
}

MAX_BYTES = 1024  # of a value that can be read
BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_GEMINI = "gemini"  # its settings are in a field of their own
_USERS = ("user", "safety_identifier")

# The gateway acts on these fields when it reads the body, so a rule cannot change them later.
FIXED = frozenset(
    {
        "model",
        "messages",
        "contents",
        "input",
        "prompt",
        "stream",
        "stream_options",
        "fallbacks",
        "n",
        "background",
        "metadata",
    }
    | {"previous_response_id", "conversation", "store", "files", "file"}
)

_ANY = msgspec.json.Decoder()


def param(call: Call, name: str) -> str | int | float | bool | None:
    """Return the value of a parameter: a text, a number, true or false of at most `MAX_BYTES`. Return `None` if the
    request has no such value."""
    if name in BOUNDS:
        return call.max_tokens
    if name == "user":
        return end_user(call)
    is_nested = call.head.dialect == _GEMINI and name in settings.NAMES
    raw = settings.setting(call.fields, name) if is_nested else call.fields.get(name)
    if raw is None:
        return None
    view = memoryview(raw)
    if view.nbytes > MAX_BYTES or view[0] in b"[{n":
        return None
    value: str | int | float | bool = _ANY.decode(raw)
    return value


def end_user(call: Call) -> str | None:
    """Return the end user that the client names, as limits of end users read it, with at most `MAX_BYTES`."""
    found = end_users.end_user(call)
    return found if found and len(found.encode()) <= MAX_BYTES else None


def with_params(call: Call, given: Mapping[str, Raw], dropped: Sequence[str]) -> Call:
    """Return the call with these parameters set, and others removed. A body that is passed on unread stays as it
    is."""
    if not call.fields:
        return call
    fields, size, most = call.fields.copy(), call.size, call.max_tokens
    stated = call.stated_tokens
    if call.operation not in GENERATING:  # `max_tokens` has no meaning for these
        given = {name: value for name, value in given.items() if name not in BOUNDS}
    is_gemini = call.head.dialect == _GEMINI
    for name in (*dropped, *given):
        if name in BOUNDS:
            most = stated = None
            if is_gemini:
                fields = settings.with_setting(fields, "max_tokens", None)
            for bound in BOUNDS:
                fields.pop(bound, None)
        elif is_gemini and name in settings.NAMES:
            fields = settings.with_setting(fields, name, None)
        elif name == "user" and call.head.dialect == "anthropic":
            fields.pop("metadata", None)
        elif name == "user":
            for field in _USERS:
                fields.pop(field, None)
        else:
            fields.pop(name, None)
    for name, value in given.items():
        if name in BOUNDS:
            most = msgspec.json.decode(value, type=int)
        elif is_gemini and name in settings.NAMES:
            fields = settings.with_setting(fields, name, value)
        elif name == "user" and call.head.dialect == "anthropic":
            fields["metadata"] = Raw(encode_object({"user_id": value}))
        else:
            fields[name] = value
        size += len(name) + memoryview(value).nbytes + 4  # the size bounds the tokens of the prompt
    return replace(call, fields=fields, size=size, max_tokens=most, stated_tokens=stated)
