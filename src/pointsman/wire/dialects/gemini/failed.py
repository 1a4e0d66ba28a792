"""Failures in Google's shape: `{"error": {"code", "message", "status", "details"}}`.

https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting. `code` is the HTTP
status. In `details`, the reason is the gateway's own code, and the time to wait is that of `retry-after`.
"""

from math import ceil

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.failures import Failure, Fault
from pointsman.wire.errors import status_of
from pointsman.wire.json_object import encode_object, is_empty, read_or

DOMAIN = "pointsman"
_TYPES = "type.googleapis.com/google.rpc."
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_STATUSES = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_SERVER_ERRORS = 500  # the first status of them
_NO_VALUE = Raw(b"")


class _ForeignError(Struct, gc=False):
    message: str = ""
    status: str = ""


class _ForeignBody(Struct, gc=False):
    """An error body of a provider: with `status` it is Google's, and else another dialect's."""

    error: Raw = _NO_VALUE
    message: str = ""


_BODY = msgspec.json.Decoder(_ForeignBody)
_ERROR = msgspec.json.Decoder(_ForeignError)


def error_body(failure: Failure, request_id: str) -> bytes:
    """Return the JSON body. A provider's own body about a bad request is passed on unchanged if it is Google's. Of one
    in another dialect, the message is passed on."""
    said = failure.body if failure.kind.fault is Fault.REQUEST else None
    if said is not None:
        found = read_or(_BODY, said, _ForeignBody())
        error = _ForeignError() if is_empty(found.error) else read_or(_ERROR, found.error, _ForeignError())
        if error.status:
            return said
        if message := error.message or found.message:
            return _body(failure, message, request_id)
    return _body(failure, failure.for_client, request_id)


def error_event(failure: Failure, request_id: str) -> bytes:
    """Return the event that ends a stream which cannot be completed. Official SDKs raise on it."""
    return b"data: %b\n\n" % _body(failure, failure.for_client, request_id)


def _body(failure: Failure, message: str, request_id: str) -> bytes:
    code = status_of(failure)
    status = _STATUSES.get(code, "INVALID_ARGUMENT" if code < _SERVER_ERRORS else "INTERNAL")
    metadata = {"code": failure.kind.code, "requestId": request_id}
    if failure.param:
        metadata["param"] = failure.param
    reason = failure.kind.code.upper()
    details: list[object] = [{"@type": f"{_TYPES}ErrorInfo", "reason": reason, "domain": DOMAIN, "metadata": metadata}]
    if failure.retry_after_s is not None:
        wait = f"{max(ceil(failure.retry_after_s), 0)}s"
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": wait})
    text = f"{message} (request {request_id})" if request_id else message
    return encode_object({"error": {"code": code, "message": text, "status": status, "details": details}})
