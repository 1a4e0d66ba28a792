"""Rankings of documents, in the API of Cohere that others copied. https://docs.cohere.com/reference/rerank"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from pointsman.simulate.answers import Answer, RequestContext, json_answer, names
from pointsman.simulate.text import count_tokens

_FIELDS = names("documents max_tokens_per_doc model query return_documents top_n")
_PART_TOKENS, _PARTS_OF_A_SEARCH = 500, 100


class RankingRequest(Struct):
    model: str
    query: str
    documents: Annotated[list[str], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool = False


def rerank(context: RequestContext) -> Answer:
    """Rank documents by the number of words that they share with the query. A model with a price per search reports
    searches, any other reports tokens."""
    request = context.decode(RankingRequest, _FIELDS)
    words = set(request.query.lower().split())
    scores = [len(words & set(text.lower().split())) / max(len(words), 1) for text in request.documents]
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: request.top_n]
    results: list[dict[str, Any]] = []
    for index in order:
        document = {"document": {"text": request.documents[index]}} if request.return_documents else {}
        results.append({"index": index, "relevance_score": scores[index], **document})
    made = {"id": context.new_id("rank-"), "model": request.model, "results": results}
    of_query = count_tokens(request.query)
    sizes = [count_tokens(text) for text in request.documents]
    prices = context.settings.unit_prices.get(request.model)
    if prices is not None and prices.search:
        parts = sum(-(-(size + of_query) // _PART_TOKENS) for size in sizes)
        searches = -(-parts // _PARTS_OF_A_SEARCH)
        billed = {"api_version": {"version": "2"}, "billed_units": {"search_units": searches}}
        return json_answer({**made, "meta": billed}, fees_nano=searches * prices.search)
    tokens_in = sum(sizes) + of_query * len(sizes)
    return json_answer({**made, "usage": {"total_tokens": tokens_in}}, tokens_in=tokens_in)
