"""The bound on an answer is lowered in the client's field, or added if there is none."""

import msgspec
import pytest
from msgspec.structs import replace

from fakes.wire import parse, target
from pointsman.domain.calls import Call
from pointsman.providers._openai_codecs import OLDER, JsonCodec, PassthroughCodec, Quirks

MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, object]] = {
    "/chat/completions": {"messages": MESSAGES},
    "/completions": {"prompt": "hi"},
    "/responses": {"input": "hi"},
}


def sent_fields(call: Call, quirks: Quirks | None = None) -> dict[str, object]:
    """Return the body of the request for a provider's model `m`."""
    codec = PassthroughCodec() if call.operation == "responses" else JsonCodec(quirks=quirks or Quirks())
    candidate = target(model="m")
    found: dict[str, object] = msgspec.json.decode(codec.encode(call, candidate, candidate.keys[0]).body)
    return found


@pytest.mark.parametrize(
    ("path", "requested", "sent"),
    [
        ("/chat/completions", {}, {"max_completion_tokens": 20}),
        ("/chat/completions", {"max_tokens": 50}, {"max_tokens": 20}),
        ("/chat/completions", {"max_completion_tokens": 50}, {"max_completion_tokens": 20}),
        ("/chat/completions", {"max_tokens": -1}, {"max_tokens": 20}),
        ("/responses", {"max_output_tokens": -1}, {"max_output_tokens": 20}),
        ("/chat/completions", {"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 20}),
        (
            "/chat/completions",
            {"max_tokens": 18, "max_completion_tokens": 50},
            {"max_tokens": 18, "max_completion_tokens": 20},
        ),
        ("/completions", {}, {"max_tokens": 20}),
        ("/completions", {"max_tokens": 50}, {"max_tokens": 20}),
        ("/responses", {}, {"max_output_tokens": 20}),
        ("/responses", {"max_output_tokens": 50}, {"max_output_tokens": 20}),
        ("/responses?x=1", {"max_output_tokens": None}, {"max_output_tokens": 20}),
    ],
)
def test_bound_is_lowered_in_the_client_field(path: str, requested: dict[str, object], sent: dict[str, object]) -> None:
    body = {"model": "m", "temperature": 0.5, **BODIES[path.partition("?")[0]]}
    call = parse({**body, **requested}, path)
    assert sent_fields(replace(call, max_tokens=20)) == {**body, **sent}
    assert {name: msgspec.json.decode(raw) for name, raw in call.fields.items()} == {**body, **requested}, "untouched"


@pytest.mark.parametrize(
    ("path", "requested", "sent"),
    [
        ("/chat/completions", {}, {"max_tokens": 20}),
        ("/chat/completions", {"max_completion_tokens": 50}, {"max_completion_tokens": 20}),
        ("/chat/completions", {"max_tokens": None}, {"max_tokens": 20}),
        ("/completions", {}, {"max_tokens": 20}),
        ("/responses", {}, {"max_output_tokens": 20}),
    ],
)
def test_missing_bound_of_chat_is_added_in_provider_field(
    path: str, requested: dict[str, object], sent: dict[str, object]
) -> None:
    call = replace(parse({"model": "m", **BODIES[path], **requested}, path), max_tokens=20)
    assert sent_fields(call, Quirks(OLDER)) == {"model": "m", **BODIES[path], **requested, **sent}


def test_bound_of_response_is_read() -> None:
    assert parse({"model": "m", "input": "x", "max_output_tokens": 50}, "/responses").max_tokens == 50
    assert parse({"model": "m", "input": "x"}, "/responses").max_tokens is None
