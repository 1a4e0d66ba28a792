"""The head of a client's request: its path, its credential, and the gateway's own request headers."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import RequestHead
from pointsman.domain.dollars import NANO
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.requirements import NO_REQUIREMENTS
from pointsman.domain.snapshots import Snapshot
from pointsman.wire.encodings import encoding_of
from pointsman.wire.gemini_paths import GEMINI_BASE, split_path
from pointsman.wire.json_object import rejection
from pointsman.wire.paths import PREFIX, ApiPath, ParsedHead, PathTable
from pointsman.wire.requirements import HEADER as REQUIRE
from pointsman.wire.requirements import read_require

# The client's headers that go upstream. No other is sent on: not credentials, cookies, addresses, hop headers.
FORWARDED = ("accept", "openai-beta", "idempotency-key", "range", "if-none-match")
# In Anthropic's dialect these go upstream, and any other header with this beginning: the list is open.
# https://code.claude.com/docs/en/llm-gateway-protocol
_OPEN = "anthropic-"
_KNOWN_OF_OPEN = ("anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access")
# The ids of sessions that coding agents send: Claude Code's, and Codex's.
_SESSIONS = ("x-claude-code-session-id", "session_id", "session-id", "conversation_id")
_AGENT, _PARENT_AGENT = "x-claude-code-agent-id", "x-claude-code-parent-agent-id"
_BASES = (PREFIX, "/openai" + PREFIX, "/anthropic" + PREFIX, "/openai")  # of addresses that clients may set
_COHERE = "/v2"  # the prefix of its rankings: https://docs.cohere.com/reference/rerank
_RANKING = _COHERE + "/rerank"

# Path segments that can name an object, and cannot climb out of the path or start another one.
_SAFE_PATH = re.compile(r"(?:/[A-Za-z0-9_\-.~:@]+)*/?")
_SAFE_QUERY = re.compile(r"[A-Za-z0-9_\-.~:@=&%+,\[\]*/?!$'();]*")
_DOLLARS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")
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
    found = read(method, target, table)
    api = found.api
    text = {name: _text(name, headers[raw]) for raw, name in _READ if raw in headers}
    # The gateway answers this path itself, in the shape of the client's dialect.
    is_anthropic = api.body == "none" and (_VERSION in text or target.startswith(_ANTHROPIC_BASE))
    dialect = _GEMINI if found.is_gemini else _ANTHROPIC if is_anthropic else api.dialect
    return ParsedHead(
        api,
        RequestHead(
            method=method,
            path=found.path,
            dialect=dialect,
            model=found.model,
            streams=found.streams,
            content_type=text.get("content-type", ""),
            provider=_checked(text, "x-pointsman-provider"),
            timeout_s=_timeout_s(text.get("x-pointsman-timeout-ms")),
            max_nano=_max_nano(text.get("x-pointsman-max-usd")),
            session=_checked(text, "x-pointsman-session") or _first_id(text, _SESSIONS),
            agent=_first_id(text, (_AGENT,)),
            parent_agent=_first_id(text, (_PARENT_AGENT,)),
            tags=_tags(headers) if has_open_names(headers) else {},
            forwarded=_forwarded(api.dialect, text, headers),
            headers=_named(snapshot.read_headers, headers) if snapshot.read_headers else {},
            require=read_require(text[REQUIRE]) if REQUIRE in text else NO_REQUIREMENTS,
        ),
        snapshot,
        found.credential or read_credential(headers, snapshot.key_headers),
        encoding_of(text["content-encoding"]) if "content-encoding" in text else "",
    )


def names_read(snapshot: Snapshot) -> tuple[bytes, ...]:
    """Return the headers that `read_head` reads, except those of tags. Heads that agree in them mean the same."""
    of_configuration = (*snapshot.key_headers, *snapshot.read_headers)
    return (*(raw for raw, _ in _READ), *(name.encode() for name in of_configuration))


def _named(names: Sequence[str], headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the headers that the configuration reads. They stay in the gateway, so any bytes are allowed."""
    return {name: headers[raw].decode("latin-1") for name in names if (raw := name.encode()) in headers}


