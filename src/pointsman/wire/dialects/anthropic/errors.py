"""Failures in Anthropic's dialect: its error body, and the event that ends a stream.

https://platform.claude.com/docs/en/api/errors lists the types by their statuses.
"""

from msgspec import Struct
from msgspec.json import Decoder, encode

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Fault
from pointsman.wire.errors import status_of
from pointsman.wire.json_object import read_or

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OVERLOADED = frozenset({failures.UPSTREAM_OVERLOADED, failures.OVERLOADED_GATEWAY})
_SERVER_ERRORS = 500  # the first status of them


class _ErrorOf(Struct):
    type: str
    message: str


class _ErrorBody(Struct, tag_field="type", tag="error"):
    error: _ErrorOf
    request_id: str


class _ForeignError(Struct):
    message: str = ""
    type: str | None = None


class _ForeignBody(Struct):
    """An error body of a provider: with `type` it is Anthropic's, and else another dialect's."""

    type: str | None = None
    error: _ForeignError | str | None = None
    message: str | None = None


_BODY = Decoder(_ForeignBody)


def error_type(failure: Failure) -> str:
    """Return Anthropic's type of a failure."""
    if failure.kind in _OVERLOADED:
        return "overloaded_error"
    status = status_of(failure)
    return _TYPES.get(status, "invalid_request_error" if status < _SERVER_ERRORS else "api_error")


def error_body(failure: Failure, request_id: str) -> bytes:
    """Return the JSON body. A provider's own body about a bad request is passed on unchanged if it is Anthropic's. Of
    one in another dialect, the message is passed on."""
    said = failure.body if failure.kind.fault is Fault.REQUEST else None
    if said is not None:
        found = read_or(_BODY, said, _ForeignBody())
        if found.type == "error" and isinstance(found.error, _ForeignError):
            return said
        message = found.error.message if isinstance(found.error, _ForeignError) else found.error or found.message
        if message:
            return _body(error_type(failure), message, request_id)
    return _body(error_type(failure), failure.for_client, request_id)


def error_event(failure: Failure, request_id: str) -> bytes:
    """Return the event that ends a stream which cannot be completed. Official SDKs raise on it."""
    return b"event: error\ndata: %b\n\n" % _body(error_type(failure), failure.for_client, request_id)


def _body(kind: str, message: str, request_id: str) -> bytes:
    return encode(_ErrorBody(_ErrorOf(kind, message), request_id))
