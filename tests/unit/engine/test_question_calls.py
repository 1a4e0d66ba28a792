"""The call of a question is at the place of its objects, if anything is known of them."""

import json

import pytest

from fakes.configuration import compiled
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.state import Pin, Record
from pointsman.engine.question_calls import located, parse

SNAPSHOT = compiled("""
providers: {openai: env.OPENAI_API_KEY}
governance: {virtual_keys: {app: {value: env.CLIENT_KEY}}}
""").snapshot
[KEY] = SNAPSHOT.virtual_keys.values()
BODY = json.dumps({"input_file_id": "f-1", "endpoint": "/v1/embeddings"}).encode()


def record(owner: str) -> Record:
    return Record(id="f-1", kind="file", provider="openai", key="default", owner=owner, at=1.0)


def test_request_goes_to_the_place_of_its_objects() -> None:
    call = parse("/v1/batches", {"X-Pointsman-Provider": "openai"}, BODY, SNAPSHOT)
    assert (call.operation, call.head.provider) == ("batch", "openai")
    assert located(call, KEY, []) is call
    found = located(call, KEY, [record("virtual_key:app")])
    assert not isinstance(found, Failure)
    assert found.pin == Pin("openai", "default", "the file 'f-1'")
    refused = located(call, KEY, [record("virtual_key:other")])
    assert isinstance(refused, Failure)
    assert refused.kind.code == "state_not_found"


def test_request_that_the_gateway_does_not_take_is_rejected() -> None:
    with pytest.raises(Rejection, match="not allowed for /v1/models"):
        parse("/v1/models", {}, b"", SNAPSHOT)
