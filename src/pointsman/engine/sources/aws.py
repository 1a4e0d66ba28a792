"""Temporary keys of AWS: those of the machine or container, and those of an assumed role.

The order is that of AWS's own tools: environment, token of a web identity, shared file, container, machine.
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

import asyncio
import re
from configparser import ConfigParser, Error
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from pointsman.domain.origin import AwsKeys, AwsSource, Secret
from pointsman.engine.sources.exchange import FORM, Machine, Minted, RefusedError, UnavailableError, decoded, failed
from pointsman.providers.api import SigningScope, UnsignedRequest, signature_lines
from pointsman.transport.fetch import Fetched

SESSION = "pointsman"
LIFE_S = 3600
_VERSION = "2011-06-15"  # of the token service's API
_SERVICE = "AWS's token service"
_CONTAINER = (
    "http://169.254.170.2"  # https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
)
_MACHINE = "http://169.254.169.254"  # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
_ROLES = "/latest/meta-data/iam/security-credentials/"
_NOWHERE = (
    "no AWS credentials: neither AWS_ACCESS_KEY_ID nor a web identity nor {} nor a container's role was found, and the "
    "machine's metadata service gives none ({}); set `aws` to {{access_key_id: …, secret_access_key: …}}, or give the "
    "machine a role"
)


class _Keys(Struct, rename="pascal"):
    """The answer of a container's or machine's metadata service."""

    access_key_id: str
    secret_access_key: str
    token: str = ""
    expiration: str = ""


class _StsKeys(Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: float | str


async def mint(source: AwsSource, machine: Machine) -> Minted:
    """Fetch keys. Raises `RefusedError` and `UnavailableError`."""
    base = Minted(source.keys) if source.keys is not None else await _ambient(source, machine)
    if not source.role_arn:
        return base
    assert isinstance(base.credential, AwsKeys)
    fields = {"RoleArn": source.role_arn, "RoleSessionName": SESSION, "DurationSeconds": str(LIFE_S)}
    return await _from_sts("AssumeRole", fields, source, machine, base.credential)


async def _ambient(source: AwsSource, machine: Machine) -> Minted:
    environ = machine.environ
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key_id and secret:
        return Minted(_keys(key_id, secret, environ.get("AWS_SESSION_TOKEN", "")))
    role, token_file = environ.get("AWS_ROLE_ARN"), environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if role and token_file:
        token = await asyncio.to_thread(machine.read, token_file, "the web identity token file")
        session = environ.get("AWS_ROLE_SESSION_NAME") or SESSION
        fields = {"RoleArn": role, "RoleSessionName": session, "WebIdentityToken": token}
        return await _from_sts("AssumeRoleWithWebIdentity", fields, source, machine)
    path = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or machine.home / ".aws" / "credentials")
    found = await asyncio.to_thread(_from_file, path, environ.get("AWS_PROFILE") or "default")
    if found is not None:
        return found
    relative, whole = (environ.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("RELATIVE", "FULL"))
    if relative or whole:
        return await _from_container(_CONTAINER + relative if relative else whole or "", machine)
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise RefusedError(_NOWHERE.format(path, "AWS_EC2_METADATA_DISABLED is true"))
    try:
        return await _from_machine(machine)
    except UnavailableError as error:  # perhaps there is no such service, and perhaps it is late
        raise UnavailableError(error.kind, _NOWHERE.format(path, error)) from error


def _keys(key_id: str, secret: str, token: str) -> AwsKeys:
    return AwsKeys(key_id, Secret(secret), Secret(token) if token else None)


def _from_file(path: Path, profile: str) -> Minted | None:
    """Return the keys of a profile in the shared file, or `None` if it has none."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path)
    except (Error, UnicodeDecodeError):
        raise RefusedError(f"the file {path} of AWS's credentials is unreadable; correct it") from None
    if not parser.has_option(profile, "aws_access_key_id") or not parser.has_option(profile, "aws_secret_access_key"):
        return None
    section = parser[profile]
    token = section.get("aws_session_token", "")
    return Minted(_keys(section["aws_access_key_id"], section["aws_secret_access_key"], token))


