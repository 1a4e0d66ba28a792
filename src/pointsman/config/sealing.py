"""Secrets that were given by API, sealed with the gateway's master key.

A sealed secret is text: `sealed:v1:KEY:DATA`. `KEY` is the id of the master key. `DATA` is a nonce of 12 bytes and the
output of AES-256-GCM, in base64url. The associated data are the provider, the field, and the origin that the secret is
sent to. So a seal is of no use elsewhere: if a provider gets another address, its secrets must be given again.

Before a document is compiled, each seal in it is bound: its associated data follow after another colon. So a reference
in the snapshot is enough to open it again.
"""

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from pointsman.config.addresses import parse_base_url
from pointsman.config.whole_file import write_whole
from pointsman.providers import PROVIDERS

VARIABLE = "POINTSMAN_MASTER_KEY"
FILE = "master-key"  # in the data folder
SEALED = "sealed:"
MIN_CHARACTERS = 32
AUTHORITY = "https://login.microsoftonline.com"  # of Entra ID, by default
_V1 = "sealed:v1:"
_NONCE = 12
_INFO = b"pointsman sealed v1"

Change = Callable[[str, str], str]
"""Returns the new text of a secret, from the path of its field and its text."""


class SealError(Exception):
    """A secret that cannot be sealed or opened. The message has the reason, never the secret."""


class _Key(Struct, frozen=True):
    id: str
    key: bytes


class MasterKeys:
    """The master keys. The first one seals, and all of them open. They are those of the environment, else those in
    `file`, else those in the data folder, one a line. They are read at first use."""

    def __init__(self, environ: Mapping[str, str], data_dir: Path | None, file: Path | None = None) -> None:
        self._given = environ.get(VARIABLE, "")
        self._data_dir = data_dir
        self._file = file
        self._keys: list[_Key] | None = None

    @property
    def is_own(self) -> bool:
        """True if the gateway keeps its key in the data folder, where it also rotates it."""
        return not self._given and self._file is None

    @property
    def path(self) -> Path | None:
        """The file of the keys, if they have one."""
        if self._given:
            return None
        return self._file or (self._data_dir / FILE if self._data_dir is not None else None)

    def seal(self, text: str, context: str) -> str:
        """Seal a secret with the first key. Raises `SealError`."""
        keys = self._load()
        if not keys:
            raise SealError(f"there is no master key; set {VARIABLE} or the setting master_key")
        nonce = os.urandom(_NONCE)
        sealed = _cipher(keys[0].key).encrypt(nonce, text.encode(), context.encode())
        return f"{_V1}{keys[0].id}:{_encoded(nonce + sealed)}"

    def open(self, bound: str) -> str:
        """Return the secret of a bound seal. Raises `SealError`."""
        parts = bound.removeprefix(_V1).split(":")
        if not bound.startswith(_V1) or len(parts) not in (2, 3):
            raise SealError("the sealed secret is damaged; give it again")
        if len(parts) == 2:
            raise SealError("a sealed secret can only be that of a provider's key; use env.NAME or file:PATH here")
        key = next((one for one in self._load() if one.id == parts[0]), None)
        if key is None:
            raise SealError(
                f"the secret was sealed with the master key {parts[0][:16]}, which is not here; provide that key by "
                f"{VARIABLE} or the setting master_key, or give the secret again"
            )
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 -- workers without seals do not need it

        try:
            data, context = _decoded(parts[1]), _decoded(parts[2])
            opened: bytes = _cipher(key.key).decrypt(data[:_NONCE], data[_NONCE:], context)
            return opened.decode()
        except (InvalidTag, ValueError):
            raise SealError(
                "the secret was sealed for another provider, field or address, or is damaged; give it again"
            ) from None

    def key_of(self, sealed: str) -> str:
        """Return the id of the key that a seal was made with."""
        return sealed.removeprefix(_V1).partition(":")[0]

    def derived(self, purpose: bytes) -> dict[str, bytes]:
        """Return a key for another purpose from each master key, by id. Raises `SealError`."""
        return {one.id: hmac.new(one.key, purpose, sha256).digest() for one in self._load()}

    @property
    def first(self) -> str:
        """The id of the key that seals, or an empty text without one. Raises `SealError`."""
        keys = self._load()
        return keys[0].id if keys else ""

    def make_first(self) -> bool:
        """Make a key in the data folder, unless there is a key. Return whether one was made. Raises `SealError`."""
        if self._load() or not self.is_own:
            return False
        self.add()
        return True

    def add(self) -> None:
        """Put a new key in front of those in the data folder. Raises `SealError`."""
        self._write([secrets.token_urlsafe(32), *self._texts()])

    def forget_others(self) -> None:
        """Remove all keys but the first from the data folder. Raises `SealError`."""
        self._write(self._texts()[:1])

    def reread(self) -> None:
        """Read the keys again at the next use."""
        self._keys = None

    def _write(self, texts: list[str]) -> None:
        if not self.is_own or self.path is None:
            raise SealError(f"the master key is not the gateway's own; change it in {VARIABLE} or its file")
        try:
            write_whole(self.path, "".join(f"{text}\n" for text in texts).encode())
        except OSError as error:
            raise SealError(f"{self.path} cannot be written: {error.strerror}") from None
        self._keys = None

    def _texts(self) -> list[str]:
        if self._given:
            return self._given.replace(",", " ").split()
        path = self.path
        if path is None:
            return []
        try:
            return path.read_text().split()
        except FileNotFoundError:
            if self.is_own:
                return []
            raise SealError(f"{path} does not exist; it should hold the master key") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SealError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None

    def _load(self) -> list[_Key]:
        if self._keys is None:
            texts = self._texts()
            if any(len(text) < MIN_CHARACTERS for text in texts):
                raise SealError(
                    f"a master key must have at least {MIN_CHARACTERS} random characters, such as those of "
                    "`openssl rand -base64 32`"
                )
            self._keys = [_derived(text) for text in texts]
        return self._keys