def has_open_names(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether there may be headers that `read_head` reads and `names_read` does not have: tags, and rare headers
    of Anthropic's."""
    names = b"\n".join(headers)
    if names.find(_TAG) >= 0:
        return True
    return names.find(_OPEN_RAW) >= 0 and any(name.startswith(_OPEN_RAW) and name not in _KNOWN_RAW for name in headers)


def _forwarded(dialect: str, text: Mapping[str, str], headers: Mapping[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    """Return the headers that go upstream."""
    if dialect != _ANTHROPIC:
        return tuple([(name, text[name]) for name in FORWARDED if name in text])
    return tuple([(raw.decode(), _text(raw.decode(), headers[raw])) for raw in headers if raw.startswith(_OPEN_RAW)])


class _Target(Struct, frozen=True, gc=False):
    """A request's target: the entry of its path, and the path and query below the prefix. The rest is only set in
    Gemini's dialect, whose paths name the model. `credential` is the hash of the key in the query."""

    api: ApiPath
    path: str
    is_gemini: bool = False
    model: str = ""
    streams: bool = False
    credential: bytes | None = None


@lru_cache(maxsize=1024)  # of paths, and the one table of them
def _read_target(method: str, target: str, table: PathTable) -> _Target:
    """Return the parts of a target. Raises `Rejection`."""
    path, mark, query = target.partition("?")
    if path.startswith(GEMINI_BASE):
        return _read_gemini(method, path, query, table)
    base = _COHERE if path == _RANKING else next((base for base in _BASES if path.startswith(base + "/")), None)
    if base is None:
        raise Rejection(
            Failure(failures.UNKNOWN_PATH, f"unknown path {path[:200]}; the API's paths begin with {PREFIX}/")
        )
    path = path[len(base) :]
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
    api = table.find(method, path)
    if api.dialect == _GEMINI:
        raise Rejection(Failure(failures.UNKNOWN_PATH, f"unknown path {base}{path}; it exists below {GEMINI_BASE}"))
    return _Target(api, path + mark + query)


def _read_gemini(method: str, path: str, query: str, table: PathTable) -> _Target:
    """Return the parts of a target below `/genai`. Nothing of it is sent upstream as it is. A model's name may have
    slashes, which SDKs send as they are or escaped. Raises `Rejection`."""
    unknown = Failure(
        failures.UNKNOWN_PATH, f"unknown path {path[:200]}; docs/guides/dialects.md lists those below {GEMINI_BASE}"
    )
    found = split_path(method, path, query)
    if found is None:
        raise Rejection(unknown)
    credential = hashlib.sha256(found.key.encode()).digest() if found.key else None
    api = table.find(method, found.path)
    if api.dialect != _GEMINI and f"{api.path}/" != _MODELS:  # an action such as `:responses`
        raise Rejection(unknown)
    path = f"{found.path}/{found.model}" if api.body == "none" and found.model else found.path
    shown = f"{path}?{found.query}" if found.query else path
    return _Target(api, shown, is_gemini=True, model=found.model, streams=found.streams, credential=credential)


_CREDENTIALS = ("key", "api_key", "api-key", "apikey", "access_token", "token")
_OWN = (
    "content-type", "content-encoding", "x-pointsman-provider", "x-pointsman-timeout-ms", "x-pointsman-max-usd",
    "x-pointsman-session", REQUIRE,
)  # fmt: skip
_READ = tuple((name.encode(), name) for name in (*FORWARDED, *_KNOWN_OF_OPEN, *_OWN, *_SESSIONS, _AGENT, _PARENT_AGENT))
_OPEN_RAW, _KNOWN_RAW = _OPEN.encode(), frozenset(name.encode() for name in _KNOWN_OF_OPEN)
_GEMINI = "gemini"
_ANTHROPIC, _ANTHROPIC_BASE, _VERSION = "anthropic", "/anthropic/", "anthropic-version"
_ANTHROPIC_PATHS = (_ANTHROPIC_BASE, *[f"{base}/messages/" for base in _BASES])


def read_credential(headers: Mapping[bytes, bytes], key_headers: Sequence[str]) -> bytes | None:
    """Return the SHA-256 of the virtual key that a client presents."""
    value = presented(headers, key_headers)
    return hashlib.sha256(value).digest() if value is not None else None


def presented(headers: Mapping[bytes, bytes], key_headers: Sequence[str]) -> bytes | None:
    """Return the virtual key or the token that a client presents, from the first of `key_headers` that is present."""
    for name in key_headers:
        value = headers.get(name.encode())
        if value:
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() == b"bearer":
                value = rest.strip()
            if value:
                return value
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


def _first_id(text: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the id in the first of some headers of coding agents. One that is too long is not kept."""
    return next((text[name] for name in names if 0 < len(text.get(name, "")) <= _MAX_VALUE), None)


def dialect_at(target: str, headers: Mapping[bytes, bytes], table: PathTable) -> str:
    """Return the dialect of a target, for a rejected request whose head was not read."""
    if target.startswith(GEMINI_BASE):
        return _GEMINI
    try:
        return _read_target.__wrapped__("POST", target.partition("?")[0], table).api.dialect
    except Rejection:  # of a path in no dialect, or in all of them
        is_anthropic = target.startswith(_ANTHROPIC_PATHS) or _VERSION.encode() in headers
        return _ANTHROPIC if is_anthropic else "openai"


def _timeout_s(value: str | None) -> float | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > _MAX_DIGITS or not 0 < int(value) <= _MAX_TIMEOUT_MS:
        name = "x-pointsman-timeout-ms"
        raise rejection(f"the header {name} must be a whole number of milliseconds from 1 to {_MAX_TIMEOUT_MS}", name)
    return int(value) / 1000


def _max_nano(value: str | None) -> int | None:
    if value is None:
        return None
    if not _DOLLARS.fullmatch(value):
        name = "x-pointsman-max-usd"
        raise rejection(f"the header {name} must be an amount of dollars, such as 0.01, with at most 9 decimals", name)
    whole, _, fraction = value.partition(".")
    return int(whole) * NANO + int(fraction.ljust(9, "0"))


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
