"""The context that a request needs, in tokens."""

from msgspec import Raw
from msgspec.structs import replace

from fakes.routing import call
from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation
from pointsman.wire.tokens import in_input, tokens_needed

TEXT = b'[{"role":"user","content":"what is in image_url?"}]'
PICTURE = b'[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]'


def call_of(size: int = 100, operation: Operation = "chat", max_tokens: int | None = None, **fields: bytes) -> Call:
    raw = {name: Raw(value) for name, value in fields.items()}
    media = in_input(raw.get("messages") or raw.get("input"))
    return replace(call(operation=operation), fields=raw, size=size, max_tokens=max_tokens, media=media)


def test_tokens_are_estimated_only_from_text() -> None:
    assert tokens_needed(call_of(4000, messages=TEXT)) == 1000
    assert tokens_needed(call_of(4000, messages=TEXT, max_tokens=500)) == 1500
    assert tokens_needed(call_of(4000, messages=TEXT), 16) == 250
    assert tokens_needed(call_of(4000, messages=PICTURE)) == 0
    assert tokens_needed(call_of(4000, "embedding")) == 0
