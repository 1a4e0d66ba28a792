"""Go on with a streamed answer in Gemini's dialect that broke off.

https://ai.google.dev/api/generate-content#GenerateContentResponse: every event has the same id and model, and only the
last one has the reason for the end.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.pieces import Start
from pointsman.wire.delivered import appended
from pointsman.wire.dialects.gemini.answer_writer import GenerateWriter
from pointsman.wire.json_object import encode_object, read_leniently, read_or
from pointsman.wire.thinking import requests_none
from pointsman.wire.translation import PieceWriter, Resuming

_CONFIG, _REASONING = "generationConfig", "thinkingConfig"
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


class _EventHead(Struct, rename="camel", gc=False):
    response_id: str = ""
    model_version: str = ""


_HEAD = msgspec.json.Decoder(_EventHead)


class GenerateResumption:
    """A `Resumption`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._head: _EventHead | None = None

    def follow(self, data: bytes) -> None:
        if self._head is None:
            self._head = read_leniently(_HEAD, data)

    def writer(self) -> PieceWriter:
        head, found = self._head or _EventHead(), GenerateWriter(self._call, 0.0)
        found.write((Start(head.response_id, head.model_version),))
        return found


def continued(fields: dict[str, Raw], text: str) -> dict[str, Raw]:
    """Return the fields of a request for the rest of an answer."""
    kept = dict(fields)
    kept["contents"] = appended(fields["contents"], {"role": "model", "parts": [{"text": text}]})
    config = read_or(_FIELDS, fields.get(_CONFIG, b"{}"), {})
    if _REASONING in config and not requests_none(config[_REASONING]):
        del config[_REASONING]
        kept[_CONFIG] = Raw(encode_object(config))
    return kept


RESUMING = Resuming(follow=GenerateResumption, continued=continued)
