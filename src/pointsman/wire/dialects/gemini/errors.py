"""Errors of Google's APIs, in the shape that the error tables of providers read.

An error is a `google.rpc.Status`: a number, a message, a status such as `RESOURCE_EXHAUSTED`, and details. Of these,
`ErrorInfo` names a reason such as `API_KEY_INVALID`, and `RetryInfo` the time to wait.
https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors,
https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
"""

import re

import msgspec
from msgspec import Raw, Struct

from pointsman.wire.json_object import UNREADABLE, encode_object

_NO_VALUE = Raw(b"")
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)


class _Detail(Struct, rename="camel", gc=False):
    reason: str | None = None
    retry_delay: str | None = None


class _Status(Struct, gc=False):
    code: int | None = None
    message: str | None = None
    status: str = ""
    details: Raw = _NO_VALUE


class _Body(Struct, gc=False):
    error: _Status


_BODY = msgspec.json.Decoder(_Body | list[_Body])
_DETAILS = msgspec.json.Decoder(list[_Detail])


class GoogleError(Struct, frozen=True):
    """An error. `body` is its OpenAI shape: `type` is the status, and `code` the reason, else the number. `wait_s` is
    the time in seconds after which the provider may be called again."""

    body: bytes
    wait_s: float | None = None


def read_error(body: bytes) -> GoogleError | None:
    """Return the error in a body; `None` for a body of any other shape."""
    try:
        found = _BODY.decode(body)
    except UNREADABLE:
        return None
    if isinstance(found, list):  # a stream that is not requested as events is a list
        if not found:
            return None
        found = found[0]
    error = found.error
    if not error.status:
        return None
    details = _details(error.details)
    reason = next((one.reason for one in details if one.reason), None)
    spans = [match for one in details if one.retry_delay and (match := _SPAN.fullmatch(one.retry_delay))]
    fields = {"message": error.message, "type": error.status, "code": reason or error.code}
    return GoogleError(encode_object({"error": fields}), float(spans[0][1]) if spans else None)


def error_body(message: str, kind: str) -> bytes:
    """Return the body of an error that an answer shows in another way: by the reason for its end."""
    return encode_object({"error": {"message": message, "type": kind}})


def _details(raw: Raw) -> list[_Detail]:
    """Return the details. Each has fields of its own, so malformed ones count as none."""
    try:
        return _DETAILS.decode(raw) if bytes(raw) else []
    except UNREADABLE:
        return []
