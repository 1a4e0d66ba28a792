"""A provider's key does not leave with an error."""

import json

import msgspec
import pytest

from fakes.wire import SECRET
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.network import Network
from pointsman.domain.origin import Origin, Secret
from pointsman.domain.redaction import MASK, redact
from pointsman.domain.targets import Endpoint, ProviderKey
from pointsman.providers._openai_errors import classify


def test_a_key_that_a_provider_repeats_is_masked() -> None:
    body = json.dumps({"error": {"message": f"bad key {SECRET}, yes {SECRET}", "param": "p"}}).encode()
    failure = redact(classify(400, {}, body, 0.0), Secret(SECRET))
    assert failure.said == f"bad key {MASK}, yes {MASK}"
    assert failure.body is not None
    assert json.loads(failure.body) == {"error": {"message": f"bad key {MASK}, yes {MASK}", "param": "p"}}
    assert (failure.status, failure.kind) == (400, failures.UPSTREAM_REFUSED)


def test_a_key_cut_off_at_the_end_of_a_message_is_masked() -> None:
    said = "x" * 488 + SECRET
    failure = redact(classify(500, {}, json.dumps({"error": {"message": said}}).encode(), 0.0), Secret(SECRET))
    assert failure.message.endswith("x" + MASK)
    assert SECRET[:8] not in failure.message


@pytest.mark.parametrize("value", ['quote"and\\slash', "path/like/key/1234", "schl\u00fcssel-12345"])
def test_a_key_escaped_in_json_is_masked(value: str) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value).replace("/", "\\/")):
        body = b'{"error":{"message":' + text.encode() + b"}}"
        masked = redact(Failure(failures.UPSTREAM_REFUSED, value, body=body), Secret(value))
        assert masked.message == MASK
        assert masked.body == b'{"error":{"message":"' + MASK.encode() + b'"}}'


@pytest.mark.parametrize("value", ["", "none", "EMPTY"])
def test_place_holders_are_left_alone(value: str) -> None:
    failure = Failure(failures.UPSTREAM_REFUSED, "none EMPTY", body=b'{"error":"none"}')
    assert redact(failure, Secret(value)) is failure


def test_a_failure_without_the_key_is_the_same_object() -> None:
    failure = Failure(failures.UPSTREAM_REFUSED, "no", body=b"\xff not text")
    assert redact(failure, Secret(SECRET)) is failure


def test_secrets_do_not_show_themselves() -> None:
    secret = Secret(SECRET)
    key = ProviderKey("k", secret)
    origin = Origin("https", "h", 1)
    endpoint = Endpoint("e", "openai", origin, "", (key,), frozenset(), network=Network(proxy_authorization=secret))
    for value in (secret, key, endpoint, (secret,), {"a": secret}):
        assert SECRET not in repr(value)
        assert SECRET not in f"{value}"
    for value in (secret, key, endpoint):
        with pytest.raises(TypeError):
            msgspec.json.encode(value)
