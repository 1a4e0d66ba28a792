"""POST /v1/moderations, in OpenAI's dialect. https://platform.openai.com/docs/api-reference/moderations"""

import msgspec

from pointsman.domain.calls import Call
from pointsman.wire.api._passed import METHODS, Passed, passed_call, read_passed
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import in_ranking

_DECODER = msgspec.json.Decoder(Passed)


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a moderation. Raises `Rejection`."""
    if not body:
        return passed_call(parsed, body, {}, Passed())
    fields, typed = read_passed(_DECODER, body)
    return passed_call(parsed, body, fields, typed, media=in_ranking(fields))


PATHS = (ApiPath("/moderations", METHODS, "moderation", "stream", is_prefix=True, parse=parse),)
