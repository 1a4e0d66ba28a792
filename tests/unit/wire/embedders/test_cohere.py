"""Requests for embeddings as Cohere reads them."""

from typing import Any

import pytest

from fakes.gemini import body_of
from fakes.wire import parse
from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage
from pointsman.wire import openai_embeddings
from pointsman.wire.embedders.cohere import HALVES
from pointsman.wire.embeddings import translate_embedding


def written(**fields: Any) -> Written:
    return translate_embedding(openai_embeddings.HALVES, HALVES, parse({"model": "m", **fields}, "/embeddings"))


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
    found = body_of(written(input=["a", "b"], input_type="search_query", truncate="END").fields)
    assert (found["texts"], found["input_type"], found["truncate"]) == (["a", "b"], "search_query", "END")


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({"input": [1, 2]}, ("an input that is not text",)),
        ({"input": []}, ("an empty input",)),
        ({"input": ["a"] * 97}, ("more than 96 texts in input",)),
        ({"input": "a", "encoding_format": "int8"}, ("an encoding_format other than float and base64",)),
        ({"input": "a", "x_field": 1}, ("x_field",)),
    ],
)
def test_inputs_without_a_form_are_named(fields: dict[str, Any], reasons: tuple[str, ...]) -> None:
    assert written(**fields).cannot == reasons


def test_answer_keeps_the_order_of_the_texts() -> None:
    meta = b'"meta":{"billed_units":{"input_tokens":4.0}}'
    found = HALVES.read_answer(b'{"embeddings":{"float":[[1.5],[2.5]]},%b}' % meta)
    assert (found.vectors, found.usage) == ([[1.5], [2.5]], Usage(4, 0))
    assert HALVES.read_answer(b'{"embeddings":[[1.5]]}').vectors == [[1.5]]
    with pytest.raises(ValueError, match="no embeddings"):
        HALVES.read_answer(b'{"embeddings":{"float":[]}}')
