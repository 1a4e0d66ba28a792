"""Requests to read a document: the pages that they may cost."""

import pytest

from fakes.wire import parse
from pointsman.domain.units import Units

URL = {"type": "document_url", "document_url": "https://x/a.pdf"}


@pytest.mark.parametrize(
    ("body", "units"),
    [
        ({"document": {"type": "image_url", "image_url": "https://x/a.png"}}, Units("page", 1000)),
        ({"document": URL, "pages": [0, 3]}, Units("page", 2000, 2000)),
        ({"document": URL}, Units("page", 1_000_000, 1000)),
        ({"document": URL, "pages": "0-4"}, Units("page", 1_000_000, 1000)),
        ({"document": URL, "pages": []}, Units("page", 1_000_000, 1000)),
    ],
)
def test_pages_are_bounded(body: dict[str, object], units: Units) -> None:
    call = parse({"model": "m", **body}, "/ocr")
    assert (call.operation, call.units, call.stateful) == ("ocr", units, False)
