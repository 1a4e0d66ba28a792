"""Verified callers are kept, in bounds. Refusals are logged, and not too often."""

import logging
from typing import Any

import pytest

from fakes.certificates import Authority
from fakes.configuration import compiled
from fakes.issuer import claims_of, key_set, new_key, signed
from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.identity import VirtualKey
from pointsman.engine import callers as module
from pointsman.engine.callers import Callers
from pointsman.engine.key_sets import Keys
from pointsman.engine.token_checks import read_keys

KEY = new_key("one", "EC")
ISSUER = "https://issuer.example"
TEXT = f"""
providers: {{openai: env.OPENAI_API_KEY}}
governance:
  teams: {{research: {{}}}}
  identities:
    main:
      jwt: {{issuer: {ISSUER}, audience: pointsman}}
      when: claims.ref == "main"
      team: research
    rest:
      jwt: {{issuer: {ISSUER}, audience: pointsman}}
      when: 'true'
"""


class KnownKeys:
    """Key sets with the same keys for every source."""

    def __init__(self, keys: Keys | None) -> None:
        self.keys = keys
        self.asked = 0

    def find(self, _source: object) -> Keys | None:
        self.asked += 1
        return self.keys

    def doubt(self, _source: object) -> None:
        return


def admitting(keys: Keys | None = read_keys(key_set(KEY).encode())) -> Any:  # noqa: B008 -- constant
    callers: Any = Callers(lambda: callers.now)
    callers.key_sets, callers.now = KnownKeys(keys), claims_of("")["iat"]
    return callers


def test_first_identity_whose_condition_is_true_applies() -> None:
    callers, snapshot = admitting(), compiled(TEXT).snapshot
    ends_at = claims_of("")["exp"]
    for ref, name, team in (("main", "main:job", "research"), ("topic", "rest:job", None)):
        token = signed(KEY, claims_of(ISSUER, ref=ref, exp=ends_at))
        key = callers.of_token(token.encode(), ref.encode(), snapshot)
        assert isinstance(key, VirtualKey)
        assert (key.name, key.team, key.expires_at) == (name, team, ends_at + 60)


def test_verified_token_is_kept_until_it_expires_or_is_forgotten() -> None:
    callers, snapshot = admitting(), compiled(TEXT).snapshot
    token = signed(KEY, claims_of(ISSUER)).encode()
    first = callers.of_token(token, b"digest", snapshot)
    asked = callers.key_sets.asked
    assert callers.of_token(token, b"digest", snapshot) is first
    assert callers.key_sets.asked == asked
    callers.forget()
    assert callers.of_token(token, b"digest", snapshot) is not first
    assert callers.of_token(token, b"digest", compiled(TEXT + "\n").snapshot) is not first
    callers.now += 3700
    assert callers.of_token(token, b"digest", snapshot).kind is failures.UNKNOWN_KEY


def test_kept_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    callers, snapshot = admitting(), compiled(TEXT).snapshot
    token = signed(KEY, claims_of(ISSUER)).encode()
    for number in range(10):
        assert isinstance(callers.of_token(token, b"%d" % number, snapshot), VirtualKey)
    assert len(callers._kept) == 3


def test_other_keys_are_no_tokens_and_missing_keys_are_no_refusal() -> None:
    callers, snapshot = admitting(None), compiled(TEXT).snapshot
    assert callers.of_token(b"pm-key", b"1", snapshot) is None
    found = callers.of_token(signed(KEY, claims_of(ISSUER)).encode(), b"2", snapshot)
    assert isinstance(found, Failure)
    assert found.kind is failures.IDENTITY_UNAVAILABLE


def test_refusals_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    callers, snapshot = admitting(), compiled(TEXT).snapshot
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            callers.of_token(b"eyJ.x.y", b"%d" % number, snapshot)
        assert len(caplog.records) == 1
        callers._logged_at -= 2
        callers.of_token(b"eyJ.x.y", b"5", snapshot)
    assert "(4 more refusals were not logged)" in caplog.records[-1].message


def test_certificate_needs_an_identity() -> None:
    callers, snapshot = admitting(), compiled(TEXT).snapshot
    certificate, _ = Authority().certificate()
    assert isinstance(callers.of_certificate(certificate, snapshot), Failure), "PEM is no DER"
