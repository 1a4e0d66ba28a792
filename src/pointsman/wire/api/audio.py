"""POST /v1/audio/speech, transcriptions and translations with a JSON body, in OpenAI's dialect.

https://platform.openai.com/docs/api-reference/audio. Recordings come in forms, which `wire.forms` reads. A text to be
spoken costs by its characters, or by the tokens that the answer reports.
"""

import msgspec
from msgspec import Raw

from pointsman.domain.calls import Call
from pointsman.wire.api._passed import METHODS, Passed, passed_call, read_passed
from pointsman.wire.json_object import read_or
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import in_audio_request
from pointsman.wire.units import speech_units


class _Audio(Passed, kw_only=True):
    input: Raw = Raw(b"null")


_DECODER = msgspec.json.Decoder(_Audio)
_TEXT = msgspec.json.Decoder(str)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request for speech, or one that names a recording by its address. Raises `Rejection`."""
    if not body:
        return passed_call(parsed, body, {}, _Audio())
    fields, typed = read_passed(_DECODER, body)
    text = read_or(_TEXT, typed.input, "") if parsed.head.path.partition("?")[0].endswith("/speech") else ""
    units = speech_units(text) if text else None
    return passed_call(parsed, body, fields, typed, media=in_audio_request(fields), units=units)


PATHS = (ApiPath("/audio", METHODS, "audio", "stream", is_prefix=True, parse=parse),)
