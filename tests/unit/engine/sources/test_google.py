"""Tokens of Google accounts: signed statements, refresh tokens, metadata, and the order of default credentials."""

import json
from base64 import urlsafe_b64decode
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import AccessToken, GoogleSource, Secret
from pointsman.engine.sources.exchange import Machine, Minted, RefusedError, UnavailableError
from pointsman.engine.sources.google import SCOPE, TOKEN_URI, mint

METADATA = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
TOKEN = {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}
USER = {"type": "authorized_user", "client_id": "id", "client_secret": "s", "refresh_token": "1//r"}


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def account(**fields: str) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    known = {
        "type": "service_account",
        "client_email": "gateway@p.iam.gserviceaccount.com",
        "private_key": private_key().private_bytes(*form).decode(),
        "private_key_id": "key-1",
    }
    return json.dumps({**known, **fields})


def minted(machine: Machine, text: str | None = None) -> Minted:
    return run(mint(GoogleSource(Secret(text) if text is not None else None), machine))


def part(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_service_account_signs_a_statement_for_its_token_service() -> None:
    service = TokenService({TOKEN_URI: [(200, TOKEN)]})
    assert minted(service.machine(), account()) == Minted(AccessToken("ya29.token"), NOW + 3599)
    (asked,) = service.asked
    assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = asked.form["assertion"].split(".")
    assert json.loads(part(head)) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    assert json.loads(part(claims)) == {
        "iss": "gateway@p.iam.gserviceaccount.com",
        "scope": SCOPE,
        "aud": TOKEN_URI,
        "iat": int(NOW),
        "exp": int(NOW) + 3600,
    }
    signed = f"{head}.{claims}".encode()
    private_key().public_key().verify(part(signature), signed, padding.PKCS1v15(), hashes.SHA256())


def test_account_may_name_another_token_service() -> None:
    service = TokenService({"https://tokens.test/x?a=1": [(200, TOKEN)]})
    assert minted(service.machine(), account(token_uri="https://tokens.test/x?a=1")).credential == Secret("ya29.token")


def test_account_of_a_user_has_a_refresh_token() -> None:
    service = TokenService({TOKEN_URI: [(200, TOKEN)]})
    minted(service.machine(), json.dumps(USER))
    expected = {"grant_type": "refresh_token", "client_id": "id", "client_secret": "s", "refresh_token": "1//r"}
    assert service.asked[0].form == expected


@pytest.mark.parametrize("named", ["variable", "usual", "gcloud"])
def test_default_credentials_come_from_the_first_file_that_exists(tmp_path: Path, named: str) -> None:
    usual = tmp_path / ".config" / "gcloud"
    usual.mkdir(parents=True)
    (usual / "application_default_credentials.json").write_text(json.dumps(USER))
    (tmp_path / "application_default_credentials.json").write_text(json.dumps({**USER, "client_id": "other"}))
    environ = {
        "variable": {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "application_default_credentials.json")},
        "usual": {},
        "gcloud": {"CLOUDSDK_CONFIG": str(tmp_path)},
    }[named]
    service = TokenService({TOKEN_URI: [(200, TOKEN)]})
    minted(service.machine(environ, tmp_path))
    assert service.asked[0].form["client_id"] == ("id" if named == "usual" else "other")


def test_machine_of_google_has_a_metadata_service() -> None:
    service = TokenService({METADATA: [(200, TOKEN)]})
    assert minted(service.machine()).expires_at == NOW + 3599
    (asked,) = service.asked
    assert (asked.headers, asked.is_local) == ({"metadata-flavor": "Google"}, True)


def test_missing_default_credentials_name_every_way_to_set_them() -> None:
    with pytest.raises(
        UnavailableError, match=r"GOOGLE_APPLICATION_CREDENTIALS is not set.*gcloud auth application-default"
    ):
        minted(TokenService({}).machine())


@pytest.mark.parametrize(("status", "error"), [(500, UnavailableError), (503, UnavailableError), (404, RefusedError)])
def test_fault_of_the_metadata_service_is_no_refusal(status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"status {status}"):
        minted(TokenService({METADATA: [(status, b"")]}).machine())


def test_metadata_service_at_another_address_needs_no_proxy() -> None:
    service = TokenService({METADATA.replace("metadata.google.internal", "gce.test:8080"): [(200, TOKEN)]})
    minted(service.machine({"GCE_METADATA_HOST": "gce.test:8080"}))
    assert service.asked[0].is_local


def test_refusal_names_the_reason_and_the_remedy() -> None:
    words = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    service = TokenService({TOKEN_URI: [(400, words)]})
    expected = r"refused with status 400 \(invalid_grant: Invalid JWT Signature.\); check that the account gateway@"
    with pytest.raises(RefusedError, match=expected):
        minted(service.machine(), account())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((503, b"<html>"), "answered with status 503"),
        ((200, b"<html>"), "returned an unreadable answer"),
        ((200, {"access_token": ""}), "returned an empty token"),
    ],
)
def test_other_answers_are_faults_that_may_pass(answer: tuple[int, object], message: str) -> None:
    with pytest.raises(UnavailableError, match=message):
        minted(TokenService({TOKEN_URI: [answer]}).machine(), account())


@pytest.mark.parametrize("text", ["no JSON", '{"type": "external_account_authorized_user"}', account(private_key="no")])
def test_unusable_file_is_refused_without_its_content(text: str) -> None:
    with pytest.raises(RefusedError) as raised:
        minted(TokenService({}).machine(), text)
    assert "PRIVATE" not in str(raised.value)
