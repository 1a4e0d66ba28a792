"""The rest of the API: the fields that are read, and the operations that belong to one account."""

import msgspec
import pytest

from fakes.wire import PATH_OF, parse, parsed_head, rejected, target
from pointsman.domain.calls import Call
from pointsman.domain.operations import Operation
from pointsman.providers import PROVIDERS


def sent(call: Call) -> tuple[bytes, bytes]:
    candidate = target()
    request = PROVIDERS["openai"].codecs[call.operation].encode(call, candidate, candidate.keys[0])
    return request.body, request.headers


def test_json_body_passes_with_the_model_replaced() -> None:
    body = {"model": "m", "prompt": "a cat", "n": 1, "x": {"model": "inner"}}
    call = parse({**body, "fallbacks": ["a/b"]}, "/images/generations")
    assert (call.operation, call.model, call.fallbacks) == ("image", "m", ("a/b",))
    assert msgspec.json.decode(sent(call)[0]) == {**body, "model": "upstream-model"}


def test_body_without_model_passes_unchanged() -> None:
    call = parse({"input_file_id": "f"}, "/batches", provider="openai")
    assert (call.model, call.head.provider) == ("", "openai")
    assert msgspec.json.decode(sent(call)[0]) == {"input_file_id": "f"}


def test_empty_object_is_a_body() -> None:
    body, headers = sent(parse(b"{ }", "/vector_stores"))
    assert msgspec.json.decode(body) == {}
    assert b"content-type: application/json\r\n" in headers


def test_absent_body_stays_absent() -> None:
    call = parse(b"", "/files/f-1/content?x=1", "GET")
    body, headers = sent(call)
    assert (body, call.head.path, call.head.method) == (b"", "/files/f-1/content?x=1", "GET")
    assert b"content-type" not in headers


@pytest.mark.parametrize(
    ("path", "method", "body", "is_stateful"),
    [
        ("/responses", "POST", {"model": "m", "store": False}, False),
        ("/responses", "POST", {"model": "m"}, True),
        ("/responses", "POST", {"model": "m", "store": None}, True),
        ("/responses", "POST", {"model": "m", "store": False, "previous_response_id": "r"}, True),
        ("/responses", "POST", {"model": "m", "store": False, "conversation": {"id": "c"}}, True),
        ("/responses/r-1", "GET", None, True),
        ("/responses/r-1/cancel", "POST", {}, True),
        ("/conversations", "POST", {}, True),
        ("/files/f", "DELETE", None, True),
        ("/batches", "POST", {"x": 1}, True),
        ("/vector_stores", "POST", {"x": 1}, True),
        ("/threads/t-1/runs", "POST", {"assistant_id": "a"}, True),
        ("/assistants/a", "GET", None, True),
        ("/rerank", "POST", {"model": "m", "query": "q", "documents": []}, False),
        ("/score", "POST", {"model": "m"}, False),
        ("/images/generations", "POST", {"model": "m"}, False),
        ("/audio/speech", "POST", {"model": "m"}, False),
        ("/moderations", "POST", {"input": "x"}, False),
    ],
)
def test_operations_of_one_account_are_stateful(path: str, method: str, body: object, is_stateful: bool) -> None:
    call = parse(b"" if body is None else body, path, method)
    assert call.stateful is is_stateful
    request = PROVIDERS["openai-compatible"].codecs[call.operation].encode(call, target(), target().keys[0])
    assert request.is_replayable is not is_stateful


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", 1), ("stream", "x"), ("fallbacks", "x"), ("store", 1), ("Model", "x"), ("STREAM", True)],
)
def test_typed_fields_are_checked(field: str, value: object) -> None:
    failure = rejected(lambda: parse({"input": "x", field: value}, "/responses"))
    assert (failure.kind.status, failure.param) == (400, field)


def test_repeated_model_is_rejected() -> None:
    assert rejected(lambda: parse(b'{"model":"a","model":"b"}', "/responses")).param == "model"


@pytest.mark.parametrize("operation", [item for item in PATH_OF if item != "chat"])
def test_every_operation_has_a_path(operation: Operation) -> None:
    assert parsed_head(PATH_OF[operation]).api.operation == operation
