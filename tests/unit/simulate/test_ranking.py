"""Rankings of the simulated provider."""

import json

from fakes.simulated import context_for
from pointsman.simulate.ranking import rerank
from pointsman.simulate.settings import UnitPrices

BODY = {"model": "rerank-v3.5", "query": "night trains", "documents": ["A ship", "trains at night", "trains"]}


def test_documents_are_ranked_by_the_words_of_the_query() -> None:
    body = json.loads(rerank(context_for({**BODY, "top_n": 2, "return_documents": True})).body)
    assert [(one["index"], one["document"]["text"]) for one in body["results"]] == [
        (1, "trains at night"),
        (2, "trains"),
    ]
    assert body["usage"] == {"total_tokens": 17}


def test_searches_are_billed_by_a_hundred_parts() -> None:
    prices = {"rerank-v3.5": UnitPrices(search=7)}
    answer = rerank(context_for({**BODY, "documents": ["d"] * 101}, unit_prices=prices))
    assert json.loads(answer.body)["meta"]["billed_units"] == {"search_units": 2}
    assert (answer.fees_nano, answer.tokens_in) == (14, 0)
