"""Reading documents, in Mistral's API. https://docs.mistral.ai/api/endpoint/ocr"""

from typing import Any

from msgspec import Struct

from pointsman.simulate.answers import Answer, RequestContext, json_answer, names
from pointsman.simulate.settings import UnitPrices

_FIELDS = names("document document_annotation_format id image_limit image_min_size include_image_base64 model pages")
_MOST_PAGES = 12  # of any document


class ReadingRequest(Struct):
    model: str
    document: dict[str, Any]
    pages: list[int] | None = None


def read_document(context: RequestContext) -> Answer:
    """Return the text of a document with a random number of pages. An image has one."""
    request = context.decode(ReadingRequest, _FIELDS)
    total = 1 if request.document.get("type") == "image_url" else context.rng.randint(1, _MOST_PAGES)
    read = [index for index in request.pages or range(total) if index < total]
    prices = context.settings.unit_prices.get(request.model, UnitPrices())
    made = {
        "model": request.model,
        "pages": [{"index": index, "markdown": f"Page {index}", "images": []} for index in read],
        "usage_info": {"pages_processed": len(read), "doc_size_bytes": 1000 * total},
    }
    return json_answer(made, fees_nano=len(read) * prices.page)
