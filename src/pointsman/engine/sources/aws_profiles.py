"""Keys of a profile in the shared files of AWS's tools: its own ones, those of a role, of a login, or of a program.

https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-sso-credentials.html,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
"""

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from configparser import ConfigParser, Error
from hashlib import sha1
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from pointsman.domain.origin import AwsKeys
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

PROGRAM_S = 60.0  # the longest time that a program for keys may take
_MOST_PROFILES = 5  # in a chain of roles
_LOGIN = "AWS's login service"

Places = Mapping[str, Callable[[Machine], Awaitable[Minted | None]]]
Fields = Mapping[str, str]


class Profiles(Struct, frozen=True):
    """The profiles and login sessions of the shared files. `in_use` is the name of the profile in use. `is_named` is
    true if the environment names it."""

    profiles: Mapping[str, Fields]
    sessions: Mapping[str, Fields]
    in_use: str
    is_named: bool

    @property
    def description(self) -> str:
        """The profile in use, as messages name it."""
        return f"the profile {self.in_use!r} of AWS's shared files"

    @staticmethod
    def read(machine: Machine) -> "Profiles":
        """Read both shared files. Those of credentials win."""
        environ, folder = machine.environ, machine.home / ".aws"
        config = _sections(Path(environ.get("AWS_CONFIG_FILE") or folder / "config"))
        shared = _sections(Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or folder / "credentials"))
        profiles: dict[str, dict[str, str]] = {}
        sessions: dict[str, Fields] = {}
        for title, fields in config.items():
            kind, _, name = title.partition(" ")
            if kind == "sso-session":
                sessions[name.strip()] = fields
            elif kind == "profile" or title == "default":
                profiles[name.strip() or title] = dict(fields)
        for name, fields in shared.items():
            profiles[name] = {**profiles.get(name, {}), **fields}
        named = environ.get("AWS_PROFILE")
        return Profiles(profiles, sessions, named or "default", bool(named))


def _sections(path: Path) -> dict[str, dict[str, str]]:
    parser = ConfigParser(interpolation=None, default_section="\0")
    try:
        parser.read(path, encoding="utf-8")
    except (Error, UnicodeDecodeError):
        raise RefusedError(f"the file {path} of AWS's tools is unreadable; correct it") from None
    return {title: dict(parser[title]) for title in parser.sections()}


async def from_profile(profiles: Profiles, region: str, machine: Machine, places: Places) -> Minted | None:
    """Return the keys of the profile in use; `None` if it has none. `places` are those that it may name. Raises
    `RefusedError` and `UnavailableError`."""
    if profiles.in_use not in profiles.profiles:
        if profiles.is_named:
            reason = "does not exist, or the gateway may not read its file"
            raise RefusedError(f"{profiles.description} {reason}; correct AWS_PROFILE or the rights of the file")
        return None
    return await _Reader(profiles, region, machine, places).keys(profiles.in_use)


