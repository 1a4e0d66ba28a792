"""Embeddings: never streamed; the input passes through in any form."""

import msgspec
import pytest

from fakes.wire import parse, rejected, target
from pointsman.providers import PROVIDERS

PATH = "/embeddings"


@pytest.mark.parametrize("value", ["text", ["a", "b"], [1, 2], [[1], [2]]])
def test_input_of_any_shape_passes_through(value: object) -> None:
    body = {"model": "m", "input": value, "dimensions": 8, "encoding_format": "base64", "user": "u", "truncate": True}
    call = parse({**body, "fallbacks": ["x/y"]}, PATH)
    assert (call.operation, call.fallbacks, call.stream) == ("embedding", ("x/y",), False)
    candidate = target()
    sent = PROVIDERS["openai"].codecs[call.operation].encode(call, candidate, candidate.keys[0])
    assert msgspec.json.decode(sent.body) == {**body, "model": "upstream-model"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", 1),
        ("input", None),
        ("dimensions", 0),
        ("encoding_format", 1),
        ("user", 1),
        ("model", ""),
        ("fallbacks", 1),
    ],
)
def test_wrong_type_names_the_field(field: str, value: object) -> None:
    failure = rejected(lambda: parse({"model": "m", "input": "x", field: value}, PATH))
    assert (failure.kind.status, failure.param) == (400, field)


def test_messages_may_replace_input() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://host/x.png"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [picture]}, {"role": "user", "content": "x"}]}
    call = parse(body, PATH)
    assert (call.media.count, set(call.fields)) == (1, {"model", "messages"})
    assert rejected(lambda: parse({"model": "m"}, PATH)).param == "input"


def test_other_spellings_are_rejected() -> None:
    assert rejected(lambda: parse({"model": "m", "input": "x", "Input": "y"}, PATH)).param == "Input"
