"""The session that the body of a request names, if its head names none."""

import msgspec

from pointsman.domain.calls import Call
from pointsman.domain.records import RequestRecord

# Clients set it to an id of the conversation: https://platform.openai.com/docs/guides/prompt-caching
_FIELD = "prompt_cache_key"
_MAX = 255  # as in headers; a longer one is ignored, since its beginning could be that of another
_TEXT = msgspec.json.Decoder(str)


def session_in_body(call: Call) -> str | None:
    """Return the id of a session, or `None`."""
    raw = call.fields.get(_FIELD)
    if raw is None:
        return None
    try:
        found = _TEXT.decode(raw)
    except msgspec.DecodeError:  # `null`, or a value that the provider rejects
        return None
    return found if 0 < len(found) <= _MAX and found.isprintable() else None


def note_session(record: RequestRecord, call: Call) -> None:
    """Set the session that the body names, if the head names none."""
    if record.session is None and call.fields:
        record.session = session_in_body(call)
