"""Helpers that call the endpoints of a simulated provider without a server."""

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from pointsman.simulate import SimulatedProvider
from pointsman.simulate.answers import Answer, Rejected, Request, RequestContext
from pointsman.simulate.settings import Settings


def context_for(
    body: Any = None, *, key: str = "sk-a", index: int = 0, content_type: str = "application/json", **settings: Any
) -> RequestContext:
    """Build the input of an endpoint. `body` is bytes, or a value to encode as JSON. `settings` are the provider's."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = msgspec.json.decode(data, type=dict[str, Raw]) if isinstance(body, dict) else {}
    request = Request(method="POST", target="/v1/x", raw_headers=[], headers={"content-type": content_type}, body=data)
    return RequestContext(
        request=request,
        index=index,
        key=key,
        fields=fields,
        settings=Settings(**settings),
        rng=random.Random(index),
        created=1_800_000_000,
    )


def finish_answers(provider: SimulatedProvider) -> None:
    """Send the rest of all delayed answers without further delays."""
    for connection in list(provider.connections):
        if connection._script is not None and connection._timer is not None:
            for step in connection._script.steps[connection._position :]:
                step.delay_s = 0.0
            connection._timer.cancel()
            connection._play()


def form(key: str = "sk-a", index: int = 0, **parts: str | bytes) -> RequestContext:
    """Build the input of an endpoint for forms. A part of text is a field, and a part of bytes is a file."""
    body = b""
    for name, value in parts.items():
        filename = b'; filename="a.bin"' if isinstance(value, bytes) else b""
        data = value if isinstance(value, bytes) else value.encode()
        body += b'--B\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name.encode(), filename, data)
    return context_for(body + b"--B--\r\n", key=key, index=index, content_type="multipart/form-data; boundary=B")


def rejected(call: Callable[[], object]) -> dict[str, Any]:
    """Return the status and error that `call` must raise."""
    with pytest.raises(Rejected) as caught:
        call()
    answer = caught.value.answer
    return {"status": answer.status, **json.loads(answer.body)["error"]}


def chunks(answer: Answer) -> list[dict[str, Any]]:
    """Return the data of all events but the last, which must be `[DONE]`."""
    assert answer.events is not None
    *events, done = answer.events
    assert done.data == b"data: [DONE]\n\n"
    return [json.loads(event.data.removeprefix(b"data: ")) for event in events]
