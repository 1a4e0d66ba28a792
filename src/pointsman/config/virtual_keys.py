"""From `governance` to the table of virtual keys, which holds digests only."""

import re
from hashlib import sha256

from pointsman.config.addresses import Address
from pointsman.config.problems import Findings
from pointsman.config.references import BadReference, References
from pointsman.config.schema import GovernanceSettings
from pointsman.config.source import Location
from pointsman.domain.snapshots import VirtualKey

MIN_CHARACTERS = 20

_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NOT_FOR_KEYS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host", "te", "upgrade"}
    | {"transfer-encoding", "accept", "user-agent"}
)


def compile_virtual_keys(
    governance: GovernanceSettings, references: References, findings: Findings
) -> dict[bytes, VirtualKey]:
    """Virtual keys by the SHA-256 of their value."""
    keys: dict[bytes, VirtualKey] = {}
    for name, settings in governance.virtual_keys.items():
        place: Location = ("governance", "virtual_keys", name, "value")
        digest = _digest(settings.value, place, references, findings)
        if digest is None:
            continue
        if digest in keys:
            findings.error(place, f"is the same key as {keys[digest].name!r}; each needs one of its own")
        else:
            keys[digest] = VirtualKey(name, digest)
    return keys


def _digest(value: str, place: Location, references: References, findings: Findings) -> bytes | None:
    if value.startswith("sha256:"):
        match = _DIGEST.fullmatch(value)
        if match is None:
            findings.error(place, "`sha256:` must be followed by 64 hexadecimal digits")
            return None
        return bytes.fromhex(match[1])
    if not value:
        findings.error(place, "a virtual key must not be empty")
        return None
    try:
        secret = references.resolve(value).reveal()
    except BadReference as error:
        findings.error(place, f"{error}, or sha256: and its digest" if "not written" in str(error) else str(error))
        return None
    if len(secret) < MIN_CHARACTERS:
        message = f"has fewer than {MIN_CHARACTERS} characters; a key that can be guessed protects nothing"
        findings.warning(place, message)
    return sha256(secret.encode()).digest()


def compile_key_headers(governance: GovernanceSettings, findings: Findings) -> tuple[str, ...]:
    """Header names in lower case, in the order they are looked at."""
    names: list[str] = []
    for index, header in enumerate(governance.key_headers):
        name = header.lower()
        place: Location = ("governance", "key_headers", index)
        if name in _NOT_FOR_KEYS or name.startswith("x-pointsman-"):
            findings.error(place, "this header has a meaning of its own and cannot carry a key")
        if name in names:
            findings.error(place, "is listed already")
        names.append(name)
    return tuple(names)


def check_access(governance: GovernanceSettings, listen: Address | None, findings: Findings) -> None:
    """Open mode is for this machine alone, and closed mode needs a key that opens it."""
    if governance.require_key:
        if not governance.virtual_keys:
            message = (
                "no virtual key is defined, so every request would be refused; define one, such as "
                "`virtual_keys: {me: {value: env.MY_KEY}}`, or set `require_key: false` on a loopback address"
            )
            findings.error(("governance", "virtual_keys"), message)
    elif listen is not None and not listen.is_loopback:
        message = "without keys the gateway listens on loopback only; server.listen can be reached from elsewhere"
        findings.error(("governance", "require_key"), message)
    elif governance.virtual_keys:
        findings.note(
            ("governance", "require_key"), "virtual keys are defined, but requests without one are served too"
        )
