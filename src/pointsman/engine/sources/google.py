"""Tokens of Google accounts.

A service account signs a statement (https://developers.google.com/identity/protocols/oauth2/service-account). A user's
own account has a refresh token. An external account exchanges a token of another service
(https://google.aip.dev/auth/4117). Both of the latter may then impersonate a service account
(https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken). On
Google's machines, a metadata service returns tokens
(https://cloud.google.com/compute/docs/access/authenticate-workloads). Application default credentials are the first of
these that exist: https://cloud.google.com/docs/authentication/application-default-credentials.
"""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.origin import AccessToken, GoogleSource, Secret
from pointsman.engine.sources.exchange import (
    Machine,
    Minted,
    RefusedError,
    UnavailableError,
    decoded,
    end_of,
    failed,
    hiding,
    moment_of,
    token_in,
)

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 -- an address
_SERVICE = "Google's token service"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- the name of a type
LIFE_S = 3600
_NOWHERE = (
    "no application default credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, {} does not exist, and the "
    "metadata service has no token ({}); set `google` to file:PATH, or run `gcloud auth application-default login`"
)


class _SubjectForm(Struct, frozen=True):
    """The form of a subject token: the whole text, or a field of a JSON object."""

    type: str = "text"
    subject_token_field_name: str = ""


class _SubjectSource(Struct, frozen=True):
    """The place of a subject token: a file or an address."""

    file: str = ""
    url: str = ""
    headers: dict[str, str] = {}
    format: _SubjectForm = _SubjectForm()


class _Impersonation(Struct, frozen=True):
    token_lifetime_seconds: int = LIFE_S


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
    audience: str = ""
    subject_token_type: str = ""
    token_url: str = ""
    credential_source: _SubjectSource = _SubjectSource()
    workforce_pool_user_project: str = ""
    service_account_impersonation_url: str = ""
    service_account_impersonation: _Impersonation = _Impersonation()
    source_credentials: Raw = Raw(b"")
    delegates: list[str] = []


class _Impersonated(Struct, rename="camel"):
    """The answer of Google's service for impersonation."""

    access_token: str
    expire_time: str


async def mint(source: GoogleSource, machine: Machine) -> Minted:
    """Fetch a token. Raises `RefusedError` and `UnavailableError`."""
    if source.file is not None:
        return await _from_account(source.file.reveal().encode(), machine)
    named = machine.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return await _from_file(named, machine)
    folder = machine.environ.get("CLOUDSDK_CONFIG") or str(machine.home / ".config" / "gcloud")
    usual = Path(folder) / "application_default_credentials.json"
    if await asyncio.to_thread(usual.is_file):
        return await _from_file(str(usual), machine)
    return await _from_metadata(machine, usual)


async def _from_file(path: str, machine: Machine) -> Minted:
    text = await asyncio.to_thread(machine.read, path, "the file of credentials")
    with hiding(GoogleSource(Secret(text))):
        return await _from_account(text.encode(), machine)


async def _from_account(text: bytes, machine: Machine) -> Minted:
    try:
        account = msgspec.json.decode(text, type=Account)
    except msgspec.ValidationError as error:
        raise RefusedError(f"a field of the file of Google's credentials is not valid ({error}); correct it") from None
    except msgspec.DecodeError:
        raise RefusedError("the file of Google's credentials is not valid JSON; download it again") from None
    match account.type:
        case "service_account":
            return await _by_statement(account, machine)
        case "authorized_user":
            return await _by_refresh(account, machine)
        case "external_account":
            minted = await _exchanged(account, machine)
            return (
                await _impersonated(account, minted, machine) if account.service_account_impersonation_url else minted
            )
        case "impersonated_service_account":
            source = bytes(account.source_credentials)
            if not source or _type_in(source) == account.type:
                raise RefusedError("`source_credentials` of Google's file of credentials is unusable; create it again")
            return await _impersonated(account, await _from_account(source, machine), machine)
    raise RefusedError(
        f"the type {account.type[:40]!r} of Google's file of credentials is not supported; use a file of one of these: "
        "service_account, authorized_user, external_account, impersonated_service_account"
    )


