"""Tokens of Entra ID, by a secret and by a federated token."""

from pathlib import Path

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import AccessToken, EntraIdentity, EntraSource, Secret
from pointsman.engine.sources.entra import mint
from pointsman.engine.sources.exchange import Minted, RefusedError, UnavailableError

AUTHORITY = "https://login.microsoftonline.com"
URL = f"{AUTHORITY}/tenant-1/oauth2/v2.0/token"
TOKEN = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "eyJ0"}


def source(secret: str | None = "s3cret", token_file: str = "") -> EntraSource:
    return EntraSource(
        tenant="tenant-1",
        client_id="app-1",
        client_secret=Secret(secret) if secret is not None else None,
        token_file=token_file,
        authority=AUTHORITY,
        scope="https://cognitiveservices.azure.com/.default",
    )


def test_secret_is_exchanged_for_a_token() -> None:
    service = TokenService({URL: [(200, TOKEN)]})
    assert run(mint(source(), service.machine())) == Minted(AccessToken("eyJ0"), NOW + 3599)
    assert service.asked[0].form == {
        "client_id": "app-1",
        "scope": "https://cognitiveservices.azure.com/.default",
        "grant_type": "client_credentials",
        "client_secret": "s3cret",
    }


def test_federated_token_is_read_anew_for_each_token(tmp_path: Path) -> None:
    file, service = tmp_path / "token", TokenService({URL: [(200, TOKEN)]})
    for written in ("first", "second"):
        file.write_text(written + "\n")
        run(mint(source(None, str(file)), service.machine()))
        assert service.asked[-1].form["client_assertion"] == written
    assert service.asked[-1].form["client_assertion_type"].endswith(":jwt-bearer")


def test_missing_federated_token_may_still_come(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"token file .*none cannot be read: No such file"):
        run(mint(source(None, str(tmp_path / "none")), TokenService({}).machine()))


def test_refused_secret_names_the_reason_and_the_remedy() -> None:
    words = {"error": "invalid_client", "error_description": "AADSTS7000222: The provided client secret is expired."}
    with pytest.raises(RefusedError, match=r"invalid_client: AADSTS7000222.*check tenant, client_id and client_secret"):
        run(mint(source(), TokenService({URL: [(401, words)]}).machine()))


IMDS = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
RESOURCE = "resource=https%3A%2F%2Fcognitiveservices.azure.com"
GIVEN = {"access_token": "eyJ.machine", "expires_in": "86399", "expires_on": str(int(NOW + 86399)), "token_type": "B"}


def of_machine(identity: EntraIdentity = "managed_identity", client_id: str = "") -> EntraSource:
    scope = "https://cognitiveservices.azure.com/.default"
    return EntraSource(identity=identity, client_id=client_id, authority=AUTHORITY, scope=scope)


@pytest.mark.parametrize(("client_id", "more"), [("", ""), ("id-2", "&client_id=id-2")])
def test_identity_of_the_machine_comes_from_its_metadata_service(client_id: str, more: str) -> None:
    service = TokenService({f"{IMDS}&{RESOURCE}{more}": [(200, GIVEN)]})
    assert run(mint(of_machine(client_id=client_id), service.machine())) == Minted(
        AccessToken("eyJ.machine"), NOW + 86399
    )
    (asked,) = service.asked
    assert (asked.headers, asked.is_local) == ({"metadata": "true"}, True)


def test_identity_of_an_app_comes_from_the_service_in_its_environment() -> None:
    environ = {"IDENTITY_ENDPOINT": "http://10.0.0.5:41000/msi/token", "IDENTITY_HEADER": "h3ader"}
    url = f"http://10.0.0.5:41000/msi/token?api-version=2019-08-01&{RESOURCE}&client_id=id-2"
    service = TokenService({url: [(200, {"access_token": "eyJ.app", "expires_on": str(int(NOW + 600))})]})
    found = run(mint(of_machine(client_id="id-2"), service.machine(environ)))
    assert found == Minted(AccessToken("eyJ.app"), NOW + 600)
    (asked,) = service.asked
    assert (asked.headers, asked.is_local) == ({"x-identity-header": "h3ader"}, True)


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (
            400,
            {"error": "invalid_request", "error_description": "Identity not found"},
            RefusedError,
            "Identity not found.*; assign a managed identity to the machine or app, or set client_id to one of several",
        ),
        (404, b"", UnavailableError, "answered with status 404"),
        (410, b"", UnavailableError, "answered with status 410"),
        (429, b"", UnavailableError, "answered with status 429"),
        (500, b"", UnavailableError, "answered with status 500"),
    ],
)
def test_fault_of_the_metadata_service_is_no_refusal(
    status: int, body: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(mint(of_machine(), TokenService({f"{IMDS}&{RESOURCE}": [(status, body)]}).machine()))


def test_identity_service_without_its_header_is_not_supported() -> None:
    with pytest.raises(RefusedError, match="as on Azure Arc, which is not supported"):
        run(mint(of_machine(), TokenService({}).machine({"IDENTITY_ENDPOINT": "http://localhost:40342/x"})))


@pytest.mark.parametrize("host", ["login.microsoftonline.us", "https://login.microsoftonline.us/"])
def test_ambient_application_is_that_of_the_environment(tmp_path: Path, host: str) -> None:
    (tmp_path / "token").write_text("eyJ.kubernetes")
    environ = {
        "AZURE_TENANT_ID": "t",
        "AZURE_CLIENT_ID": "c",
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_AUTHORITY_HOST": host,
    }
    service = TokenService({"https://login.microsoftonline.us/t/oauth2/v2.0/token": [(200, TOKEN)]})
    run(mint(of_machine("ambient"), service.machine(environ)))
    assert (service.asked[0].form["client_id"], service.asked[0].form["client_assertion"]) == ("c", "eyJ.kubernetes")


def test_ambient_identity_is_else_that_of_the_machine() -> None:
    service = TokenService({f"{IMDS}&{RESOURCE}": [(200, GIVEN)]})
    run(mint(of_machine("ambient"), service.machine({"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"})))
    with pytest.raises(UnavailableError, match=r"no ambient identity: .*AZURE_FEDERATED_TOKEN_FILE.*set one of them"):
        run(mint(of_machine("ambient"), TokenService({}).machine()))


def test_secret_of_the_environment_is_hidden() -> None:
    environ = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "secret-of-the-environment"}
    words = {"error": "invalid_client", "error_description": "Invalid secret provided: secret-of-the-environment"}
    service = TokenService({f"{AUTHORITY}/t/oauth2/v2.0/token": [(401, words)]})
    with pytest.raises(RefusedError, match=r"Invalid secret provided: \[redacted\]"):
        run(mint(of_machine("ambient"), service.machine(environ)))