async def _from_container(url: str, machine: Machine) -> Minted:
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _CONTAINER_HOSTS:
        raise RefusedError("AWS_CONTAINER_CREDENTIALS_FULL_URI must be an https address, or one of this machine")
    token = machine.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    file = machine.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if file:
        token = await asyncio.to_thread(machine.read, file, "the container's authorization token file")
    if any(character in token for character in "\r\n"):
        raise RefusedError("the container's authorization token has a line break; correct it")
    answer = await machine.ask(url, headers={"authorization": token} if token else {})
    return _from_metadata(answer, "the container's credential service")


_CONTAINER_HOSTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost")


async def _from_machine(machine: Machine) -> Minted:
    base = (machine.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _MACHINE).rstrip("/")
    service = "the machine's metadata service"
    life = {"x-aws-ec2-metadata-token-ttl-seconds": "300"}
    session = await machine.ask(f"{base}/latest/api/token", method="PUT", headers=life, is_local=True)
    token = session.body.decode("ascii", "replace").strip()
    if session.status != 200 or not token.isprintable():
        raise failed(session.status, service, "", "allow IMDSv2 with a hop limit of 2 for containers")
    headers = {"x-aws-ec2-metadata-token": token}
    roles = await machine.ask(base + _ROLES, headers=headers, is_local=True)
    if roles.status != 200:
        raise failed(roles.status, service, "", "give the machine an instance profile")
    role = roles.body.decode("utf-8", "replace").strip().partition("\n")[0]
    answer = await machine.ask(base + _ROLES + quote(role, safe=""), headers=headers, is_local=True)
    return _from_metadata(answer, service)


def _from_metadata(answer: Fetched, service: str) -> Minted:
    if answer.status != 200:
        raise failed(answer.status, service, "", "give the machine or container a role")
    found = decoded(answer, _Keys, service)
    return Minted(_keys(found.access_key_id, found.secret_access_key, found.token), _moment(found.expiration))


async def _from_sts(
    action: str, fields: dict[str, str], source: AwsSource, machine: Machine, keys: AwsKeys | None = None
) -> Minted:
    """Request keys of a role, signed with `keys`. https://docs.aws.amazon.com/STS/latest/APIReference/"""
    region = source.region or machine.environ.get("AWS_REGION") or "us-east-1"
    suffix = "com.cn" if region.startswith("cn-") else "com"
    url = machine.environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.{suffix}"
    body = urlencode({"Action": action, "Version": _VERSION, **fields}).encode()
    headers = {**FORM, "accept": "application/json"}
    if keys is not None:
        parts = urlsplit(url)
        unsigned = UnsignedRequest("POST", parts.netloc, "/", body, (("content-type", FORM["content-type"]),))
        lines = signature_lines(unsigned, keys, SigningScope(region, "sts"), machine.clock()).decode()
        headers.update(
            [(name, value) for name, _, value in [line.partition(": ") for line in lines.split("\r\n")] if name]
        )
    answer = await machine.ask(url.rstrip("/") + "/", method="POST", headers=headers, body=body)
    if answer.status != 200:
        code = re.search(rb'"Code" ?: ?"(\w+)"|<Code>(\w+)</Code>', answer.body)
        detail = (code[1] or code[2]).decode() if code is not None else ""
        raise failed(
            answer.status, _SERVICE, detail, f"check the keys, and whether they may assume {fields['RoleArn']}"
        )
    found = _sts_keys(answer, action)
    return Minted(_keys(found.access_key_id, found.secret_access_key, found.session_token), _moment(found.expiration))


def _sts_keys(answer: Fetched, action: str) -> _StsKeys:
    """Return the keys in the JSON that the service returns for `accept: application/json`."""
    whole = decoded(answer, dict[str, msgspec.Raw], _SERVICE)
    try:
        result = msgspec.json.decode(whole[f"{action}Response"], type=dict[str, msgspec.Raw])
        inner = msgspec.json.decode(result[f"{action}Result"], type=dict[str, msgspec.Raw])
        return msgspec.json.decode(inner["Credentials"], type=_StsKeys)
    except (KeyError, msgspec.DecodeError) as error:
        raise UnavailableError(None, f"{_SERVICE} returned an unreadable answer: {error}") from None


def _moment(expiration: float | str) -> float | None:
    """Return the end of keys in Unix seconds."""
    if not isinstance(expiration, str):
        return float(expiration)
    try:
        return datetime.fromisoformat(expiration).timestamp()
    except ValueError:
        return None
