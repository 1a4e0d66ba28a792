"""Tokens of Entra ID, by a secret and by a federated token."""

from pathlib import Path

import pytest

from fakes.tokens import NOW, TokenService
from integration.gateway import run
from pointsman.domain.origin import AccessToken, EntraSource, Secret
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