class _Reader(Struct, frozen=True):
    profiles: Profiles
    region: str
    machine: Machine
    places: Places

    async def keys(self, name: str, depth: int = 0) -> Minted | None:
        """Return the keys of a profile, in the order of AWS's tools."""
        fields = self.profiles.profiles.get(name)
        if fields is None or depth >= _MOST_PROFILES:
            reason = "does not exist" if fields is None else "is part of a chain of too many roles"
            raise RefusedError(f"the profile {name!r} of AWS's shared files {reason}; correct its `source_profile`")
        own = _own_keys(fields)
        if "role_arn" in fields and not (depth and own and fields.get("source_profile") == name):
            return await self._of_role(name, fields, depth)
        if "sso_account_id" in fields:
            return await self._of_login(name, fields)
        if own is not None:
            return own
        if "credential_process" in fields:
            return await self._of_program(name, fields["credential_process"])
        return None

    async def _of_role(self, name: str, fields: Fields, depth: int) -> Minted:
        if "mfa_serial" in fields:
            raise RefusedError(
                f"the profile {name!r} requires a code of a device, which the gateway cannot enter; name another"
            )
        role = {"RoleArn": fields["role_arn"]}
        for field, parameter in (("role_session_name", "RoleSessionName"), ("external_id", "ExternalId")):
            if fields.get(field):
                role[parameter] = fields[field]
        if "web_identity_token_file" in fields:
            file = fields["web_identity_token_file"]
            token = await asyncio.to_thread(self.machine.read, file, "the web identity token file")
            return await by_web_identity(token, role, self.region, self.machine)
        place = self.places.get(fields.get("credential_source", ""))
        if "source_profile" in fields:
            base = await self.keys(fields["source_profile"], depth + 1)
        elif place is not None:
            base = await place(self.machine)
        else:
            raise RefusedError(f"the profile {name!r} has no valid source_profile or credential_source; set one")
        if base is None or not isinstance(base.credential, AwsKeys):
            raise RefusedError(f"the source of the profile {name!r} has no keys; correct it")
        return await assumed(base.credential, role, self.region, self.machine)

    async def _of_login(self, name: str, fields: Fields) -> Minted:
        """Return the keys of a role for the token of a login, which `aws sso login` keeps in a file."""
        session = fields.get("sso_session", "")
        settings = {**self.profiles.sessions.get(session, {}), **fields}
        lacking = [one for one in ("sso_start_url", "sso_region", "sso_role_name") if one not in settings]
        if lacking:
            raise RefusedError(f"the profile {name!r}, or its sso_session, lacks {' and '.join(lacking)}; set it")
        kept = sha1((session or settings["sso_start_url"]).encode(), usedforsecurity=False).hexdigest()
        path = self.machine.home / ".aws" / "sso" / "cache" / f"{kept}.json"
        login = await asyncio.to_thread(_login_at, path)
        advice = f"run `aws sso login --profile {name}` as the user of the gateway"
        if login is None:
            raise RefusedError(f"nobody has logged in for the profile {name!r}; {advice}")
        ends_at = moment_of(login.expires_at)
        if ends_at is None or ends_at <= self.machine.clock():
            raise RefusedError(f"the login of the profile {name!r} has ended; {advice}")
        region = settings["sso_region"]
        base = self.machine.environ.get("AWS_ENDPOINT_URL_SSO") or f"https://portal.sso.{region}.amazonaws.com"
        query = urlencode({"role_name": settings["sso_role_name"], "account_id": settings["sso_account_id"]})
        answer = await self.machine.ask(
            f"{base.rstrip('/')}/federation/credentials?{query}",
            headers={"x-amz-sso_bearer_token": login.access_token},
        )
        if answer.status != 200:
            raise failed(answer.status, _LOGIN, "", f"{advice}, and check sso_account_id and sso_role_name")
        found = decoded(answer, _LoginAnswer, _LOGIN).role_credentials
        keys = keys_of(found.access_key_id, found.secret_access_key, found.session_token)
        return Minted(keys, found.expiration / 1000)

    async def _of_program(self, name: str, command: str) -> Minted:
        """Return the keys that a program prints. The file that names it belongs to the user of the gateway."""
        said = f"the credential_process of the profile {name!r}"
        try:
            words = shlex.split(command)
            output = await asyncio.to_thread(_output_of, words, dict(self.machine.environ))
        except (ValueError, OSError, IndexError) as error:
            reason = getattr(error, "strerror", None) or "its command is not valid"
            raise RefusedError(f"{said} cannot be started: {reason}; correct it") from None
        except subprocess.TimeoutExpired:
            raise UnavailableError(None, f"{said} did not end within {PROGRAM_S:g} seconds") from None
        except subprocess.CalledProcessError as error:
            message = f"{said} failed with status {error.returncode}; run it by hand to see why"
            raise UnavailableError(None, message) from None
        try:
            found = msgspec.json.decode(output, type=_ProgramKeys)
        except msgspec.DecodeError:
            found = _ProgramKeys()
        if found.version != 1 or not found.access_key_id or not found.secret_access_key:
            raise RefusedError(f"{said} printed no JSON object with Version 1 and keys; correct it")
        keys = keys_of(found.access_key_id, found.secret_access_key, found.session_token or "")
        return Minted(keys, moment_of(found.expiration) if found.expiration else None)


def _own_keys(fields: Fields) -> Minted | None:
    key_id, secret = fields.get("aws_access_key_id"), fields.get("aws_secret_access_key")
    return Minted(keys_of(key_id, secret, fields.get("aws_session_token", ""))) if key_id and secret else None


class _Login(Struct, rename="camel"):
    """A file of `aws sso login`."""

    access_token: str
    expires_at: str


class _RoleKeys(Struct, rename="camel"):
    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: int  # in Unix milliseconds


class _LoginAnswer(Struct, rename="camel"):
    """https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html"""

    role_credentials: _RoleKeys


class _ProgramKeys(Struct, rename="pascal"):
    version: int = 0
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str | None = None
    expiration: str | None = None


def _login_at(path: Path) -> _Login | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Login)
    except (OSError, msgspec.DecodeError):
        return None


def _output_of(words: list[str], environ: dict[str, str]) -> bytes:
    """Run a program without a shell, and return its output. It has a process group of its own, which is killed if the
    program does not end in time. Raises the errors of `subprocess`."""
    process = subprocess.Popen(  # noqa: S603 -- the user of the gateway wrote the command
        words,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=PROGRAM_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, words[0])
    return output
