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


STS = "https://sts.googleapis.com/v1/token"
IMPERSONATE = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/g@p.iam.gserviceaccount.com:generateAccessToken"
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
IMPERSONATED = {"accessToken": "ya29.impersonated", "expireTime": "2027-01-15T09:00:00Z"}  # an hour after NOW


def external(source: object, **fields: object) -> str:
    known = {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": STS,
        "credential_source": source,
    }
    return json.dumps({**known, **fields})


@pytest.mark.parametrize("form", ["text", "json"])
def test_token_in_a_file_is_exchanged(tmp_path: Path, form: str) -> None:
    file = tmp_path / "token"
    file.write_text("eyJ.subject\n" if form == "text" else json.dumps({"id_token": "eyJ.subject"}))
    format_ = {"type": form, "subject_token_field_name": "id_token"}
    service = TokenService({STS: [(200, {"access_token": "federated", "expires_in": 3600})]})
    found = minted(service.machine(), external({"file": str(file), "format": format_}))
    assert found == Minted(AccessToken("federated"), NOW + 3600)
    (asked,) = service.asked
    assert asked.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": AUDIENCE,
        "scope": SCOPE,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token": "eyJ.subject",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }


def test_token_of_another_cloud_is_exchanged_and_impersonates_an_account() -> None:
    url = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://x"
    format_ = {"type": "json", "subject_token_field_name": "access_token"}
    source = {"url": url, "headers": {"Metadata": "True"}, "format": format_}
    more = {"service_account_impersonation": {"token_lifetime_seconds": 1200}}
    service = TokenService(
        {
            url: [(200, {"access_token": "eyJ.azure"})],
            STS: [(200, {"access_token": "federated", "expires_in": 3600})],
            IMPERSONATE: [(200, IMPERSONATED)],
        }
    )
    text = external(source, service_account_impersonation_url=IMPERSONATE, **more)
    assert minted(service.machine(), text) == Minted(AccessToken("ya29.impersonated"), NOW + 3600)
    first, second, third = service.asked
    assert (first.headers, first.is_local) == ({"Metadata": "True"}, True)
    assert second.form["subject_token"] == "eyJ.azure"
    assert third.headers["authorization"] == "Bearer federated"
    assert json.loads(third.body) == {"scope": [SCOPE], "lifetime": "1200s", "delegates": []}


@pytest.mark.parametrize(
    ("more", "header", "options"),
    [
        ({"client_id": "id", "client_secret": "s"}, "Basic aWQ6cw==", None),
        ({"workforce_pool_user_project": "p1"}, None, '{"userProject": "p1"}'),
    ],
)
def test_exchange_may_name_its_client(
    tmp_path: Path, more: dict[str, object], header: str | None, options: str | None
) -> None:
    (tmp_path / "token").write_text("eyJ.subject")
    service = TokenService({STS: [(200, TOKEN)]})
    minted(service.machine(), external({"file": str(tmp_path / "token")}, **more))
    (asked,) = service.asked
    assert (asked.headers.get("authorization"), asked.form.get("options")) == (header, options)


def test_user_impersonates_a_service_account() -> None:
    service = TokenService({TOKEN_URI: [(200, TOKEN)], IMPERSONATE: [(200, IMPERSONATED)]})
    account_ = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": IMPERSONATE,
        "source_credentials": USER,
        "delegates": ["projects/-/serviceAccounts/between@p.iam.gserviceaccount.com"],
    }
    assert minted(service.machine(), json.dumps(account_)) == Minted(AccessToken("ya29.impersonated"), NOW + 3600)
    assert service.asked[1].headers["authorization"] == "Bearer ya29.token"
    assert json.loads(service.asked[1].body)["delegates"] == account_["delegates"]


def test_refused_impersonation_names_the_role_that_it_needs() -> None:
    words = {"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied"}}
    service = TokenService({TOKEN_URI: [(200, TOKEN)], IMPERSONATE: [(403, words)]})
    account_ = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": IMPERSONATE,
        "source_credentials": USER,
    }
    expected = r"status 403 \(Permission .* denied\); give the account the role .*TokenCreator for g@p.iam"
    with pytest.raises(RefusedError, match=expected):
        minted(service.machine(), json.dumps(account_))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({"environment_id": "aws1"}, RefusedError, "of AWS or of a program; only `file` and `url` are supported"),
        ({"executable": {"command": "x"}}, RefusedError, "of AWS or of a program"),
        ({"file": "/nowhere"}, UnavailableError, "the file of the subject token /nowhere cannot be read"),
        ({"url": "https://x.test/"}, UnavailableError, "could not open a connection"),
        ({"url": "https://refused.test/"}, RefusedError, "check `credential_source`"),
        ({"url": "https://late.test/"}, UnavailableError, "answered with status 503"),
        (
            {"url": "https://text.test/", "format": {"type": "json", "subject_token_field_name": "t"}},
            UnavailableError,
            "has no text 't'",
        ),
    ],
)
def test_missing_subject_token_has_a_reason(source: object, error: type[Exception], message: str) -> None:
    answers: dict[str, list[tuple[int, object]]] = {
        "https://refused.test/": [(401, b"")],
        "https://late.test/": [(503, b"")],
        "https://text.test/": [(200, b"no JSON")],
    }
    with pytest.raises(error, match=message):
        minted(TokenService(answers).machine(), external(source))


def test_secret_is_never_sent_unencrypted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("eyJ.subject")
    service = TokenService({})
    with pytest.raises(RefusedError, match="would get the secret unencrypted; it must begin with https"):
        minted(service.machine(), external({"file": str(tmp_path / "token")}, token_url="http://sts.test/token"))
    assert service.asked == []


@pytest.mark.parametrize("inner", [{}, {"type": "impersonated_service_account"}, "text"])
def test_impersonation_without_a_source_is_refused(inner: object) -> None:
    account_ = {"type": "impersonated_service_account", "service_account_impersonation_url": "x"}
    with pytest.raises(RefusedError):
        minted(TokenService({}).machine(), json.dumps({**account_, "source_credentials": inner}))


def test_secret_of_a_default_file_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "user.json").write_text(json.dumps({**USER, "refresh_token": "1//a-refresh-token"}))
    words = {"error": "invalid_grant", "error_description": "Bad token 1//a-refresh-token"}
    service = TokenService({TOKEN_URI: [(400, words)]})
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "user.json")}
    with pytest.raises(RefusedError, match=r"Bad token \[redacted\]"):
        minted(service.machine(environ))
