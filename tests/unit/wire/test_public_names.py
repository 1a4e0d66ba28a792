"""A second name stands for a model in every dialect and on every path."""

from typing import Any

import pytest
from msgspec.structs import replace

from fakes.anthropic import HELLO, message_call
from fakes.configuration import compiled
from fakes.wire import PATH_OF, parse
from pointsman.domain.snapshots import NO_SNAPSHOT
from pointsman.wire.forms import form_call
from pointsman.wire.multipart import ReadForm
from pointsman.wire.public_names import own_name, requested_name
from unit.wire.test_heads import read

CHAT: dict[str, Any] = {"model": "claude-via-fast", "messages": [{"role": "user", "content": "hi"}]}
OWN = """
providers: {openai: env.OPENAI_API_KEY}
models: {claude-via-x: [openai/gpt-4o], fast: [openai/gpt-4o-mini]}
governance: {virtual_keys: {me: env.CLIENT_KEY}}
"""


@pytest.mark.parametrize(
    ("requested", "meant"),
    [("claude-via-fast", "fast"), ("claude-via-a/b", "a/b"), ("claude-sonnet-4-5", "claude-sonnet-4-5"), ("m", "m")],
)
def test_second_name_stands_for_a_name(requested: str, meant: str) -> None:
    assert own_name(requested, NO_SNAPSHOT) == meant


def test_public_name_that_begins_like_a_second_name_is_itself() -> None:
    snapshot = compiled(OWN).snapshot
    assert own_name("claude-via-x", snapshot) == "claude-via-x"
    assert own_name("claude-via-claude-via-x", snapshot) == "claude-via-x"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", CHAT),
        ("/completions", {"model": "claude-via-fast", "prompt": "hi"}),
        ("/embeddings", {"model": "claude-via-fast", "input": "hi"}),
        ("/responses", {"model": "claude-via-fast", "input": "hi"}),
    ],
)
def test_call_has_the_name_that_is_meant(path: str, body: dict[str, Any]) -> None:
    call = parse({**body, "fallbacks": ["claude-via-slow", "other"]}, path)
    assert (call.model, call.fallbacks) == ("fast", ("slow", "other"))
    assert requested_name(call) == "claude-via-fast"


def test_messages_and_forms_have_the_name_that_is_meant() -> None:
    call = message_call({**HELLO, "model": "claude-via-fast", "fallbacks": ["claude-via-slow"]})
    assert (call.model, call.fallbacks, requested_name(call)) == ("fast", ("slow",), "claude-via-fast")
    form = form_call(read("/v1" + PATH_OF["audio"]), 10, ReadForm(values={"model": "claude-via-fast"}))
    assert (form.model, requested_name(form)) == ("fast", "fast")


def test_name_without_a_body_is_that_of_the_call() -> None:
    assert requested_name(replace(parse(CHAT), fields={})) == "fast"
