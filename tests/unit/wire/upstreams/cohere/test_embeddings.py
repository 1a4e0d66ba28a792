"""Requests for embeddings as Cohere reads them."""

import json
from typing import Any

import pytest

from fakes.gemini import body_of
from fakes.wire import parse
from pointsman.domain.conversations import Written
from pointsman.wire.upstreams.cohere.embeddings import decode_embeddings, embeddings_for, write_embedding


def written(**fields: Any) -> Written:
    return write_embedding(parse({"model": "m", **fields}, "/embeddings"))


def test_texts_and_settings() -> None:
    found = written(input="a \u00fc", dimensions=256, user="u")
    assert (found.cannot, found.dropped) == ((), ("user",))
    assert body_of(found.fields) == {
        "texts": ["a \u00fc"],
        "output_dimension": 256,
        "embedding_types": ["float"],
        "input_type": "search_document",
        "truncate": "NONE",
    }


def test_clients_set_the_type_of_their_texts() -> None:
    found = body_of(
        written(input=["a", "b"], encoding_format="base64", input_type="search_query", truncate="END").fields
    )
    assert found["texts"] == ["a", "b"]
    assert (found["embedding_types"], found["input_type"], found["truncate"]) == (["base64"], "search_query", "END")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input": [1, 2]}, "an input that is not one or more texts"),
        ({"input": []}, "an input that is not one or more texts"),
        ({"input": ["a"] * 97}, "more than 96 texts in input"),
        ({"input": "a", "encoding_format": "int8"}, "an encoding_format other than float and base64"),
        ({"input": "a", "x_field": 1}, "x_field"),
    ],
)
def test_inputs_without_a_form_are_named(fields: dict[str, Any], reason: str) -> None:
    assert written(**fields).cannot == (reason,)


def test_answer_keeps_the_order_of_the_texts() -> None:
    answer = decode_embeddings(b'{"embeddings":{"float":[[1.5],[2.5]]},"meta":{"billed_units":{"input_tokens":4.0}}}')
    found = json.loads(embeddings_for(parse({"model": "m", "input": "a"}, "/embeddings"), answer))
    assert [(one["index"], one["embedding"]) for one in found["data"]] == [(0, [1.5]), (1, [2.5])]
    assert (found["model"], found["usage"]) == ("m", {"prompt_tokens": 4, "total_tokens": 4})
