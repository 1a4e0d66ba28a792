"""The event that ends a response which a provider has begun and cannot complete.

https://platform.openai.com/docs/api-reference/responses-streaming/response/failed. Codex takes a stream without it, or
with a mere `error` event, for a broken connection.
"""

import msgspec
from msgspec import Struct
from msgspec.json import encode

from pointsman.domain.failures import Failure
from pointsman.wire.dialects.openai_responses._response import failed_error
from pointsman.wire.errors import error_fields
from pointsman.wire.json_object import read_or


class Begun(Struct, frozen=True, gc=False):
    """The facts that a failed response repeats from its beginning."""

    id: str = ""
    created_at: float = 0
    model: str = ""


class _First(Struct, gc=False):
    response: Begun = Begun()


NOT_BEGUN = Begun()
_FIRST = msgspec.json.Decoder(_First)


def begun(data: bytes) -> Begun:
    """Return the facts in the data of the first event."""
    return read_or(_FIRST, data, _First()).response


def failed_event(response: Begun, failure: Failure, request_id: str, sequence_number: int) -> bytes:
    """Return the event. `error` is added to OpenAI's own one, because official SDKs raise on it."""
    fields: dict[str, object] = {
        "id": response.id,
        "object": "response",
        "created_at": response.created_at,
        "status": "failed",
        "error": failed_error(failure, request_id),
        "incomplete_details": None,
        "model": response.model,
        "output": [],
        "usage": None,
    }
    event = {
        "type": "response.failed",
        "sequence_number": sequence_number,
        "response": fields,
        "error": error_fields(failure, request_id),
    }
    return b"event: response.failed\ndata: %b\n\n" % encode(event)
