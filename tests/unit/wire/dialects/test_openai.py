"""OpenAI's dialect: the capabilities, the tier and the possible cost of a request."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.money import make_call as asking_for
from fakes.routing import call
from fakes.wire import parse
from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation
from pointsman.wire.dialects.openai import is_free, needs, takes_bound
from pointsman.wire.tokens import in_input

ALL = ("tools", "json_schema", "vision", "audio_in", "audio_out", "reasoning")
TEXT = b'[{"role":"user","content":"what is in image_url?"}]'
PICTURE = b'[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]'


def call_of(size: int = 100, operation: Operation = "chat", max_tokens: int | None = None, **fields: bytes) -> Call:
    raw = {name: Raw(value) for name, value in fields.items()}
    media = in_input(raw.get("messages") or raw.get("input"))
    return replace(call(operation=operation), fields=raw, size=size, max_tokens=max_tokens, media=media)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (call_of(messages=TEXT), set()),
        (call_of(messages=TEXT, tools=b'[{"type":"function"}]'), {"tools"}),
        (call_of(messages=TEXT, tools=b"[]", functions=b"null", reasoning_effort=b'"none"'), set()),
        (call_of(messages=TEXT, functions=b"[{}]", reasoning_effort=b'"low"'), {"tools", "reasoning"}),
        (call_of(messages=TEXT, response_format=b'{"type":"json_schema","json_schema":{}}'), {"json_schema"}),
        (call_of(messages=TEXT, response_format=b'{"type":"text"}'), set()),
        (call_of(messages=PICTURE), {"vision"}),
        (call_of(operation="responses", input=b'[{"type":"input_image"}]'), {"vision"}),
        (call_of(operation="responses", input=b'"x"', reasoning=b'{"effort":"low"}'), {"reasoning"}),
        (call_of(operation="responses", input=b'"x"', reasoning=b'{"effort":"none"}'), set()),
        (call_of(operation="responses", input=b'"x"', reasoning=b'{"effort":null,"summary":"auto"}'), set()),
        (call_of(operation="responses", input=b'"x"', reasoning=b"null"), set()),
        (call_of(operation="responses", input=b'"x"', reasoning=b"[1]"), set()),
        (call_of(operation="responses", input=b'"x"', tools=b'[{"type":"function","name":"f"}]'), {"tools"}),
        (call_of(operation="responses", input=b'"x"', text=b'{"format":{"type":"json_schema"}}'), {"json_schema"}),
        (call_of(operation="responses", input=b'"x"', text=b'{"format":{"type":"text"}}'), set()),
        (call_of(messages=b'[{"type":"input_audio"}]', audio=b'{"voice":"a"}'), {"audio_in", "audio_out"}),
        (call_of(operation="embedding", input=b'[{"type":"input_image"}]'), set()),
    ],
)
def test_required_capabilities_are_found(call: Call, expected: set[str]) -> None:
    assert needs(call, ALL) == expected
    assert needs(call, ()) == set()


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/embeddings", "POST", {"model": "m", "input": "x"}),
        ("/images/generations", "POST", {"model": "m", "prompt": "x"}),
        ("/audio/speech", "POST", {"model": "m", "input": "x"}),
        ("/responses/r-1/cancel", "POST", {"x": 1}),
        ("/responses/input_tokens", "POST", {"model": "m", "input": "x"}),
        ("/responses", "POST", b""),
        ("/responses/r-1", "GET", b""),
    ],
)
def test_operations_without_output_bound(path: str, method: str, body: object) -> None:
    assert not takes_bound(parse(body, path, method))


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/responses", "/responses?x=1"])
def test_operations_with_output_bound(path: str) -> None:
    assert takes_bound(parse({"model": "m", "messages": [{"role": "user"}], "prompt": "x", "input": "x"}, path))


@pytest.mark.parametrize(
    ("call", "free"),
    [
        (asking_for("other", method="GET"), True),
        (asking_for("other", method="DELETE"), True),
        (asking_for("file"), True),
        (asking_for("other"), False),
        (asking_for("responses"), False),
        (asking_for("responses", path="/responses"), False),
        (asking_for("responses", path="/responses/compact"), False),
        (asking_for("responses", path="/responses/r-1/cancel"), True),
        (asking_for("responses", path="/responses/input_tokens?x=1"), True),
        (asking_for("responses", path="/conversations/c-1/items"), True),
        (asking_for("batch", path="/batches/b-1/cancel"), True),
        (asking_for("batch"), False),
        (asking_for(), False),
    ],
)
def test_reads_and_uploads_are_free(call: Call, free: bool) -> None:
    assert is_free(call) is free
