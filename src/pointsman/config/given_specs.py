"""Checks and seals the content of resources that callers of the admin API give.

A caller of the API must not read what only the server can: its environment, its files, and the identity of its machine.
So secrets are given themselves, and are sealed at once.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pointsman.config.references import BadReference, check_secret
from pointsman.config.resource import Spec
from pointsman.config.resource_kinds import KINDS
from pointsman.config.sealing import AUTHORITY, SEALED, MasterKeys, SealError, bound, context_of, map_secrets, seals_in

MAX_SPEC_BYTES = 256 * 1024
_AUTHORITIES = (AUTHORITY, "https://login.microsoftonline.us", "https://login.partner.microsoftonline.cn")
_TOKEN_ADDRESSES = ("https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token")
_OF_FILES = "may only be set in the server's own configuration file"
_REFERENCE = "is a reference, which the server accepts in its own configuration file only; give the value itself"


class SpecFault(NamedTuple):
    """A field of a resource at fault, as a path such as `keys.primary.value`, and the reason."""

    field: str
    message: str


def faults_of(kind: str, name: str, spec: Spec) -> list[SpecFault]:
    """Return the reasons why a content cannot be taken, beside those that the compiler finds."""
    found = KINDS[kind]
    problem = found.problem_with(name)
    faults = [SpecFault("name", problem)] if problem is not None else []
    if len(json.dumps(spec)) > MAX_SPEC_BYTES:
        faults.append(SpecFault("spec", f"has more than {MAX_SPEC_BYTES} bytes"))
    if found.name_in is not None:
        if not isinstance(spec, Mapping):
            faults.append(SpecFault("spec", "must be a mapping"))
        elif found.name_in(found.full(name, spec)) != name:
            own = found.name_in(found.full(name, spec))
            faults.append(SpecFault("name", f"must be {own!r}, as its fields say"))
    if kind == "provider" and isinstance(spec, Mapping):
        faults.extend(_provider_faults(spec))
    return faults


def sealed_spec(
    kind: str, name: str, spec: Spec, keys: MasterKeys, present: Spec = None
) -> tuple[Spec, list[SpecFault]]:
    """Return a content with its secrets sealed, and the faults of secrets that cannot be. A secret equal to that of
    `present`, the content so far, keeps its seal. So the same content given twice is no change."""
    faults: list[SpecFault] = []
    if kind != "provider":
        return spec, faults
    known = dict(seals_in(present))

    def seal(field: str, text: str) -> str:
        try:
            return _SecretField(name, spec, field).sealed(text, keys, known.get(field))
        except (SealError, BadReference) as error:
            faults.append(SpecFault(field, str(error)))
            return ""

    return map_secrets(spec, seal), faults


class _SecretField(NamedTuple):
    """A field of a provider with a secret."""

    name: str
    spec: Spec
    field: str

    def sealed(self, text: str, keys: MasterKeys, known: str | None) -> str:
        """Return the seal of a text, or `known`, the seal so far, if it is of the same text. Raises `SealError` and
        `BadReference`."""
        if not text:
            return text
        if text.startswith(("env.", "file:")):
            raise BadReference(_REFERENCE)
        if text.startswith(SEALED):
            keys.open(bound(text, *self))
            return text
        if self.field.endswith(".google"):
            _check_account(text)
        else:
            check_secret(text, "the value")
        if known is not None and keys.key_of(known) == keys.first and self._opened(known, keys) == text:
            return known
        keys.make_first()
        return keys.seal(text, context_of(*self))

    def _opened(self, known: str, keys: MasterKeys) -> str | None:
        try:
            return keys.open(bound(known, *self))
        except SealError:
            return None


def _provider_faults(spec: Mapping[str, Any]) -> Iterator[SpecFault]:
    egress, keys = spec.get("egress"), spec.get("keys")
    if isinstance(egress, Mapping):
        for field in ("proxy", "ca_file", "client_cert", "client_key"):
            if egress.get(field) is not None:
                yield SpecFault(f"egress.{field}", _OF_FILES)
    for name, key in keys.items() if isinstance(keys, Mapping) else ():
        if isinstance(key, Mapping):
            yield from _key_faults(f"keys.{name}", key)


def _key_faults(place: str, key: Mapping[str, Any]) -> Iterator[SpecFault]:
    machine = f"is an identity of the server's machine, which {_OF_FILES}"
    if key.get("google") == "adc":
        yield SpecFault(f"{place}.google", machine)
    aws, entra = key.get("aws"), key.get("entra")
    if isinstance(aws, str) or (isinstance(aws, Mapping) and aws.get("access_key_id") is None):
        yield SpecFault(f"{place}.aws", machine)
    if isinstance(entra, str) or (isinstance(entra, Mapping) and entra.get("identity", "application") != "application"):
        yield SpecFault(f"{place}.entra", machine)
    for kind, part, fields in (("aws", aws, ("access_key_id",)), ("entra", entra, ("tenant", "client_id"))):
        for field in fields:
            if isinstance(part, Mapping) and str(part.get(field, "")).startswith(("env.", "file:")):
                yield SpecFault(f"{place}.{kind}.{field}", _REFERENCE)
    if isinstance(entra, Mapping):
        if entra.get("federated_token_file") is not None:
            yield SpecFault(f"{place}.entra.federated_token_file", _OF_FILES)
        if entra.get("authority") not in (None, *_AUTHORITIES):
            yield SpecFault(f"{place}.entra.authority", f"must be one of {', '.join(_AUTHORITIES)}; others {_OF_FILES}")


def _check_account(text: str) -> None:
    """Raise `BadReference` unless this is a file of Google that names no file or address of the caller's choice."""
    try:
        account = json.loads(text)
    except ValueError:
        account = None
    if not isinstance(account, dict):
        raise BadReference("must be a JSON object, as text")
    if account.get("type") not in ("service_account", "authorized_user"):
        raise BadReference(f"must be of the type service_account or authorized_user; others {_OF_FILES}")
    if account.get("token_uri") not in (None, *_TOKEN_ADDRESSES):
        raise BadReference(f"has another `token_uri` than {_TOKEN_ADDRESSES[0]}, which {_OF_FILES}")