def _type_in(source: bytes) -> str:
    try:
        return msgspec.json.decode(source, type=Account).type
    except msgspec.DecodeError:
        return ""


async def _by_statement(account: Account, machine: Machine) -> Minted:
    now = machine.clock()
    assertion = await asyncio.to_thread(signed_statement, account, int(now))
    answer = await machine.post_form(account.token_uri, {"grant_type": _GRANT, "assertion": assertion})
    advice = f"check that the account {account.client_email} and its key exist, and the machine's clock"
    token = token_in(answer, _SERVICE, advice)
    return Minted(AccessToken(token.access_token), end_of(token.expires_in, now))


async def _by_refresh(account: Account, machine: Machine) -> Minted:
    now = machine.clock()
    fields = {
        "grant_type": "refresh_token",
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        "refresh_token": account.refresh_token,
    }
    answer = await machine.post_form(account.token_uri, fields)
    token = token_in(answer, _SERVICE, "run `gcloud auth application-default login` again")
    return Minted(AccessToken(token.access_token), end_of(token.expires_in, now))


async def _exchanged(account: Account, machine: Machine) -> Minted:
    """Exchange a token of another service. https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token"""
    fields = {
        "grant_type": _EXCHANGE,
        "audience": account.audience,
        "scope": SCOPE,
        "requested_token_type": _ACCESS_TOKEN,
        "subject_token": await _subject_token(account.credential_source, machine),
        "subject_token_type": account.subject_token_type,
    }
    headers: dict[str, str] = {}
    if account.client_id:
        pair = f"{account.client_id}:{account.client_secret}"
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    elif account.workforce_pool_user_project:
        fields["options"] = json.dumps({"userProject": account.workforce_pool_user_project})
    now = machine.clock()
    answer = await machine.post_form(account.token_url, fields, headers)
    advice = f"check the provider {account.audience} of the identity pool, and the token that it gets"
    token = token_in(answer, _SERVICE, advice)
    return Minted(AccessToken(token.access_token), end_of(token.expires_in, now))


async def _subject_token(source: _SubjectSource, machine: Machine) -> str:
    if source.file:
        text = await asyncio.to_thread(machine.read, source.file, "the file of the subject token")
    elif source.url:
        answer = await machine.ask(source.url, headers=source.headers)
        service = "the service of the subject token"
        if answer.status != 200:
            raise failed(answer.status, service, "", "check `credential_source` in Google's file of credentials")
        text = answer.body.decode("utf-8", "replace").strip()
    else:
        raise RefusedError(
            "Google's file of credentials has a `credential_source` of AWS or of a program; only `file` and `url` are "
            "supported"
        )
    if source.format.type != "json":
        return text
    try:
        found = msgspec.json.decode(text, type=dict[str, object]).get(source.format.subject_token_field_name)
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, str) or not found:
        name = source.format.subject_token_field_name
        raise UnavailableError(None, f"the subject token of Google's credentials has no text {name!r}")
    return found


async def _impersonated(account: Account, minted: Minted, machine: Machine) -> Minted:
    """Request a token of a service account with that of another account."""
    assert isinstance(minted.credential, AccessToken)
    life_s = account.service_account_impersonation.token_lifetime_seconds
    body = {"scope": [SCOPE], "lifetime": f"{life_s}s", "delegates": account.delegates}
    headers = {
        "authorization": f"Bearer {minted.credential.reveal()}",
        "content-type": "application/json",
    }
    url = account.service_account_impersonation_url
    answer = await machine.post(url, msgspec.json.encode(body), headers)
    service = "Google's service for impersonation"
    if answer.status != 200:
        name = url.rpartition("/")[2].partition(":")[0]
        advice = f"give the account the role roles/iam.serviceAccountTokenCreator for {name}"
        raise failed(answer.status, service, _message_in(answer.body), advice)
    found = decoded(answer, _Impersonated, service)
    return Minted(AccessToken(found.access_token), moment_of(found.expire_time))


class _Error(Struct, frozen=True):
    message: str = ""


class _Errors(Struct):
    error: _Error = _Error()


def _message_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Errors).error.message
    except msgspec.DecodeError:
        return ""


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
