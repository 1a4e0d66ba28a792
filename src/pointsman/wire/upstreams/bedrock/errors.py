"""Errors of Amazon's APIs, in the shape that the error tables of providers read.

https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html,
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html

The kind of an error, such as `ThrottlingException`, is in the header `x-amzn-errortype` or in the field `__type`. Both
may have a namespace before it, or an address after it. The message is in `message` or `Message`.
"""

import re

import msgspec
from msgspec import Struct

from pointsman.domain.messages import Headers
from pointsman.wire.json_object import encode_object, read_or

_KIND = re.compile(r"(?:.*[#/])?([A-Za-z][A-Za-z0-9]{0,63})(?=$|:)")


class _Body(Struct, gc=False):
    message: str | None = None
    Message: str | None = None
    type: str | None = msgspec.field(default=None, name="__type")


_BODY = msgspec.json.Decoder(_Body)


def error_body(message: str, kind: str) -> bytes:
    """Return the body of an error, with its kind as the type."""
    return encode_object({"error": {"message": message, "type": kind}})


def read_error(headers: Headers, body: bytes) -> bytes | None:
    """Return the body of an error in OpenAI's shape; `None` if it has neither a kind nor a message of Amazon's."""
    found = read_or(_BODY, body, _Body())
    given = headers.get(b"x-amzn-errortype", b"").decode("latin-1") or found.type or ""
    kind = _KIND.match(given.partition(":http")[0])
    message = found.message or found.Message
    if kind is None and message is None:
        return None
    return error_body(message or "", kind[1] if kind is not None else "")
