"""Rankings of providers with fields of their own."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fakes.wire import parse, target
from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.providers import PROVIDERS
from pointsman.providers.api import WholeAnswer

BODY = {"model": "m", "query": "trains", "documents": ["a ship", "a train"], "top_n": 1, "return_documents": True}
ANSWERS: dict[str, dict[str, Any]] = {
    "cohere": {
        "id": "r",
        "results": [{"index": 1, "relevance_score": 0.9}],
        "meta": {"billed_units": {"search_units": 1}},
    },
    "voyage": {
        "object": "list",
        "data": [{"index": 1, "relevance_score": 0.9, "document": "a train"}],
        "usage": {"total_tokens": 26},
    },
    "fireworks": {
        "object": "list",
        "data": [{"index": 1, "relevance_score": 0.9, "document": "a train"}],
        "usage": {"prompt_tokens": 26, "total_tokens": 26},
    },
    "jina": {
        "results": [{"index": 1, "relevance_score": 0.9, "document": {"text": "a train"}}],
        "usage": {"total_tokens": 26},
    },
}


def ranking(**fields: Any) -> Call:
    return parse({**BODY, **fields}, "/rerank")


def sent(provider: str, call: Call) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    at = target(provider)
    request = PROVIDERS[provider].codecs["rerank"].encode(call, at, at.keys[0])
    return request.target.decode(), json.loads(request.body), request.dropped


def read(provider: str, answer: object, call: Call | None = None) -> WholeAnswer | Failure:
    return PROVIDERS[provider].codecs["rerank"].decode(call or ranking(), json.dumps(answer).encode())


@pytest.mark.parametrize("provider", ANSWERS)
def test_answer_is_that_of_the_api_which_clients_speak(provider: str) -> None:
    found = read(provider, ANSWERS[provider])
    assert isinstance(found, WholeAnswer)
    answer = json.loads(found.body)
    assert answer["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "a train"}}]
    assert "data" not in answer
    if "usage" in ANSWERS[provider]:
        assert found.usage is not None
        assert found.usage.tokens_in == 26


@pytest.mark.parametrize("provider", ["cohere", "voyage", "fireworks"])
def test_documents_are_left_out_unless_requested(provider: str) -> None:
    plain = {"results": [{"index": 0, "relevance_score": 1}], "model": "m"}
    found = read(provider, plain, ranking(return_documents=False))
    assert isinstance(found, WholeAnswer)
    assert json.loads(found.body) == {"model": "m", "results": [{"index": 0, "relevance_score": 1}]}


@pytest.mark.parametrize("provider", ["cohere", "voyage", "fireworks"])
@pytest.mark.parametrize("answer", [{"results": "x"}, {"data": [{"relevance_score": 1}]}, {"other": 1}, [1], {}])
def test_answer_without_results_is_malformed(provider: str, answer: object) -> None:
    found = read(provider, answer)
    assert isinstance(found, Failure)
    assert found.kind is failures.MALFORMED_ANSWER


def test_requests_have_the_fields_of_the_provider() -> None:
    path, body, dropped = sent("cohere", ranking(rank_fields=["a"], max_tokens_per_doc=9))
    assert (path, dropped) == ("/base/v2/rerank", ("rank_fields",))
    assert body.keys() == {"model", "query", "documents", "top_n", "max_tokens_per_doc"}
    path, body, dropped = sent("voyage", ranking(max_tokens_per_doc=9))
    assert (path, body["top_k"], dropped) == ("/base/rerank", 1, ("max_tokens_per_doc",))
    assert body.keys() == {"model", "query", "documents", "top_k", "return_documents"}
    _, body, dropped = sent("jina", ranking())
    assert body == {**BODY, "model": "upstream-model"}


def test_embeddings_of_voyage_have_its_fields() -> None:
    at = target("voyage")
    plain = replace(at, endpoint=replace(at.endpoint, quirks=None))
    body = {"model": "m", "input": "x", "encoding_format": "float", "dimensions": 256, "user": "u"}
    request = PROVIDERS["voyage"].codecs["embedding"].encode(parse(body, "/embeddings"), plain, at.keys[0])
    assert json.loads(request.body) == {"model": "upstream-model", "input": "x", "output_dimension": 256}
    assert request.dropped == ("user",)
