"""Names and checks that all files of the dialect share."""

import re

import msgspec
from msgspec import Raw

NAME = "openai-responses"
NOTHING = Raw(b"")
ENCRYPTED = "reasoning.encrypted_content"  # https://platform.openai.com/docs/api-reference/responses/create (`include`)
LOGPROBS = "message.output_text.logprobs"

# A block of reasoning that only its author can read has no summary. It is encrypted content with this mark.
REDACTED = "redacted:"

PARAGRAPH = "\n\n"  # between the parts of one summary

FIELDS = msgspec.json.Decoder(dict[str, Raw])
LIST = msgspec.json.Decoder(list[Raw])
STRING = msgspec.json.Decoder(str)

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^,]*)?;base64,", re.IGNORECASE)
_MAX_HEAD = 256  # characters of the beginning of a data URL


def split_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type and the base64 text of a data URL; `None` for any other address."""
    match = _DATA_URL.match(url[:_MAX_HEAD])
    return (match[1], url[match.end() :]) if match is not None else None
