"""Temporary keys of AWS's token service: those of an assumed role.

https://docs.aws.amazon.com/STS/latest/APIReference/
"""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from pointsman.domain.origin import AwsKeys, Secret
from pointsman.domain.urls import split_url
from pointsman.engine.sources.exchange import (
    FORM,
    Machine,
    Minted,
    RefusedError,
    UnavailableError,
    decoded,
    failed,
    moment_of,
)
from pointsman.providers.api import SigningScope, UnsignedRequest, signature_lines
from pointsman.transport.fetch import Fetched

SESSION = "pointsman"
LIFE_S = 3600
_VERSION = "2011-06-15"  # of the API
_SERVICE = "AWS's token service"


class _StsKeys(Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: float | str


async def assumed(keys: AwsKeys, fields: Mapping[str, str], region: str, machine: Machine) -> Minted:
    """Return the keys of a role that `keys` assume. `fields` has its `RoleArn`."""
    return await _ask("AssumeRole", {"DurationSeconds": str(LIFE_S), **fields}, region, machine, keys)


async def by_web_identity(token: str, fields: Mapping[str, str], region: str, machine: Machine) -> Minted:
    """Return the keys of a role for the token of another service. `fields` has the `RoleArn`."""
    return await _ask("AssumeRoleWithWebIdentity", {**fields, "WebIdentityToken": token}, region, machine)


def keys_of(key_id: str, secret: str, token: str) -> AwsKeys:
    """Return keys, which are temporary if they have a token."""
    return AwsKeys(key_id, Secret(secret), Secret(token) if token else None)


async def _ask(
    action: str, fields: Mapping[str, str], region: str, machine: Machine, keys: AwsKeys | None = None
) -> Minted:
    """Request keys of a role, signed with `keys`."""
    region = region or machine.environ.get("AWS_REGION") or "us-east-1"
    suffix = "com.cn" if region.startswith("cn-") else "com"
    url = machine.environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.{suffix}"
    body = urlencode({"Action": action, "Version": _VERSION, "RoleSessionName": SESSION, **fields}).encode()
    headers = {**FORM, "accept": "application/json"}
    if keys is not None:
        headers |= _signature(url, body, keys, region, machine.clock())
    answer = await machine.ask(url.rstrip("/") + "/", method="POST", headers=headers, body=body)
    if answer.status != 200:
        code = re.search(rb'"Code" ?: ?"(\w+)"|<Code>(\w+)</Code>', answer.body)
        detail = (code[1] or code[2]).decode() if code is not None else ""
        means = "the keys, and whether they" if keys is not None else "the web identity token, and whether it"
        advice = f"check {means} may assume {fields['RoleArn']}"
        raise failed(answer.status, _SERVICE, detail, advice)
    found = _sts_keys(answer, action)
    expiration = found.expiration
    ends_at = moment_of(expiration) if isinstance(expiration, str) else expiration
    return Minted(keys_of(found.access_key_id, found.secret_access_key, found.session_token), ends_at)


def _signature(url: str, body: bytes, keys: AwsKeys, region: str, now: float) -> dict[str, str]:
    """Return the header lines that sign a request to the service."""
    try:
        authority = split_url(url)[0].authority
    except ValueError as error:
        raise RefusedError(f"AWS_ENDPOINT_URL_STS is not valid: {error}") from None
    unsigned = UnsignedRequest("POST", authority, "/", body, (("content-type", FORM["content-type"]),))
    lines = signature_lines(unsigned, keys, SigningScope(region, "sts"), now).decode()
    return {name: value for name, _, value in [line.partition(": ") for line in lines.split("\r\n")] if name}


def _sts_keys(answer: Fetched, action: str) -> _StsKeys:
    """Return the keys in the JSON that the service returns for `accept: application/json`."""
    whole = decoded(answer, dict[str, msgspec.Raw], _SERVICE)
    try:
        result = msgspec.json.decode(whole[f"{action}Response"], type=dict[str, msgspec.Raw])
        inner = msgspec.json.decode(result[f"{action}Result"], type=dict[str, msgspec.Raw])
        return msgspec.json.decode(inner["Credentials"], type=_StsKeys)
    except (KeyError, msgspec.DecodeError) as error:
        raise UnavailableError(None, f"{_SERVICE} returned an unreadable answer: {error}") from None
