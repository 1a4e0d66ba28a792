"""The bound on an answer is lowered where the client put it, and put in where there is none."""

import msgspec
import pytest

from fakes.wire import parse
from pointsman.wire.output_bound import OLDER, bounded

MESSAGES = [{"role": "user", "content": "hi"}]
BODIES: dict[str, dict[str, object]] = {
    "/chat/completions": {"messages": MESSAGES},
    "/completions": {"prompt": "hi"},
    "/responses": {"input": "hi"},
}


@pytest.mark.parametrize(
    ("path", "stated", "sent"),
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
def test_the_field_of_the_client_and_the_path(path: str, stated: dict[str, object], sent: dict[str, object]) -> None:
    body = {"model": "m", "temperature": 0.5, **BODIES[path.partition("?")[0]]}
    call = parse({**body, **stated}, path)
    lowered = bounded(call, 20)
    assert lowered.max_tokens == 20
    assert {name: msgspec.json.decode(raw) for name, raw in lowered.fields.items()} == {**body, **sent}
    assert {name: msgspec.json.decode(raw) for name, raw in call.fields.items()} == {**body, **stated}, "untouched"


@pytest.mark.parametrize(
    ("path", "stated", "sent"),
    [
        ("/chat/completions", {}, {"max_tokens": 20}),
        ("/chat/completions", {"max_completion_tokens": 50}, {"max_completion_tokens": 20}),
        ("/chat/completions", {"max_tokens": None}, {"max_tokens": 20}),
        ("/completions", {}, {"max_tokens": 20}),
        ("/responses", {}, {"max_output_tokens": 20}),
    ],
)
def test_a_chat_without_a_bound_is_given_it_in_the_field_of_the_provider(
    path: str, stated: dict[str, object], sent: dict[str, object]
) -> None:
    call = bounded(parse({"model": "m", **BODIES[path], **stated}, path), 20, OLDER)
    found = {name: msgspec.json.decode(raw) for name, raw in call.fields.items()}
    assert found == {"model": "m", **BODIES[path], **stated, **sent}


def test_what_is_stated_for_a_response_is_known() -> None:
    assert parse({"model": "m", "input": "x", "max_output_tokens": 50}, "/responses").max_tokens == 50
    assert parse({"model": "m", "input": "x"}, "/responses").max_tokens is None
