"""Embeddings and moderations."""

import base64
import json
import math
import struct
from typing import Any

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.embeddings import embeddings, moderations

BODY: dict[str, Any] = {"model": "text-embedding-3-small", "input": ["one", "two", "three"]}


def vectors(fields: dict[str, Any], index: int = 0) -> list[Any]:
    body = json.loads(embeddings(context_for({**BODY, **fields}, index=index)).body)
    assert [item["index"] for item in body["data"]] == list(range(len(body["data"])))
    return [item["embedding"] for item in body["data"]]


def test_every_input_has_a_unit_vector() -> None:
    found = vectors({"dimensions": 8})
    assert [len(vector) for vector in found] == [8, 8, 8]
    assert all(math.isclose(sum(value * value for value in vector), 1.0) for vector in found)
    assert len({tuple(vector) for vector in found}) == 3


def test_base64_is_the_same_vector_as_floats_of_32_bits() -> None:
    (encoded,), (plain,) = vectors({"input": "x", "encoding_format": "base64"}), vectors({"input": "x"})
    assert struct.unpack("<16f", base64.b64decode(encoded)) == pytest.approx(plain, rel=1e-6)


def test_vectors_repeat_with_the_request_number() -> None:
    assert vectors({}, index=3) == vectors({}, index=3) != vectors({}, index=4)


def test_input_is_charged() -> None:
    answer = embeddings(context_for({**BODY, "input": [[1, 2, 3], [4]]}))
    assert (answer.tokens_in, answer.tokens_out) == (4, 0)
    assert json.loads(answer.body)["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize("fields", [{"dimensions": 0}, {"encoding_format": "hex"}, {"input": 5}, {"stream": True}])
def test_invalid_requests_are_rejected(fields: dict[str, Any]) -> None:
    assert rejected(lambda: embeddings(context_for({**BODY, **fields})))["status"] == 400


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ("peace", [False]),
        ("VIOLENCE", [True]),
        (["peace", "no violence"], [False, True]),
        ([{"type": "text", "text": "violence"}], [True]),
    ],
)
def test_moderation_flags_a_word(given: Any, flags: list[bool]) -> None:
    body = json.loads(moderations(context_for({"input": given})).body)
    assert [result["flagged"] for result in body["results"]] == flags
    for result in body["results"]:
        assert {name for name, is_set in result["categories"].items() if is_set} == (
            {"violence"} if result["flagged"] else set()
        )
    assert body["model"] == "omni-moderation-latest"
