"""POST /v1/rerank and /v2/rerank, and /v1/score of vLLM: rank documents by a query.

OpenAI's API has no such path. Cohere's has one that Jina, Together, SiliconFlow, vLLM, SGLang, llama.cpp and others
copied: https://docs.cohere.com/reference/rerank, https://jina.ai/reranker,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (`Re-rank API`, `Score API`). The price is one per
search of up to 100 documents, or one per token, of the query once for each document:
https://docs.voyageai.com/docs/faq (`What is the total number of tokens for the rerankers?`).
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from pointsman.domain.calls import Call, Media
from pointsman.wire.api._passed import METHODS, Passed, passed_call, read_passed
from pointsman.wire.json_object import read_or, rejection
from pointsman.wire.paths import ApiPath, ParsedHead
from pointsman.wire.tokens import in_ranking
from pointsman.wire.units import search_units

MAX_DOCUMENTS = 100_000


class _Ranking(Passed, kw_only=True):
    query: Raw = Raw(b"null")
    documents: Raw = Raw(b"null")


_DECODER = msgspec.json.Decoder(_Ranking)
_DOCUMENTS = msgspec.json.Decoder(Annotated[list[Raw], Meta(max_length=MAX_DOCUMENTS)])
_ACTED_ON = frozenset({"query", "documents", "top_n", "return_documents"})


def parse(parsed: ParsedHead, body: bytes) -> Call:
    """Parse a ranking. Raises `Rejection`."""
    if not body:
        return passed_call(parsed, body, {}, _Ranking())
    fields, typed = read_passed(_DECODER, body, _ACTED_ON)
    units, media = None, in_ranking(fields)
    if bytes(memoryview(typed.documents)[:1]) == b"[":
        documents = read_or(_DOCUMENTS, typed.documents, None)
        if documents is None:
            raise rejection(f"the field 'documents' must be a list of at most {MAX_DOCUMENTS}", "documents")
        units = search_units(documents, typed.query)
        # Each document is read together with the query, whose tokens are charged each time.
        media += Media(tokens=memoryview(typed.query).nbytes * max(len(documents) - 1, 0))
    return passed_call(parsed, body, fields, typed, media=media, units=units)


PATHS = (
    ApiPath("/rerank", METHODS, "rerank", "stream", is_prefix=True, parse=parse),
    ApiPath("/score", METHODS, "rerank", "stream", is_prefix=True, parse=parse),
)
