"""POST /v1/ocr, Mistral's: read the text of a document or an image. https://docs.mistral.ai/api/endpoint/ocr

The price is one per page. A document by its address or id may have as many as the provider reads, unless the request
lists its pages.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pointsman.domain.calls import Call, Media
from pointsman.domain.units import Units
from pointsman.wire.api._passed import Passed, passed_call, read_passed
from pointsman.wire.json_object import read_or
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import MEDIA_TOKENS

MAX_PAGES = 1_000  # https://docs.mistral.ai/capabilities/document_ai/basic_ocr (`FAQ`)
_NULL = Raw(b"null")


class _Reading(Passed, kw_only=True):
    document: Raw = _NULL
    pages: Raw = _NULL


class _Document(Struct, gc=False):
    type: str | None = None


_DECODER = msgspec.json.Decoder(_Reading)
_DOCUMENT = msgspec.json.Decoder(_Document)
_PAGES = msgspec.json.Decoder(Annotated[list[int], Meta(min_length=1, max_length=MAX_PAGES)])
_ACTED_ON = frozenset({"document", "pages"})


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a request to read a document. Raises `Rejection`."""
    fields, typed = read_passed(_DECODER, body, _ACTED_ON)
    is_image = read_or(_DOCUMENT, typed.document, _Document()).type == "image_url"
    listed = read_or(_PAGES, typed.pages, [])
    if is_image:
        units = Units("page", 1000)
    elif listed:  # some of them may be beyond the end of the document
        units = Units("page", len(listed) * 1000, len(listed) * 1000)
    else:
        units = Units("page", MAX_PAGES * 1000, 1000)
    return passed_call(parsed, body, fields, typed, media=Media(1, MEDIA_TOKENS), units=units)


PATHS = (ApiPath("/ocr", frozenset({"POST"}), "ocr", parse=parse),)
