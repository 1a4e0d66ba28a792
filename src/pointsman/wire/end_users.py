"""The end user that a request names: the client's label of the person it acts for."""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.wire.json_object import UNREADABLE


class _Metadata(Struct):
    user_id: str | None = None


_TEXT = msgspec.json.Decoder(str)
_METADATA = msgspec.json.Decoder(_Metadata)


def end_user(call: Call) -> str:
    """Return the end user of a call, or empty text. In OpenAI's dialects it is `safety_identifier`, which replaces
    `user`. In Anthropic's it is `metadata.user_id`."""
    fields = call.fields
    if call.head.dialect == "anthropic":
        return _read_metadata(fields.get("metadata"))
    return _read_text(fields.get("safety_identifier")) or _read_text(fields.get("user"))


def _read_text(raw: Raw | None) -> str:
    try:
        return _TEXT.decode(raw) if raw is not None else ""
    except UNREADABLE:  # another shape, which the provider rejects
        return ""


def _read_metadata(raw: Raw | None) -> str:
    try:
        return (_METADATA.decode(raw).user_id or "") if raw is not None else ""
    except UNREADABLE:
        return ""
