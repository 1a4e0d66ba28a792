"""Authentication for the admin API, by the admin token. Only its digest is kept. A second token may open the metrics
alone, for their collector."""

import hmac
import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from pointsman.config.whole_file import write_whole

VARIABLE = "POINTSMAN_ADMIN_TOKEN"
METRICS_VARIABLE = "POINTSMAN_METRICS_TOKEN"
FILE = "admin-token"
MIN_CHARACTERS = 20


class AdminToken:
    """The digest of the token that opens everything. `made` is the token itself, at the first start only."""

    def __init__(self, digest: bytes, made: str | None = None) -> None:
        self._digest = digest
        self.made = made

    def opens(self, presented: str) -> bool:
        """Return whether this is the token, in a time that does not depend on the answer."""
        return hmac.compare_digest(sha256(presented.encode()).digest(), self._digest)


def load_or_make(data_dir: Path, environ: Mapping[str, str]) -> AdminToken:
    """Return the token of the environment, else the one whose digest the data folder has, else a new one. Raises
    `OSError`, and `ValueError` for a guessable token or a file without a digest."""
    presented = given_token(VARIABLE, environ)
    if presented is not None:
        return presented
    path = data_dir / FILE
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        made = f"pm-admin-{secrets.token_urlsafe(32)}"
        digest = sha256(made.encode())
        write_whole(path, f"sha256:{digest.hexdigest()}\n".encode())
        return AdminToken(digest.digest(), made)
    match = re.fullmatch("sha256:([0-9a-f]{64})", text)
    if match is None:
        raise ValueError(f"{path} contains no digest; delete it, and restart to create a new admin token")
    return AdminToken(bytes.fromhex(match[1]))


def given_token(variable: str, environ: Mapping[str, str]) -> AdminToken | None:
    """Return the token of the environment, if there is one. Raises `ValueError` for a guessable one."""
    presented = environ.get(variable)
    if not presented:
        return None
    if len(presented) < MIN_CHARACTERS:
        raise ValueError(
            f"{variable} has fewer than {MIN_CHARACTERS} characters; set a longer one that cannot be guessed"
        )
    return AdminToken(sha256(presented.encode()).digest())
