"""Temporary keys of AWS: those of the machine or container, those of a profile, and those of an assumed role.

The order is that of AWS's own tools: environment, token of a web identity, profile in the shared files, container,
machine. https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

import asyncio
from urllib.parse import quote

from msgspec import Struct

from pointsman.domain.origin import AwsKeys, AwsSource
from pointsman.domain.urls import split_url
from pointsman.engine.sources.aws_profiles import Profiles, from_profile
from pointsman.engine.sources.aws_roles import assumed, by_web_identity, keys_of
from pointsman.engine.sources.exchange import (
    Machine,
    Minted,
    RefusedError,
    UnavailableError,
    decoded,
    failed,
    moment_of,
)
from pointsman.transport.fetch import Fetched

_CONTAINER = (
    "http://169.254.170.2"  # https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
)
_CONTAINER_HOSTS = ("169.254.170.2", "169.254.170.23", "fd00:ec2::23", "127.0.0.1", "::1", "localhost")
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


async def mint(source: AwsSource, machine: Machine) -> Minted:
    """Fetch keys. Raises `RefusedError` and `UnavailableError`."""
    base = Minted(source.keys) if source.keys is not None else await _ambient(source, machine)
    if not source.role_arn:
        return base
    assert isinstance(base.credential, AwsKeys)
    return await assumed(base.credential, {"RoleArn": source.role_arn}, source.region, machine)


async def _ambient(source: AwsSource, machine: Machine) -> Minted:
    environ = machine.environ
    found = await _from_environment(machine)
    if found is not None:
        return found
    role, token_file = environ.get("AWS_ROLE_ARN"), environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if role and token_file:
        token = await asyncio.to_thread(machine.read, token_file, "the web identity token file")
        fields = {"RoleArn": role}
        if environ.get("AWS_ROLE_SESSION_NAME"):
            fields["RoleSessionName"] = environ["AWS_ROLE_SESSION_NAME"]
        return await by_web_identity(token, fields, source.region, machine)
    profiles = await asyncio.to_thread(Profiles.read, machine)
    found = await from_profile(profiles, source.region, machine, _PLACES)
    if found is None:
        found = await _from_container(machine)
    if found is not None:
        return found
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise RefusedError(_NOWHERE.format(profiles.description, "AWS_EC2_METADATA_DISABLED is true"))
    try:
        return await _from_machine(machine)
    except UnavailableError as error:  # perhaps there is no such service, and perhaps it is late
        raise UnavailableError(error.kind, _NOWHERE.format(profiles.description, error)) from error


async def _from_environment(machine: Machine) -> Minted | None:
    environ = machine.environ
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    return Minted(keys_of(key_id, secret, environ.get("AWS_SESSION_TOKEN", ""))) if key_id and secret else None


async def _from_container(machine: Machine) -> Minted | None:
    relative, whole = (machine.environ.get(f"AWS_CONTAINER_CREDENTIALS_{kind}_URI") for kind in ("RELATIVE", "FULL"))
    url = _CONTAINER + relative if relative else whole
    if not url:
        return None
    try:
        origin, _ = split_url(url)
    except ValueError as error:
        raise RefusedError(f"AWS_CONTAINER_CREDENTIALS_FULL_URI is not valid: {error}") from None
    if origin.scheme == "http" and origin.host not in _CONTAINER_HOSTS:
        raise RefusedError("AWS_CONTAINER_CREDENTIALS_FULL_URI must be an https address, or one of this machine")
    token = machine.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    file = machine.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if file:
        token = await asyncio.to_thread(machine.read, file, "the container's authorization token file")
    if any(character in token for character in "\r\n"):
        raise RefusedError("the container's authorization token has a line break; correct it")
    answer = await machine.ask(url, headers={"authorization": token} if token else {})
    return _from_metadata(answer, "the container's credential service")


async def _from_machine(machine: Machine) -> Minted:
    base = (machine.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _MACHINE).rstrip("/")
    service = "the machine's metadata service"
    life = {"x-aws-ec2-metadata-token-ttl-seconds": "300"}
    session = await machine.ask(f"{base}/latest/api/token", method="PUT", headers=life, is_local=True)
    token = session.body.decode("ascii", "replace").strip()
    if session.status != 200:
        raise failed(session.status, service, "", "allow IMDSv2 with a hop limit of 2 for containers")
    if not token.isprintable():
        raise UnavailableError(None, f"{service} returned an unreadable token")
    headers = {"x-aws-ec2-metadata-token": token}
    roles = await machine.ask(base + _ROLES, headers=headers, is_local=True)
    if roles.status != 200:
        raise failed(roles.status, service, "", "give the machine an instance profile")
    role = roles.body.decode("utf-8", "replace").strip().partition("\n")[0]
    if not role:
        raise RefusedError(f"{service} names no role; give the machine an instance profile")
    answer = await machine.ask(base + _ROLES + quote(role, safe=""), headers=headers, is_local=True)
    return _from_metadata(answer, service)


def _from_metadata(answer: Fetched, service: str) -> Minted:
    if answer.status != 200:
        raise failed(answer.status, service, "", "give the machine or container a role")
    found = decoded(answer, _Keys, service)
    return Minted(keys_of(found.access_key_id, found.secret_access_key, found.token), moment_of(found.expiration))


# The places that a profile may name as its `credential_source`.
_PLACES = {"Environment": _from_environment, "EcsContainer": _from_container, "Ec2InstanceMetadata": _from_machine}
