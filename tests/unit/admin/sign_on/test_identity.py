"""Id tokens: only those of the right provider, key, audience and time count, and only for the login that asked."""

import hmac
import json
from base64 import urlsafe_b64encode
from time import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from pointsman.admin.sign_on.identity import (
    MAX_TOKEN,
    Identity,
    IdentityError,
    UnknownSigningKeyError,
    identity_of,
    read_keys,
    verified,
)
from pointsman.control.inquiries.console import SignOnProvider
from pointsman.domain.rights import RoleGrant

RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
EC, ED = ECKey.generate_key("P-256", {"kid": "two"}), OKPKey.generate_key("Ed25519", {"kid": "three"})
PROVIDER = SignOnProvider(
    scheme="https", host="idp.example", port=443, path="", headers={}, timeout_s=1.0, connect_timeout_s=1.0,
    name="company", issuer="https://idp.example", client_id="console", client_secret="s", scopes=("openid",),
    groups_claim="groups", groups={"a": (RoleGrant("viewer"), RoleGrant("owner")), "b": (RoleGrant("analyst"),)},
    default_roles=(RoleGrant("member"), RoleGrant("owner")), recheck_s=900.0,
)  # fmt: skip
KEYS = read_keys({"keys": [key.as_dict(private=False) for key in (RSA, EC, ED)]})


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time())
    found = {"iss": "https://idp.example", "aud": "console", "sub": "s1", "nonce": "n", "iat": now, "exp": now + 60}
    return {name: value for name, value in {**found, **changed}.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", head: dict[str, Any] | None = None, **changed: Any) -> str:
    header = {"alg": algorithm, "kid": key.kid, **(head or {})}
    header = {name: value for name, value in header.items() if value is not None}
    return jwt.encode(header, claims(**changed), key, algorithms=[algorithm])


def check(text: object, nonce: str | None = "n", keys: KeySet = KEYS) -> Any:
    return verified(text, keys, PROVIDER, nonce=nonce, access_token="access")


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "Ed25519")])
def test_valid_token_is_accepted(key: Any, algorithm: str) -> None:
    assert check(token(key, algorithm))["sub"] == "s1"
    assert check(token(key, algorithm, nonce=None), nonce=None)["sub"] == "s1"
    assert check(token(key, algorithm, aud=["console", "other"], azp="console"))["sub"] == "s1"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example"}, {"iss": "https://idp.example/"}, {"iss": None}, {"aud": "other"},
        {"aud": None},
        {"aud": ["other"]}, {"aud": ["console", "other"], "azp": "other"}, {"sub": None}, {"exp": 1}, {"exp": None},
        {"exp": "soon"}, {"iat": None}, {"iat": int(time()) + 4000}, {"nbf": int(time()) + 4000}, {"nonce": "other"},
        {"nonce": None}, {"at_hash": "wrong"},
    ],
)  # fmt: skip
def test_token_with_a_wrong_claim_is_rejected(changed: dict[str, Any]) -> None:
    with pytest.raises(IdentityError, match="is invalid"):
        check(token(**changed))


def test_forged_tokens_are_rejected() -> None:
    def part(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    none = f"{part({'alg': 'none', 'kid': 'one'})}.{part(claims())}."
    signed = f"{part({'alg': 'HS256', 'kid': 'one'})}.{part(claims())}"
    mac = hmac.digest(RSA.as_pem(private=False), signed.encode(), "sha256")
    by_public_key = f"{signed}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    valid = token()
    head, body, signature = valid.split(".")
    for text in (
        none, by_public_key, token(OTHER), f"{head}.{part(claims(sub='admin'))}.{signature}", f"{head}.{body}.",
        f"{head}.{body}", valid[:-4], "", "a.b.c", None, 7, "x" * (MAX_TOKEN + 1), token(EC, "ES256", {"kid": "one"}),
    ):  # fmt: skip
        with pytest.raises(IdentityError):
            check(text)


def test_key_is_found_by_its_name_alone() -> None:
    with pytest.raises(UnknownSigningKeyError):
        check(token(head={"kid": "unknown"}))
    with pytest.raises(IdentityError):
        check(token(OTHER, head={"jwk": OTHER.as_dict(private=False), "jku": "https://evil.example/keys"}))
    with pytest.raises(UnknownSigningKeyError):
        check(token(head={"kid": None}))
    alone = read_keys({"keys": [RSA.as_dict(private=False)]})
    assert check(token(), keys=alone)["sub"] == "s1"


def test_key_set_takes_public_keys_for_signatures_only() -> None:
    listed = [
        RSA.as_dict(private=False), {"kty": "oct", "k": "c2VjcmV0", "kid": "x"}, {"kty": "RSA"}, {"kty": "new"}, 7,
        {**EC.as_dict(private=False), "use": "enc"},
    ]  # fmt: skip
    assert [key.kid for key in read_keys({"keys": listed}).keys] == ["one"]
    documents: list[object] = [None, [], {}, {"keys": {}}]
    for document in documents:
        with pytest.raises(IdentityError):
            read_keys(document)


@pytest.mark.parametrize(
    ("found", "name", "groups"),
    [
        ({"groups": ["a", 7, "b"]}, "groups", ("a", "b")), ({"groups": "a"}, "groups", ("a",)), ({}, "groups", ()),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ("a",)), ({"groups": {"a": 1}}, "groups", ()),
        ({"https://x.example/groups": ["a"]}, "https://x.example/groups", ("a",)), ({"a": 7}, "a.b", ()),
    ],
)  # fmt: skip
def test_groups_are_read_from_the_claim(found: dict[str, Any], name: str, groups: tuple[str, ...]) -> None:
    assert identity_of({"sub": "s", **found}, name).groups == groups


def test_identity_is_the_subject_and_the_name_is_only_shown() -> None:
    assert identity_of({"sub": "s", "name": "A\u202eB\n", "email": "x"}, "groups") == Identity("s", "AB", ())
    assert identity_of({"sub": "s", "name": " ", "preferred_username": "p"}, "groups").name == "p"
    for subject in (None, "", 7, "x" * 256):
        with pytest.raises(IdentityError):
            identity_of({"sub": subject}, "groups")


def test_no_group_makes_an_owner() -> None:
    identity = Identity("s", "S", ("a", "b", "b", "unknown"))
    assert identity.grants(PROVIDER) == (RoleGrant("analyst"), RoleGrant("member"), RoleGrant("viewer"))
