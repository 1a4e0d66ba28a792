"""Replace the model that an answer names by the model that the client requested.

All other bytes stay as the provider sent them, except for white space on the top level.
"""

import msgspec
from msgspec import Raw

from pointsman.wire.json_object import encode_object, read_or

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_NAMES = ("model", "modelVersion")  # the second is Gemini's
_INNER = ("response", "message")  # of an event of the Responses API, and of the first event of a message
_DATA = b"data:"


def renamed(body: bytes, model: str) -> bytes:
    """Return a JSON answer that names this model. A body that is not an object, or names no model, stays as it is."""
    fields = read_or(_OBJECT, body, {})
    for name in _NAMES:
        if name in fields:
            fields[name] = Raw(encode_object(model))
            return encode_object(fields)
    for name in _INNER:
        if name in fields:
            fields[name] = Raw(renamed(bytes(fields[name]), model))
            return encode_object(fields)
    return body


class RenamedEvents:
    """A stream of events whose data name this model. It is fed in pieces of any size."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete."""
        whole, end, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        return b"\n".join([self._line(line) for line in whole.split(b"\n")]) + end if end else b""

    def close(self) -> bytes:
        """Return the bytes that followed the last line."""
        rest, self._rest = self._rest, b""
        return rest

    def _line(self, line: bytes) -> bytes:
        if not line.startswith(_DATA):
            return line
        content = line[len(_DATA) :].strip()
        if not content.startswith(b"{"):
            return line
        return b"data: %b%b" % (renamed(content, self._model), b"\r" if line.endswith(b"\r") else b"")
