"""Tokens of Google accounts.

A service account signs a statement (https://developers.google.com/identity/protocols/oauth2/service-account). A user's
own account has a refresh token. On Google's machines, a metadata service returns tokens
(https://cloud.google.com/compute/docs/access/authenticate-workloads). Application default credentials are the first of
these that exist: https://cloud.google.com/docs/authentication/application-default-credentials.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from pathlib import Path

import msgspec
from msgspec import Struct

from pointsman.domain.origin import AccessToken, GoogleSource
from pointsman.engine.sources.exchange import (
    Machine,
    Minted,
    RefusedError,
    UnavailableError,
    end_of,
    token_in,
)

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 -- an address
_SERVICE = "Google's token service"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE_S = 3600
_NOWHERE = (
    "no application default credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, {} does not exist, and the "
    "metadata service has no token ({}); set `google` to file:PATH, or run `gcloud auth application-default login`"
)


class Account(Struct):
    """A file of credentials."""

    type: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""


async def mint(source: GoogleSource, machine: Machine) -> Minted:
    """Fetch a token. Raises `RefusedError` and `UnavailableError`."""
    if source.file is not None:
        return await _from_account(source.file.reveal(), machine)
    named = machine.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return await _from_account(await asyncio.to_thread(machine.read, named, "the file of credentials"), machine)
    folder = machine.environ.get("CLOUDSDK_CONFIG") or str(machine.home / ".config" / "gcloud")
    usual = Path(folder) / "application_default_credentials.json"
    if await asyncio.to_thread(usual.is_file):
        text = await asyncio.to_thread(machine.read, str(usual), "the file of credentials")
        return await _from_account(text, machine)
    return await _from_metadata(machine, usual)


async def _from_account(text: str, machine: Machine) -> Minted:
    try:
        account = msgspec.json.decode(text, type=Account)
    except msgspec.DecodeError:
        raise RefusedError("the file of Google's credentials is not valid JSON; download it again") from None
    now = machine.clock()
    if account.type == "service_account":
        assertion = await asyncio.to_thread(signed_statement, account, int(now))
        fields = {"grant_type": _GRANT, "assertion": assertion}
        advice = f"check that the account {account.client_email} and its key exist, and the machine's clock"
    elif account.type == "authorized_user":
        fields = {
            "grant_type": "refresh_token",
            "client_id": account.client_id,
            "client_secret": account.client_secret,
            "refresh_token": account.refresh_token,
        }
        advice = "run `gcloud auth application-default login` again"
    else:
        raise RefusedError(
            f"the type {account.type[:40]!r} of Google's file of credentials is not supported; use a service account"
        )
    token = token_in(await machine.post_form(account.token_uri, fields), _SERVICE, advice)
    return Minted(AccessToken(token.access_token), end_of(token.expires_in, now))


def signed_statement(account: Account, now: int) -> str:
    """Return the signed statement of a service account. Raises `RefusedError` for an unusable key."""
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 -- few gateways need it
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    head = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
    claims = {
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + LIFE_S,
    }
    text = b".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
    try:
        key = serialization.load_pem_private_key(account.private_key.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise RefusedError("the private key in Google's file of credentials is unusable; download the file again")
    return (text + b"." + _encoded(key.sign(text, padding.PKCS1v15(), hashes.SHA256()))).decode()


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


async def _from_metadata(machine: Machine, usual: Path) -> Minted:
    host = machine.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    now = machine.clock()
    try:
        answer = await machine.ask(url, headers={"metadata-flavor": "Google"}, is_local=True)
    except UnavailableError as error:  # perhaps there is no such service, and perhaps it is late
        raise UnavailableError(error.kind, _NOWHERE.format(usual, error)) from error
    token = token_in(
        answer, "Google's metadata service", "give the machine a service account with the scope cloud-platform"
    )
    return Minted(AccessToken(token.access_token), end_of(token.expires_in, now))
