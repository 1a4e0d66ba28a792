"""Embeddings in Gemini's dialect."""

import json
from typing import Any

import pytest

from fakes.wire import parse, rejected
from pointsman.domain.outcomes import Usage
from pointsman.wire.dialects.gemini.embeddings import (
    ONE,
    SEVERAL,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from pointsman.wire.embeddings import Embeddings

CONTENT = {"parts": [{"text": "a"}, {"text": "b"}]}


def test_request_for_one_and_for_several() -> None:
    one = read_request(parse({"content": CONTENT, "output_dimensionality": 5, "taskType": "X"}, ONE))
    assert (one.texts, one.dimensions, one.labels, one.rest) == (("a\nb",), 5, ("taskType",), {})
    several = parse({"requests": [{"model": "models/m", "content": CONTENT}, {"content": CONTENT}]}, SEVERAL)
    assert read_request(several).texts == ("a\nb", "a\nb")
    written = write_request(read_request(several)).fields
    assert json.loads(bytes(written["requests"])) == [{"content": {"parts": [{"text": "a\nb"}]}}] * 2


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"content": {"parts": [{"inlineData": {}}]}}, "requests[0].content with more than text"),
        ({"content": CONTENT, "somethingNew": 1}, "requests[0].somethingNew"),
        ({"content": CONTENT, "outputDimensionality": 7}, "several values of outputDimensionality"),
    ],
)
def test_parts_without_a_common_form_are_named(request_: Any, reason: str) -> None:
    found = read_request(parse({"requests": [request_, {"content": CONTENT}]}, SEVERAL))
    assert list(found.rest) == [reason]


def test_another_model_than_that_of_the_path_is_rejected() -> None:
    body = {"requests": [{"model": "models/another", "content": CONTENT}]}
    assert rejected(lambda: parse(body, SEVERAL)).param == "model"
    assert rejected(lambda: parse({}, ONE)).param == "content"


def test_list_without_a_request_is_rejected() -> None:
    assert rejected(lambda: parse({"requests": []}, SEVERAL)).param == "requests"


def test_answers_are_read_as_they_are_written() -> None:
    answer = Embeddings(vectors=[[1.0, 2.0], [3.0]], usage=Usage(7))
    several = parse({"requests": [{"content": CONTENT}] * 2}, SEVERAL)
    assert read_answer(write_answer(several, answer)) == answer
    one = parse({"content": CONTENT}, ONE)
    body = write_answer(one, Embeddings(vectors=[[1.0]]))
    assert json.loads(body) == {"embedding": {"values": [1.0]}}
    assert read_answer(body) == Embeddings(vectors=[[1.0]])
    with pytest.raises(ValueError, match="no embeddings"):
        read_answer(b'{"embeddings":[]}')
