"""A credential is a virtual key, a token or a certificate, in this order."""

from hashlib import sha256

import pytest

from fakes.configuration import ENVIRON, compiled
from fakes.exchange import FakeClient, request_head
from fakes.issuer import claims_of, key_set, new_key, signed
from fakes.wire import rejected
from pointsman.domain import failures
from pointsman.engine.admission import CredentialCheck
from pointsman.engine.live import Live
from pointsman.engine.token_checks import read_keys
from pointsman.transport.http_exchange import Exchange

ISSUER = "https://issuer.example"
TEXT = f"""
providers: {{openai: env.OPENAI_API_KEY}}
governance:
  virtual_keys: {{me: env.CLIENT_KEY}}
  identities: {{ci: {{jwt: {{issuer: {ISSUER}, audience: pointsman}}, when: 'true'}}}}
"""
KEY = new_key("one", "EC")


def admitted(text: str, token: str, *, is_cut_off: bool = False) -> str | None:
    """Return the name of the key that is admitted for a presented one."""
    snapshot = compiled(text).snapshot
    live = Live(snapshot)
    live.is_cut_off = is_cut_off
    credentials = CredentialCheck(live)
    credentials.callers.key_sets.find = lambda source: read_keys(key_set(KEY).encode())  # type: ignore[method-assign]
    head = request_head(headers={b"authorization": f"Bearer {token}".encode()})
    admission = credentials.admit(head, sha256(token.encode()).digest(), snapshot)
    assert admission is not None
    return admission.virtual_key.name if admission.virtual_key is not None else None


def test_keys_and_tokens_are_admitted() -> None:
    assert admitted(TEXT, ENVIRON["CLIENT_KEY"]) == "me"
    assert admitted(TEXT, signed(KEY, claims_of(ISSUER))) == "ci:job"


def test_open_gateway_admits_tokens_and_rejects_wrong_ones() -> None:
    text = TEXT.replace("virtual_keys: {me: env.CLIENT_KEY}", "require_key: false")
    assert admitted(text, signed(KEY, claims_of(ISSUER))) == "ci:job"
    assert admitted(text, "anything") is None
    assert rejected(lambda: admitted(text, signed(KEY, claims_of(ISSUER, aud="x")))).kind is failures.UNKNOWN_KEY


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_wrong_token_is_rejected_also_without_control(is_cut_off: bool) -> None:
    failure = rejected(lambda: admitted(TEXT, signed(KEY, claims_of(ISSUER, aud="x")), is_cut_off=is_cut_off))
    assert failure.kind is failures.UNKNOWN_KEY
    other = rejected(lambda: admitted(TEXT, "unknown-key", is_cut_off=is_cut_off))
    assert other.kind is (failures.CONTROL_UNAVAILABLE if is_cut_off else failures.UNKNOWN_KEY)


def test_connection_without_a_certificate_has_no_caller() -> None:
    snapshot = compiled(TEXT).snapshot
    exchange = Exchange(FakeClient(), request_head(), b"", None, 0.0)
    credentials = CredentialCheck(Live(snapshot))
    assert rejected(lambda: credentials.of_certificate(exchange, snapshot)).kind is failures.UNKNOWN_KEY
