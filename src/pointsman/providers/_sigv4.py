"""Sign requests with AWS Signature Version 4.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

The signature covers the method, the path, the query, the host, the time, the body, and the headers that a service
requires. A path is encoded once more than it is sent, as every service but S3 expects. S3 takes it as it is sent.
"""

import hmac
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from msgspec import Struct

from pointsman.domain.origin import AwsKeys

_ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SIGNING_KEYS = 1024

# Derived keys that are kept with the provider key they belong to: `CachedHeads.known` of a `ProviderKey`.
SigningKeys = MutableMapping[tuple[object, ...], tuple[bytes, bytes]]


class SigningScope(Struct, frozen=True, gc=False):
    """The region and the service that a signature is valid for, such as `eu-central-1` and `bedrock`."""

    region: str
    service: str


class UnsignedRequest(Struct, frozen=True, gc=False):
    """The signed parts of a request. `target` is the encoded path with the query, as it is sent. `host` is the value of
    the header Host. `headers` are others to be signed, with names in lower case; the caller sends them itself."""

    method: str
    host: str
    target: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def signature_lines(
    request: UnsignedRequest,
    keys: AwsKeys,
    scope: SigningScope,
    now_unix_s: float,
    signing_keys: SigningKeys | None = None,
) -> bytes:
    """Return the header lines that authenticate a request at a time, each ended by CRLF. A service accepts them for
    about five minutes. `signing_keys` keeps the key of a day, which takes four hashes."""
    moment = _moment(int(now_unix_s))
    signed = [("host", request.host), ("x-amz-date", moment), *request.headers]
    if keys.session_token is not None:
        signed.append(("x-amz-security-token", keys.session_token.reveal()))
    signed.sort()
    names = ";".join([name for name, _ in signed])
    path, _, query = request.target.partition("?")
    lines = [
        request.method,
        path if scope.service == "s3" else _canonical_path(path),
        "&".join(["=".join(pair) for pair in sorted(_pair(part) for part in query.split("&"))]) if query else "",
        *[f"{name}:{' '.join(value.split())}" for name, value in signed],
        "",
        names,
        sha256(request.body).hexdigest(),
    ]
    date = moment[:8]
    within = f"{date}/{scope.region}/{scope.service}/aws4_request"
    digest = sha256("\n".join(lines).encode()).hexdigest()
    key = _signing_key(keys, scope, date, signing_keys)
    signature = _hash(key, f"{_ALGORITHM}\n{moment}\n{within}\n{digest}").hex()
    sent = "".join([f"{name}: {value}\r\n" for name, value in signed if name.startswith("x-amz-")])
    credential = f"Credential={keys.access_key_id}/{within}"
    sent += f"authorization: {_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}\r\n"
    return sent.encode("ascii")


@lru_cache(maxsize=4)  # most requests of a second share it
def _moment(now_unix_s: int) -> str:
    return datetime.fromtimestamp(now_unix_s, UTC).strftime("%Y%m%dT%H%M%SZ")


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name, value


@lru_cache(maxsize=4096)  # of models
def _canonical_path(path: str) -> str:
    """Return an encoded path without empty and dot segments, encoded once more."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return quote("/" + "/".join(kept) + ("/" if kept and path.endswith("/") else ""), safe="/~")


def _signing_key(keys: AwsKeys, scope: SigningScope, date: str, signing_keys: SigningKeys | None) -> bytes:
    at = ("sigv4", keys.access_key_id, scope, date)
    if signing_keys is not None and (found := signing_keys.get(at)) is not None:
        return found[0]
    key = f"AWS4{keys.secret_access_key.reveal()}".encode()
    for part in (date, scope.region, scope.service, "aws4_request"):
        key = _hash(key, part)
    if signing_keys is not None:
        if len(signing_keys) >= MAX_SIGNING_KEYS:
            signing_keys.clear()
        signing_keys[at] = key, b""
    return key


def _hash(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
