"""The simulated batches: carried out as time passes, and only their good lines cost something."""

import json
from typing import Any

import pytest

from fakes.simulated import context_for, form, rejected
from pointsman.simulate.answers import RequestContext
from pointsman.simulate.endpoints import Endpoints

CHAT = "/v1/chat/completions"


def ask(endpoints: Endpoints, method: str, path: str, context: RequestContext) -> Any:
    context.request.method, context.request.target = method, path
    return json.loads(endpoints.find(method, path)(context).body)


def uploaded(endpoints: Endpoints, *bodies: dict[str, Any], url: str = CHAT) -> str:
    lines = [
        {"custom_id": str(number), "method": "POST", "url": url, "body": body} for number, body in enumerate(bodies)
    ]
    data = "\n".join(map(json.dumps, lines)).encode()
    return str(json.loads(endpoints.find("POST", "/v1/files")(form(purpose="batch", file=data)).body)["id"])


def body(model: str = "gpt-4o") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}]}


def test_lines_are_answered_and_billed_once() -> None:
    endpoints = Endpoints()
    file = uploaded(endpoints, body(), body("unknown"), body("gpt-4o-mini"))
    made = ask(endpoints, "POST", "/v1/batches", context_for({"input_file_id": file, "endpoint": CHAT}, index=7))
    assert (made["status"], endpoints.batches.executed) == ("validating", [])
    for _ in range(2):
        done = ask(endpoints, "GET", f"/v1/batches/{made['id']}", context_for(index=8))
        assert (done["status"], done["request_counts"]) == ("completed", {"total": 3, "completed": 2, "failed": 1})
    assert [one.model for one in endpoints.batches.executed] == ["gpt-4o", "gpt-4o-mini"]
    assert done["usage"]["output_tokens"] == sum(one.answer.tokens_out for one in endpoints.batches.executed)
    content = endpoints.find("GET", f"/v1/files/{done['output_file_id']}/content")(context_for(index=9)).body
    assert [json.loads(line)["custom_id"] for line in content.splitlines()] == ["0", "2"]
    assert ask(endpoints, "GET", "/v1/batches", context_for(index=10))["data"] == [done]


def test_cancelled_and_expired_batches_end_with_the_lines_so_far() -> None:
    endpoints = Endpoints()
    cases: list[tuple[dict[str, Any], str]] = [({}, "cancelled"), ({"batch_window_s": 0.0}, "expired")]
    for more, end in cases:
        settings: dict[str, Any] = {"batch_s": 1e9, **more}
        file = uploaded(endpoints, body(), body())
        fields = {"input_file_id": file, "endpoint": CHAT}
        made = ask(endpoints, "POST", "/v1/batches", context_for(fields, index=len(end), **settings))
        method, path = ("POST", "/cancel") if end == "cancelled" else ("GET", "")
        done = ask(endpoints, method, f"/v1/batches/{made['id']}{path}", context_for(**settings))
        assert (done["status"], done["output_file_id"]) == (end, None)
    assert endpoints.batches.executed == []


@pytest.mark.parametrize("fields", [{"endpoint": "/v1/other"}, {"input_file_id": "file-none"}])
def test_wrong_request_is_rejected(fields: dict[str, Any]) -> None:
    endpoints = Endpoints()
    whole = {"input_file_id": uploaded(endpoints, body()), "endpoint": CHAT, **fields}
    found = rejected(lambda: ask(endpoints, "POST", "/v1/batches", context_for(whole)))
    assert found["status"] in (400, 404)


def test_file_for_another_endpoint_fails() -> None:
    endpoints = Endpoints()
    file = uploaded(endpoints, body(), url="/v1/embeddings")
    made = ask(endpoints, "POST", "/v1/batches", context_for({"input_file_id": file, "endpoint": CHAT}))
    assert made["status"] == "failed"
