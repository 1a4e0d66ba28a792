"""Embeddings in OpenAI's dialect."""

import json
import struct
from base64 import b64decode
from typing import Any

import pytest

from fakes.wire import parse
from pointsman.domain.outcomes import Usage
from pointsman.wire.embeddings import EmbeddingRequest, Embeddings
from pointsman.wire.openai_embeddings import read_answer, read_request, write_answer, write_request


def read(**fields: Any) -> EmbeddingRequest:
    return read_request(parse({"model": "m", **fields}, "/embeddings"))


def test_request_is_read_and_written() -> None:
    found = read(input=["a", "b"], dimensions=3, user="u", encoding_format="base64")
    assert (found.texts, found.dimensions, found.labels, found.rest) == (("a", "b"), 3, ("user",), {})
    assert read(input="a").texts == ("a",)
    fields = write_request(found).fields
    assert {name: json.loads(bytes(raw)) for name, raw in fields.items()} == {
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 3,
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"input": [1, 2]}, "an input that is not text"), ({"input": "a", "some_new_field": 1}, "some_new_field")],
)
def test_parts_without_a_common_form_are_named(fields: Any, reason: str) -> None:
    assert list(read(**fields).rest) == [reason]


def test_answer_is_read_in_the_order_of_the_texts_and_written() -> None:
    data = [{"embedding": [2.0], "index": 1}, {"embedding": [1.0], "index": 0}]
    found = read_answer(json.dumps({"data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}}).encode())
    assert found == Embeddings(vectors=[[1.0], [2.0]], usage=Usage(4))
    call = parse({"model": "m", "input": ["a", "b"]}, "/embeddings")
    assert read_answer(write_answer(call, found)) == found
    packed = parse({"model": "m", "input": "a", "encoding_format": "base64"}, "/embeddings")
    (one, _) = json.loads(write_answer(packed, found))["data"]
    assert struct.unpack("<1f", b64decode(one["embedding"])) == (1.0,)
