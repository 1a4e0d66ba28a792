"""Resolves references to secrets: `env.NAME`, `file:PATH`, and seals of `sealing`. No message ever shows a value."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pointsman.config.addresses import basic_credentials, parse_proxy
from pointsman.config.sealing import SEALED, MasterKeys, SealError
from pointsman.domain.origin import Secret

MAX_SECRET_BYTES = 64 * 1024

# Prefixes of references to derived secrets: an address without a password, which is stored as it is, the authorization
# from the address of a proxy, and a JSON object on one line.
LITERAL = "literal:"
PROXY = "proxy:"
DOCUMENT = "document:"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL_STYLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|os\.environ/([A-Za-z_][A-Za-z0-9_]*)")


class BadReference(Exception):  # noqa: N818 -- a finding about the file, not an error of the program
    """A reference that leads to no usable secret. The message names the reference, never the value."""


class NotAReference(BadReference):
    """A text that is not a reference: most likely the secret itself."""


class References:
    """Resolves references against an environment and the folder of the configuration file.

    `files` are the secret files in use, found or not: a change of one is a change of the configuration. `digests` holds
    the SHA-256 of every secret found, by its reference. Unless it `reads_secrets`, every well-formed reference leads to
    a placeholder, and no secret, certificate or private file is looked for.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path, *, reads_secrets: bool = True) -> None:
        self.reads_secrets = reads_secrets
        self._environ = environ
        self._folder = folder
        self.master_keys = MasterKeys(environ, None)  # without the data folder, none but those of the environment
        self.files: set[Path] = set()
        self.digests: dict[str, str] = {}

    def use_master_keys(self, data_dir: Path, file: str) -> None:
        """Open seals with the keys in a file, or else with those in the data folder."""
        self.master_keys = MasterKeys(self._environ, data_dir, Path(file) if file else None)

    def path(self, text: str) -> str:
        """Return the path of a file in the configuration; relative ones start at the configuration file."""
        return str(self._folder / text)

    def resolve(self, reference: str) -> Secret:
        """Return the secret behind `env.NAME` or `file:PATH`. Raises `BadReference`."""
        value = self._value(reference)
        check_secret(value, "the sealed secret" if reference.startswith(SEALED) else reference)
        return self._found(reference, value)

    def document(self, reference: str) -> Secret:
        """Return the JSON object behind `env.NAME` or `file:PATH`, on one line. Raises `BadReference`."""
        text = self._value(reference)
        if not self.reads_secrets:
            return self._found(DOCUMENT + reference, text)
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise BadReference(
                f"{'the sealed secret' if reference.startswith(SEALED) else reference} is no JSON object"
            )
        return self._found(DOCUMENT + reference, json.dumps(value))

    def _value(self, reference: str) -> str:
        if reference.startswith("env."):
            return self._from_environment(reference)
        if reference.startswith("file:"):
            return self._from_file(reference)
        if reference.startswith(SEALED):
            return self._unsealed(reference)
        if not reference:
            raise BadReference("is empty; set it to env.NAME or file:PATH")
        if match := _SHELL_STYLE.fullmatch(reference):
            raise BadReference(f"write env.{match[1] or match[2]} to use that environment variable")
        raise NotAReference("a secret must not be in this file; use env.NAME or file:PATH")

    def restore(self, reference: str) -> Secret:
        """Return the secret with the `reference` of another one. Raises `BadReference`."""
        if reference.startswith(LITERAL):
            return Secret(reference.removeprefix(LITERAL), reference)
        if reference.startswith(DOCUMENT):
            return self.document(reference.removeprefix(DOCUMENT))
        if not reference.startswith(PROXY):
            return self.resolve(reference) if reference else Secret("")
        _, userinfo = parse_proxy(self.resolve(reference.removeprefix(PROXY)).reveal())
        return Secret(basic_credentials(userinfo or ""), reference)

    def _found(self, reference: str, value: str) -> Secret:
        self.digests[reference] = sha256(value.encode()).hexdigest()
        return Secret(value, reference)

    def _from_environment(self, reference: str) -> str:
        name = reference.removeprefix("env.")
        if not _VARIABLE.fullmatch(name):
            raise BadReference("`env.` must be followed by the name of an environment variable")
        if not self.reads_secrets:
            return _placeholder(reference)
        value = self._environ.get(name)
        if value is None:
            raise BadReference(f"the environment variable {name} is not set")
        return value

    def _unsealed(self, reference: str) -> str:
        if not self.reads_secrets:
            return _placeholder(reference)
        if (path := self.master_keys.path) is not None:
            self.files.add(path)
        try:
            return self.master_keys.open(reference)
        except SealError as error:
            raise BadReference(str(error)) from None

    def _from_file(self, reference: str) -> str:
        path = self._folder / reference.removeprefix("file:")
        if not self.reads_secrets:
            return _placeholder(reference)
        self.files.add(path)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise BadReference(f"{reference} cannot be read: {error.strerror}") from None
        if len(content) > MAX_SECRET_BYTES:
            raise BadReference(f"{reference} is larger than {MAX_SECRET_BYTES} bytes")
        try:
            value = content.decode()
        except UnicodeDecodeError:
            raise BadReference(f"{reference} is not UTF-8 text") from None
        # Text files end with a line break, and a secret never does.
        return value.removesuffix("\n").removesuffix("\r")


def _placeholder(reference: str) -> str:
    """Return a stand-in for a secret, unique for each reference and long enough for a virtual key."""
    return f"placeholder-{sha256(reference.encode()).hexdigest()}"


def check_secret(value: str, reference: str) -> None:
    """Raise `BadReference` if a value cannot be a secret. `reference` is its name in the message."""
    if not value:
        raise BadReference(f"{reference} is empty")
    if any(character in value for character in "\r\n\0"):
        raise BadReference(f"{reference} contains a line break or NUL; a secret must be one line")
    if value != value.strip() or not value.isprintable() or not value.isascii():
        raise BadReference(f"{reference} has spaces around it, or characters that are not printable ASCII")
