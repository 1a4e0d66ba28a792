"""POST /v1/images/generations, edits and variations, in OpenAI's dialect.

https://platform.openai.com/docs/api-reference/images. An image costs by its quality and size, or by the tokens of its
answer. Other servers have names of their own for the number of images: `batch_size` at SiliconFlow, `num_images`.
https://docs.siliconflow.com/en/api-reference/images/images-generations
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.units import Units
from pointsman.wire.api._passed import METHODS, Passed, passed_call, read_passed
from pointsman.wire.json_object import read_or
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import in_pictures
from pointsman.wire.units import COUNTS, count_images, image_units

_NULL = Raw(b"null")


class _Images(Passed, kw_only=True):
    n: Raw = _NULL
    batch_size: Raw = _NULL
    num_images: Raw = _NULL
    quality: Raw = _NULL
    size: Raw = _NULL


_DECODER = msgspec.json.Decoder(_Images)
_TEXT = msgspec.json.Decoder(str | None)
_ACTED_ON = frozenset({*COUNTS, "quality", "size"})


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request for images that has a JSON body or none. Raises `Rejection`."""
    if not body:
        return passed_call(parsed, body, {}, _Images())
    fields, typed = read_passed(_DECODER, body, _ACTED_ON)
    count = count_images({name: getattr(typed, name) for name in COUNTS})
    units = _units(count, {"quality": typed.quality, "size": typed.size})
    call = passed_call(parsed, body, fields, typed, media=in_pictures(fields), units=units)
    return replace(call, choices=count, answers=count)


def _units(count: int, values: Mapping[str, Raw]) -> Units:
    # A server may take another type for these, such as a number. Then the image may have any price.
    quality, size = (read_or(_TEXT, values[name], None) or "" for name in ("quality", "size"))
    return image_units(count, quality, size)


PATHS = (ApiPath("/images", METHODS, "image", "stream", is_prefix=True, parse=parse),)
