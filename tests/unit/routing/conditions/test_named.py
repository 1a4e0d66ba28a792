"""Facts named outside of a condition, and their values for the log."""

import json

import pytest

from fakes.configuration import OPEN, compiled
from fakes.routing import NOW, FakeView
from fakes.wire import TABLE
from pointsman.domain.calls import Facts
from pointsman.domain.rules import Value
from pointsman.routing.conditions.facts import Sources
from pointsman.routing.conditions.named import logged_read_of, reference_named
from pointsman.wire.heads import read_head

CONFIGURATION = compiled(OPEN + "providers: {openai: env.OPENAI_API_KEY}\nlogging: {facts: [headers.x-a]}").snapshot


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "chat"),
        ("stream", False),
        ("headers.x-a", "1"),
        ("present(headers, 'X-A')", True),
        ("params.temperature", 0.5),
        ("params.store", True),
        ("params.seed", 7),
        ("params.absent", ""),
        ("params.messages", ""),
        ("max_tokens", -1),
        ("client_ip", None),
        ("request_tags.a", ""),
    ],
)
def test_values_keep_their_type(name: str, value: Value | None) -> None:
    head = read_head("POST", "/v1/chat/completions", {b"x-a": b"1"}, TABLE, CONFIGURATION)
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "store": True,
        "seed": 7,
    }
    assert head.api.parse is not None
    call = head.api.parse(head, json.dumps(body).encode())
    read = logged_read_of(reference_named(name))
    found = read(Sources(Facts(call), FakeView(CONFIGURATION), NOW))
    assert (found, type(found)) == (value, type(value))
