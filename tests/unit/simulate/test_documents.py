"""Documents that the simulated provider reads."""

import json

from fakes.simulated import context_for
from pointsman.simulate.documents import read_document
from pointsman.simulate.settings import UnitPrices

PRICES = {"mistral-ocr-latest": UnitPrices(page=3)}


def test_read_pages_are_billed() -> None:
    body = {"model": "mistral-ocr-latest", "document": {"type": "document_url"}, "pages": [0, 99]}
    answer = read_document(context_for(body, unit_prices=PRICES))
    assert json.loads(answer.body)["usage_info"]["pages_processed"] == 1
    assert answer.fees_nano == 3
    image = read_document(context_for({**body, "document": {"type": "image_url"}, "pages": None}, unit_prices=PRICES))
    assert image.fees_nano == 3
