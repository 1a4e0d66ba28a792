"""The endpoints by method and path."""

import json

import pytest

from fakes.simulated import context_for, rejected
from pointsman.simulate.answers import Request
from pointsman.simulate.endpoints import Endpoints, dialect_of, key_of


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1/responses", "responses"),
        ("/v1/responses/resp_1", "openai"),
        ("/v1/chat/completions", "openai"),
        ("/v1/messagesx", "openai"),
    ],
)
def test_path_has_its_dialect(path: str, dialect: str) -> None:
    assert dialect_of(path) == dialect


@pytest.mark.parametrize(
    ("path", "headers", "key"),
    [
        ("/v1/messages", {"x-api-key": "a", "authorization": "Bearer b"}, "a"),
        ("/v1/messages", {"authorization": "Bearer b"}, "b"),
        ("/v1/chat/completions", {"x-api-key": "a", "authorization": "Bearer b"}, "b"),
        ("/v1/chat/completions", {}, ""),
    ],
)
def test_key_is_read_as_its_dialect_sends_it(path: str, headers: dict[str, str], key: str) -> None:
    assert key_of(Request(method="POST", target=path, raw_headers=[], headers=headers, body=b"")) == key


def test_models_are_listed_and_found() -> None:
    endpoints = Endpoints()
    listed = json.loads(endpoints.find("GET", "/v1/models")(context_for(models=("a", "b"))).body)
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert json.loads(endpoints.find("GET", "/v1/models/b")(context_for(models=("a", "b"))).body)["id"] == "b"


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/messages"), ("POST", "/v1/messages/batches"), ("GET", "/")])
def test_unknown_path_is_rejected(method: str, path: str) -> None:
    assert rejected(lambda: Endpoints().find(method, path))["status"] == 404
