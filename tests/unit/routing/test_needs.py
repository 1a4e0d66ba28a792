"""What a request needs, as far as its body says so."""

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import call
from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation
from pointsman.domain.snapshots import Bounds
from pointsman.routing.needs import exceeds, needs, tokens_needed
from pointsman.wire.media import in_input

ALL = ("tools", "json_schema", "vision", "audio_in", "audio_out", "reasoning")
TEXT = b'[{"role":"user","content":"what is in image_url?"}]'
PICTURE = b'[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]'


def asking(
    size: int = 100, operation: Operation = Operation.CHAT, max_tokens: int | None = None, **fields: bytes
) -> Call:
    raw = {name: Raw(value) for name, value in fields.items()}
    media = in_input(raw.get("messages") or raw.get("input"))
    return replace(call(operation=operation), fields=raw, size=size, max_tokens=max_tokens, media=media)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (asking(messages=TEXT), set()),
        (asking(messages=TEXT, tools=b'[{"type":"function"}]'), {"tools"}),
        (asking(messages=TEXT, tools=b"[]", functions=b"null", reasoning_effort=b'"none"'), set()),
        (asking(messages=TEXT, functions=b"[{}]", reasoning_effort=b'"low"'), {"tools", "reasoning"}),
        (asking(messages=TEXT, response_format=b'{"type":"json_schema","json_schema":{}}'), {"json_schema"}),
        (asking(messages=TEXT, response_format=b'{"type":"text"}'), set()),
        (asking(messages=PICTURE), {"vision"}),
        (asking(operation=Operation.RESPONSES, input=b'[{"type":"input_image"}]'), {"vision"}),
        (asking(messages=b'[{"type":"input_audio"}]', audio=b'{"voice":"a"}'), {"audio_in", "audio_out"}),
        (asking(operation=Operation.EMBEDDING, input=b'[{"type":"input_image"}]'), set()),
    ],
)
def test_needs(asked: Call, expected: set[str]) -> None:
    assert needs(asked, ALL) == expected
    assert needs(asked, ()) == set()


def test_tokens_are_told_from_the_size_of_text_alone() -> None:
    assert tokens_needed(asking(4000, messages=TEXT)) == 1000
    assert tokens_needed(asking(4000, messages=TEXT, max_tokens=500)) == 1500
    assert tokens_needed(asking(4000, messages=TEXT), 16) == 250
    assert tokens_needed(asking(4000, messages=PICTURE)) == 0
    assert tokens_needed(asking(4000, Operation.EMBEDDING)) == 0


def test_what_exceeds_bounds() -> None:
    assert not exceeds(asking(4000, messages=TEXT), Bounds(1000))
    assert exceeds(asking(4000, messages=TEXT, max_tokens=1), Bounds(1000))
    assert exceeds(asking(messages=PICTURE), Bounds(lacks=frozenset({"vision"})))
    assert not exceeds(asking(messages=PICTURE), Bounds(lacks=frozenset({"tools"})))
    assert not exceeds(asking(10**9, messages=TEXT), Bounds())
