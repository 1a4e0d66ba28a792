"""Refusals inside answers: the kind of failure that one is for a request with fallbacks for it.

https://platform.openai.com/docs/api-reference/chat/object (`refusal`, `finish_reason`), …/responses/object,
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.wire.json_object import is_empty, read_or

_NO_VALUE = Raw(b"")
_REFUSAL = b'"refusal"'
_ENDS = {b'"content_filter"': failures.FILTERED, _REFUSAL: failures.REFUSED}
BY_REASON = {"content_filter": failures.FILTERED, "refusal": failures.REFUSED}


class _ResponsePart(Struct, gc=False):
    type: str = ""


class _ResponseItem(Struct, gc=False):
    type: str = ""
    content: list[_ResponsePart] | None = None


class _Details(Struct, gc=False):
    reason: str = ""


_ITEMS = msgspec.json.Decoder(list[_ResponseItem])
_DETAILS = msgspec.json.Decoder(_Details)


def in_choice(fields: Mapping[str, Raw] | None, finish_reason: Raw) -> Kind | None:
    """Return the kind of a refusal in one answer of a chat: by its message, or a part of it, and by its end."""
    if fields is not None and not is_empty(fields.get("refusal", _NO_VALUE)):
        return failures.REFUSED
    return by_end(finish_reason)


def by_end(reason: Raw) -> Kind | None:
    """Return the kind of a refusal by the reason for the end of an answer."""
    return _ENDS.get(bytes(reason))


def in_response(body: bytes, output: Raw, details: Raw) -> Kind | None:
    """Return the kind of a refusal in a response. `body` contains both of its fields."""
    if _REFUSAL in body and not is_empty(output):
        for item in read_or(_ITEMS, output, []):
            if any(part.type == "refusal" for part in item.content or ()):
                return failures.REFUSED
    return None if is_empty(details) else BY_REASON.get(read_or(_DETAILS, details, _Details()).reason)
