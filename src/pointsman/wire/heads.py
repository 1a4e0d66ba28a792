"""The head of a client's request: its path, its credential, and the gateway's own request headers."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote

from pointsman.domain import failures
from pointsman.domain.calls import RequestHead
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.snapshots import Snapshot
from pointsman.wire.encodings import encoding_of
from pointsman.wire.json_object import rejection
from pointsman.wire.paths import PREFIX, ApiPath, ParsedHead, PathTable

# The client's headers that go upstream. All others stay here: credentials, cookies, addresses, hop headers.
FORWARDED = ("accept", "openai-beta", "idempotency-key", "range", "if-none-match")

# Path segments that can name an object, and cannot climb out of the path or start another one.
_SAFE_PATH = re.compile(r"(?:/[A-Za-z0-9_\-.~:@]+)*/?")
_SAFE_QUERY = re.compile(r"[A-Za-z0-9_\-.~:@=&%+,\[\]*/?!$'();]*")
_TAG = b"x-pointsman-tag-"
_MAX_TAGS = 16
_MAX_VALUE = 255
_MAX_TIMEOUT_MS = 24 * 3600 * 1000
_MAX_DIGITS = 9
_MODELS = "/models/"
_MAX_KEPT = 512  # length of a target that is cached


def read_head(
    method: str, target: str, headers: Mapping[bytes, bytes], table: PathTable, snapshot: Snapshot
) -> ParsedHead:
    """Read everything that a head sets. `headers` has names in lower case; `snapshot` is the configuration in force.
    Raises `Rejection`."""
    read = _read_target if len(target) <= _MAX_KEPT else _read_target.__wrapped__
    api, path = read(method, target, table)
    text = {name: _text(name, headers[raw]) for raw, name in _READ if raw in headers}
    return ParsedHead(
        api,
        RequestHead(
            method=method,
            path=path,
            dialect=api.dialect,
            content_type=text.get("content-type", ""),
            provider=_checked(text, "x-pointsman-provider"),
            timeout_s=_timeout_s(text.get("x-pointsman-timeout-ms")),
            session=_checked(text, "x-pointsman-session"),
            tags=_tags(headers) if has_tags(headers) else {},
            forwarded=tuple([(name, text[name]) for name in FORWARDED if name in text]),
        ),
        snapshot,
        read_credential(headers, snapshot.key_headers),
        encoding_of(text["content-encoding"]) if "content-encoding" in text else "",
    )


def names_read(key_headers: Sequence[str]) -> tuple[bytes, ...]:
    """Return the headers that `read_head` reads, except those of tags. Heads that agree in them mean the same."""
    return (*(raw for raw, _ in _READ), *(name.encode() for name in key_headers))


def has_tags(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether there may be headers of tags."""
    return b"\n".join(headers).find(_TAG) >= 0


@lru_cache(maxsize=1024)  # of paths, and the one table of them
def _read_target(method: str, target: str, table: PathTable) -> tuple[ApiPath, str]:
    """Return the requested path's entry, and the path and query below the prefix."""
    path, mark, query = target.partition("?")
    if not path.startswith(PREFIX + "/"):
        raise Rejection(
            Failure(failures.UNKNOWN_PATH, f"unknown path {path[:200]}; the API's paths begin with {PREFIX}/")
        )
    path = path[len(PREFIX) :]
    if path.startswith(_MODELS):  # SDKs escape the slash in a model's name; the path is not sent upstream
        path = unquote(path)
    if not _SAFE_PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise rejection(
            "the path must hold only letters, digits and -_.~:@ between its slashes, and no segment . or .."
        )
    if not _SAFE_QUERY.fullmatch(query):
        raise rejection("the query holds a character that is not allowed; percent-encode it")
    for name in _CREDENTIALS:
        if query and f"&{query}".find(f"&{name}=") >= 0:
            raise rejection(f"the query parameter {name!r} is not allowed; send the key in a header", name)
    return table.find(method, path), path + mark + query


_CREDENTIALS = ("key", "api_key", "api-key", "apikey", "access_token", "token")
_OWN = ("content-type", "content-encoding", "x-pointsman-provider", "x-pointsman-timeout-ms", "x-pointsman-session")
_READ = tuple((name.encode(), name) for name in (*FORWARDED, *_OWN))


def read_credential(headers: Mapping[bytes, bytes], key_headers: Sequence[str]) -> bytes | None:
    """Return the SHA-256 of the virtual key that a client presents, from the first of `key_headers` that is present."""
    for name in key_headers:
        value = headers.get(name.encode())
        if value:
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() == b"bearer":
                value = rest.strip()
            if value:
                return hashlib.sha256(value).digest()
    return None


def _text(name: str, value: bytes) -> str:
    text = value.decode("latin-1")
    if not (text.isascii() and text.replace("\t", " ").isprintable()):  # a line end here would begin a header upstream
        raise rejection(f"the header {name} must hold printable ASCII characters only", name)
    return text


def _checked(text: Mapping[str, str], name: str) -> str | None:
    value = text.get(name)
    if value is not None and not 0 < len(value) <= _MAX_VALUE:
        raise rejection(f"the header {name} must have 1 to {_MAX_VALUE} characters", name)
    return value


def _timeout_s(value: str | None) -> float | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > _MAX_DIGITS or not 0 < int(value) <= _MAX_TIMEOUT_MS:
        name = "x-pointsman-timeout-ms"
        raise rejection(f"the header {name} must be a whole number of milliseconds from 1 to {_MAX_TIMEOUT_MS}", name)
    return int(value) / 1000


def _tags(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    names = [name for name in headers if name.startswith(_TAG)]
    if len(names) > _MAX_TAGS:
        raise rejection(
            f"the request has {len(names)} {_TAG.decode()}<name> headers; send at most {_MAX_TAGS}", _TAG.decode()
        )
    tags: dict[str, str] = {}
    for name in names:
        text = name.decode()
        value = _text(text, headers[name])
        if len(value) > _MAX_VALUE or len(text) == len(_TAG):
            raise rejection(
                f"the header {text} must end with a name, and have at most {_MAX_VALUE} characters as its value",
                text,
            )
        tags[text[len(_TAG) :]] = value
    return tags
