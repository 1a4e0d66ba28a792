"""Requests for embeddings as Vertex AI reads them."""

import pytest

from fakes.gemini import body_of
from fakes.wire import parse
from pointsman.domain.outcomes import Usage
from pointsman.wire import openai_embeddings
from pointsman.wire.embedders.vertex import HALVES
from pointsman.wire.embeddings import translate_embedding


def test_each_text_is_an_instance_and_long_ones_are_rejected() -> None:
    call = parse({"model": "m", "input": ["a", "b"], "dimensions": 256, "x_field": 1}, "/embeddings")
    found = translate_embedding(openai_embeddings.HALVES, HALVES, call)
    assert body_of(found.fields) == {
        "instances": [{"content": "a"}, {"content": "b"}],
        "parameters": {"autoTruncate": False, "outputDimensionality": 256},
    }
    assert found.cannot == ("x_field",)


def test_answer() -> None:
    one = b'{"embeddings":{"values":[1.5],"statistics":{"token_count":4,"truncated":false}}}'
    found = HALVES.read_answer(b'{"predictions":[%b,%b]}' % (one, one))
    assert (found.vectors, found.usage) == ([[1.5], [1.5]], Usage(8, 0))
    assert HALVES.read_answer(b'{"predictions":[%b,{"embeddings":{"values":[1]}}]}' % one).usage is None
    with pytest.raises(ValueError, match="no embeddings"):
        HALVES.read_answer(b'{"predictions":[]}')
