"""Tokens are verified with keys of the issuer's set, and nothing else."""

import json
from typing import Any

import pytest

from fakes.issuer import claims_of, key_set, new_key, signed
from pointsman.domain.callers import KeySource, TokenTrust
from pointsman.domain.network import Network
from pointsman.engine.token_checks import TokenError, check_claims, read_keys, read_parts, verify

ISSUER = "https://issuer.example"
SOURCE = KeySource(issuer=ISSUER, url="", path="", network=Network(), refresh_s=300.0, max_age_s=86_400.0)
TRUST = TokenTrust(ISSUER, frozenset({"pointsman", "other"}), ("RS256", "ES256", "EdDSA"), 60.0, SOURCE)
EC, OKP = new_key("ec", "EC"), new_key("okp", "OKP")


@pytest.mark.parametrize("key", [EC, OKP])
@pytest.mark.parametrize("kid", ["named", None])
def test_token_is_verified_by_its_key(key: Any, kid: str | None) -> None:
    token = signed(key, claims_of(ISSUER), **({} if kid else {"kid": None})).encode()
    assert verify(read_parts(token), TRUST, read_keys(key_set(EC, OKP).encode()))["sub"] == "job"


def test_long_head_is_read() -> None:
    token = signed(EC, claims_of(ISSUER), jku="https://evil.example/" + "x" * 3000)
    assert verify(read_parts(token.encode()), TRUST, read_keys(key_set(EC).encode()))["iss"] == ISSUER


def test_names_of_keys_are_compared_whole() -> None:
    keys = read_keys(key_set(EC, new_key("ec", "EC")).encode())
    with pytest.raises(TokenError, match="2 keys of its issuer have"):
        verify(read_parts(signed(EC, claims_of(ISSUER)).encode()), TRUST, keys)
    with pytest.raises(TokenError, match="names no key, and 2"):
        verify(read_parts(signed(EC, claims_of(ISSUER), kid=None).encode()), TRUST, keys)


@pytest.mark.parametrize(
    ("changes", "now", "reason"),
    [
        ({}, 0.0, ""),
        ({"aud": ["x", "other"]}, 0.0, ""),
        ({"aud": ["x"]}, 0.0, "audience"),
        ({"aud": {"pointsman": 1}}, 0.0, "audience"),
        ({"aud": "pointsman "}, 0.0, "audience"),
        ({"iss": "https://issuer.example/"}, 0.0, "another issuer"),
        ({}, 159.0, ""),
        ({}, 160.0, "expired"),
        ({"exp": "100"}, 0.0, "no number"),
        ({"exp": True}, 0.0, "no number"),
        ({"exp": 1e300}, 0.0, "no number"),
        ({"nbf": 61}, 0.0, "not valid"),
        ({"nbf": 60}, 0.0, ""),
        ({"cnf": {}}, 0.0, "bound to a key"),
    ],
)
def test_claims_are_checked(changes: dict[str, object], now: float, reason: str) -> None:
    claims = {"iss": ISSUER, "aud": "pointsman", "exp": 100, "sub": "x", **changes}
    if not reason:
        assert check_claims(claims, TRUST, now) == 160.0
        return
    with pytest.raises(TokenError, match=reason):
        check_claims(claims, TRUST, now)


def test_unusable_keys_are_left_out() -> None:
    good = json.loads(key_set(EC))["keys"][0]
    others: list[object] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {**good, "use": "enc"},
        {**good, "key_ops": ["sign"]},
        {**good, "x": "!"},
        {"kty": "RSA", "n": "AQAB" * 20, "e": "AQAB"},
        5,
    ]
    (only,) = read_keys(json.dumps({"keys": [*others, good]}).encode())
    assert only.name == "ec"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000])
def test_set_without_keys_is_no_set(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(has|is) "):
        read_keys(data)
