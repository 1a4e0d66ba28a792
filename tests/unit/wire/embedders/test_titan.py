"""Requests for embeddings as Titan reads them."""

from typing import Any

import pytest

from fakes.gemini import body_of
from fakes.wire import parse
from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage
from pointsman.wire import openai_embeddings
from pointsman.wire.embedders.titan import HALVES
from pointsman.wire.embeddings import translate_embedding


def written(**fields: Any) -> Written:
    return translate_embedding(openai_embeddings.HALVES, HALVES, parse({"model": "m", **fields}, "/embeddings"))


def test_one_text_and_its_length() -> None:
    assert body_of(written(input=["a \u00fc"], dimensions=256).fields) == {"inputText": "a \u00fc", "dimensions": 256}
    assert body_of(written(input="a").fields) == {"inputText": "a"}


def test_inputs_without_a_form_are_named() -> None:
    assert written(input=["a", "b"]).cannot == ("more than one text in input",)
    assert written(input="a", x_field=1).cannot == ("x_field",)


def test_answer() -> None:
    found = HALVES.read_answer(b'{"embedding":[1.5,2],"inputTextTokenCount":4,"embeddingsByType":{}}')
    assert (found.vectors, found.usage) == ([[1.5, 2.0]], Usage(4, 0))
    assert HALVES.read_answer(b'{"embedding":[1.5]}').usage is None
    with pytest.raises(ValueError, match="no embeddings"):
        HALVES.read_answer(b'{"embedding":[]}')
