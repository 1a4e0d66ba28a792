"""A body of the Responses API that was sent to /v1/chat/completions, as Cursor sends it: `input` without `messages`.

It is read as a response's body and written as a chat completion, so the client gets chunks of a chat. Fields that only
chat completions have stay as they are. A field that no chat completion can express is named in an error.
"""

from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.wire.api import passthrough
from pointsman.wire.dialects.openai_responses import DIALECT
from pointsman.wire.dialects.openai_responses.request import read_request
from pointsman.wire.json_object import encode_object
from pointsman.wire.openai_chat.write_request import write_request
from pointsman.wire.paths import ParsedHead

_KEPT = ("model", "stream", "fallbacks")


class InputAsChat(Struct, frozen=True):
    """The body of a chat completion. `max_tokens` bounds the answer, in no field. `dropped` are fields left out."""

    body: bytes
    max_tokens: int | None
    dropped: tuple[str, ...]


def is_response(fields: dict[str, Raw]) -> bool:
    """Return whether these are the fields of a response."""
    return "messages" not in fields and "input" in fields


def as_chat(parsed: ParsedHead, fields: dict[str, Raw], own: frozenset[str]) -> InputAsChat:
    """Return the body of a chat completion that means the same. `own` are the fields that only chat completions have.
    Raises `Rejection`."""
    api = next(one for one in passthrough.PATHS if one.path == DIALECT.path)
    head = replace(parsed.head, path=api.path, dialect=DIALECT.name)
    read = {name: raw for name, raw in fields.items() if name not in own}
    call = passthrough.parse(replace(parsed, api=api, head=head), encode_object(read))
    written = write_request(replace(read_request(call), max_tokens=None), False)
    if written.cannot:
        message = f"a chat completion cannot express {written.reasons}; send this body to /v1/responses"
        raise Rejection(Failure(failures.NOT_SUPPORTED, message, param=written.cannot[0]))
    kept = {name: raw for name, raw in fields.items() if name in own or name in _KEPT}
    return InputAsChat(encode_object({**written.fields, **kept}), call.max_tokens, written.dropped)
