"""Errors do not reveal a provider's key."""

import json

import msgspec
import pytest

from fakes.wire import SECRET
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.network import Network
from pointsman.domain.origin import AwsKeys, GoogleSource, Origin, Secret
from pointsman.domain.redaction import MASK, redact
from pointsman.domain.targets import Endpoint, ProviderKey
from pointsman.providers._openai_errors import classify


def test_key_repeated_by_provider_is_masked() -> None:
    body = json.dumps({"error": {"message": f"bad key {SECRET}, yes {SECRET}", "param": "p"}}).encode()
    failure = redact(classify(400, {}, body, 0.0), Secret(SECRET))
    assert failure.quote == f"bad key {MASK}, yes {MASK}"
    assert failure.body is not None
    assert json.loads(failure.body) == {"error": {"message": f"bad key {MASK}, yes {MASK}", "param": "p"}}
    assert (failure.status, failure.kind) == (400, failures.UPSTREAM_REFUSED)


def test_every_secret_of_signing_keys_is_masked_and_their_id_is_not() -> None:
    keys = AwsKeys("AKIAEXAMPLE00001", Secret("wJalrXUtnFEMI/K7MDENG"), Secret("FwoGZXIvYXdzEXAMPLE"))
    text = "AKIAEXAMPLE00001 wJalrXUtnFEMI/K7MDENG FwoGZXIvYXdzEXAMPLE"
    body = json.dumps({"error": {"message": text}}).encode()
    assert redact(classify(400, {}, body, 0.0), keys).quote == f"AKIAEXAMPLE00001 {MASK} {MASK}"


def test_secrets_of_an_account_are_masked_and_its_name_is_not() -> None:
    account = {"type": "service_account", "client_email": "gateway@p.test", "private_key": "-----\nMIIEvQIBADANBg\n"}
    found = redact(
        Failure(failures.CREDENTIAL_REJECTED, "check the service_account gateway@p.test, not MIIEvQIBADANBg"),
        GoogleSource(Secret(json.dumps(account))),
    )
    assert found.message == f"check the service_account gateway@p.test, not {MASK}"
    user = {"type": "authorized_user", "client_secret": "GOCSPX-secret", "refresh_token": "1//refresh-token"}
    said = Failure(failures.CREDENTIAL_REJECTED, "GOCSPX-secret and 1//refresh-token")
    assert redact(said, GoogleSource(Secret(json.dumps(user)))).message == f"{MASK} and {MASK}"
    outer = {"type": "impersonated_service_account", "source_credentials": user}
    assert redact(said, GoogleSource(Secret(json.dumps(outer)))).message == f"{MASK} and {MASK}"


def test_key_cut_at_end_of_message_is_masked() -> None:
    text = "x" * 488 + SECRET
    failure = redact(classify(400, {}, json.dumps({"error": {"message": text}}).encode(), 0.0), Secret(SECRET))
    assert failure.quote is not None
    assert failure.quote.endswith("x" + MASK)
    assert SECRET[:8] not in failure.quote


@pytest.mark.parametrize(
    "said",
    [
        f"the key ends in {SECRET[-9:]}",
        f"your key {SECRET[4:16]}, which",
        f"Incorrect API key provided: {SECRET[:4]}*****6789. You",
        f"got {SECRET[:5]}...{SECRET[-4:]}, sorry",
        f"got {SECRET[:5]}\u2026{SECRET[-4:]}",
    ],
)
def test_parts_and_remains_of_key_are_masked(said: str) -> None:
    masked = redact(
        Failure(failures.UPSTREAM_REFUSED, "no", quote=said, client_message=said, param=said), Secret(SECRET)
    )
    for text in (masked.quote, masked.client_message, masked.param):
        assert text is not None
        assert MASK in text
        assert SECRET[-4:] not in text
        assert SECRET[4:12] not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "vllm.internal.example", "::1", "vllm"])
def test_provider_address_is_masked_for_the_client(host: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    text = f"see http://{shown}:8000/docs or {shown}:8000, on port 18000 of x{host}"
    masked = redact(Failure(failures.UPSTREAM_REFUSED, text, quote=text), Secret(""), Origin("http", host, 8000))
    assert masked.quote == f"see {MASK}/docs or {MASK}, on port 18000 of x{host}"
    assert masked.message == text, "the operator needs the address"


def test_key_resembling_the_mask_terminates() -> None:
    assert redact(Failure(failures.UPSTREAM_REFUSED, "redacted] x"), Secret("redacted]")).message == f"{MASK} x"


@pytest.mark.parametrize("value", ['quote"and\\slash', "path/like/key/1234", "schl\u00fcssel-12345"])
def test_key_escaped_in_json_is_masked(value: str) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value).replace("/", "\\/")):
        body = b'{"error":{"message":' + text.encode() + b"}}"
        masked = redact(Failure(failures.UPSTREAM_REFUSED, value, body=body), Secret(value))
        assert masked.message == MASK
        assert masked.body == b'{"error":{"message":"' + MASK.encode() + b'"}}'


@pytest.mark.parametrize("value", ["", "none", "EMPTY"])
def test_placeholder_keys_are_not_masked(value: str) -> None:
    failure = Failure(failures.UPSTREAM_REFUSED, "none EMPTY", body=b'{"error":"none"}')
    assert redact(failure, Secret(value)) is failure


def test_failure_without_key_is_the_same_object() -> None:
    failure = Failure(failures.UPSTREAM_REFUSED, "no", body=b"\xff not text")
    assert redact(failure, Secret(SECRET)) is failure


def test_secrets_are_hidden_from_repr() -> None:
    secret = Secret(SECRET)
    key = ProviderKey("k", secret)
    origin = Origin("https", "h", 1)
    endpoint = Endpoint(
        name="e",
        type="openai",
        origin=origin,
        base_path="",
        keys=(key,),
        operations=frozenset(),
        network=Network(proxy_authorization=secret),
    )
    for value in (secret, key, endpoint, (secret,), {"a": secret}):
        assert SECRET not in repr(value)
        assert SECRET not in f"{value}"
    for value in (secret, key, endpoint):
        with pytest.raises(TypeError):
            msgspec.json.encode(value)
