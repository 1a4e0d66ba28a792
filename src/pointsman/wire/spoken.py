"""The fields of a request for speech: https://platform.openai.com/docs/api-reference/audio/createSpeech"""

import msgspec
from msgspec import Raw

from pointsman.domain.calls import Call
from pointsman.wire.json_object import read_or

_TEXT = msgspec.json.Decoder(str)
_NONE = Raw(b'""')


def text_bytes(call: Call) -> int:
    """Return the length of the text in bytes of JSON, which is never below its length in characters."""
    return memoryview(call.fields.get("input", _NONE)).nbytes


def sound_format(call: Call) -> str:
    """Return the requested format of the sound, or the default."""
    return read_or(_TEXT, call.fields.get("response_format", _NONE), "") or "mp3"