def bind_seals(data: Mapping[str, object]) -> Mapping[str, object]:
    """Return a document whose seals are bound to their places."""
    providers = data.get("providers")
    if not isinstance(providers, Mapping):
        return data
    bound = {name: bind_spec(str(name), spec) for name, spec in providers.items() if _has_seals(spec)}
    return {**data, "providers": {**providers, **bound}} if bound else data


def bind_spec(name: str, spec: Any) -> Any:
    """Return the content of a provider with bound seals."""

    def bind(field: str, text: str) -> str:
        if not text.startswith(SEALED) or text.count(":") != 3:
            return text
        return bound(text, name, spec, field)

    return map_secrets(spec, bind)


def in_context(sealed: str, context: str) -> str:
    """Return a seal with its associated data, ready to open."""
    return f"{sealed}:{_encoded(context.encode())}"


def bound(sealed: str, name: str, spec: Any, field: str) -> str:
    """Return a seal with the associated data of its place."""
    return f"{sealed}:{_encoded(context_of(name, spec, field).encode())}"


def context_of(name: str, spec: Any, field: str) -> str:
    """Return the associated data of a secret in a field of a provider."""
    origin = _origin(name, spec)
    if field.endswith(".entra.client_secret"):
        origin += f" {_authority(spec, field.split('.')[1])}"
    return f"provider {name} {field} {origin}"


def map_secrets(spec: Any, change: Change) -> Any:
    """Return the content of a provider with each of its secrets changed."""
    if isinstance(spec, str):
        return change("keys.default.value", spec)
    keys = spec.get("keys") if isinstance(spec, Mapping) else None
    if not isinstance(keys, Mapping):
        return spec
    return {**spec, "keys": {name: _map_key(f"keys.{name}", key, change) for name, key in keys.items()}}


def seals_in(spec: Any) -> Iterator[tuple[str, str]]:
    """Yield field and text of each seal in the content of a provider."""
    found: list[tuple[str, str]] = []

    def note(field: str, text: str) -> str:
        if text.startswith(SEALED):
            found.append((field, text))
        return text

    map_secrets(spec, note)
    yield from found


def _map_key(place: str, key: Any, change: Change) -> Any:
    if isinstance(key, str):
        return change(f"{place}.value", key)
    if not isinstance(key, Mapping):
        return key
    found: dict[str, Any] = dict(key)
    for field in ("value", "google"):
        if isinstance(found.get(field), str):
            found[field] = change(f"{place}.{field}", found[field])
    for kind, fields in (("aws", ("secret_access_key", "session_token")), ("entra", ("client_secret",))):
        part = found.get(kind)
        if isinstance(part, Mapping):
            changed = {
                one: change(f"{place}.{kind}.{one}", part[one]) for one in fields if isinstance(part.get(one), str)
            }
            found[kind] = {**part, **changed}
    return found


def _has_seals(spec: Any) -> bool:
    return next(seals_in(spec), None) is not None


def _origin(name: str, spec: Any) -> str:
    """Return scheme, host and port of a provider's address."""
    fields: Mapping[str, Any] = spec if isinstance(spec, Mapping) else {}
    record = PROVIDERS.get(str(fields.get("type") or name))
    text = fields.get("base_url") or (record.base_url if record is not None else None)
    if text is None and record is not None and record.regional_url is not None:
        text = record.regional_url(str(fields.get("region") or ""))
    try:
        return str(parse_base_url(str(text))[0])
    except ValueError:
        return str(text)


def _authority(spec: Any, key: str) -> str:
    try:
        return str(spec["keys"][key]["entra"].get("authority", AUTHORITY))
    except (KeyError, TypeError, AttributeError):
        return AUTHORITY


def _derived(text: str) -> _Key:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    key = HKDF(SHA256(), 32, None, _INFO).derive(text.encode())
    return _Key(sha256(_INFO + key).hexdigest()[:8], key)


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(key)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
