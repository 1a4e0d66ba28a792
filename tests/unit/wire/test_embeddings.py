"""Requests for embeddings between dialects."""

import json
from typing import Any

from fakes.wire import parse
from pointsman.wire import openai_embeddings
from pointsman.wire.dialects.gemini import embeddings as gemini_embeddings
from pointsman.wire.embeddings import translate_embedding

OURS, THEIRS = openai_embeddings.HALVES, gemini_embeddings.HALVES


def test_dropped_fields_and_those_without_a_form_are_named() -> None:
    body: Any = {"model": "m", "input": ["a"], "dimensions": 2, "user": "u"}
    written = translate_embedding(OURS, THEIRS, parse(body, OURS.path))
    assert (written.dropped, written.cannot) == (("user",), ())
    content = {"parts": [{"text": "a"}]}
    assert json.loads(bytes(written.fields["requests"])) == [{"content": content, "outputDimensionality": 2}]
    back = parse({"requests": [{"content": content, "title": "t", "newField": 1}]}, THEIRS.path)
    written = translate_embedding(THEIRS, OURS, back)
    assert (written.dropped, written.cannot) == (("title",), ("requests[0].newField",))
