"""A path of the public API: how it is recognized and how its body is read."""

from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.operations import Operation
from pointsman.domain.snapshots import Snapshot

PREFIX = "/v1"


# How the body of a request is handled. `none`: nothing goes to a provider, since the gateway answers by itself. `json`:
# it is read whole and parsed. `stream`: it is passed on as it arrives, though a JSON body is read whole all the same.
BodyKind = Literal["none", "json", "stream"]


class ParsedHead(Struct, frozen=True):
    """The head of a request, read under a snapshot. `credential` is the virtual key as presented, hashed with SHA-256,
    or `None`. `content_encoding` is empty for a plain body."""

    api: "ApiPath"
    head: RequestHead
    snapshot: Snapshot
    credential: bytes | None = None
    content_encoding: str = ""


Parse = Callable[[ParsedHead, bytes], Call]


class ApiPath(Struct, frozen=True, eq=False):
    """One path, or with `is_prefix` everything below it.

    `parse` turns a whole body into a call and raises `Rejection`; `None` for paths the gateway answers itself.
    """

    path: str
    methods: frozenset[str]
    operation: Operation
    body: BodyKind = "json"
    is_prefix: bool = False
    parse: Parse | None = None
    dialect: str = "openai"


class PathTable:
    """Finds the `ApiPath` of a request path: exact names first, then the longest prefix."""

    def __init__(self, paths: Iterable[ApiPath]) -> None:
        self._exact: dict[str, list[ApiPath]] = {}
        self._prefixes: list[ApiPath] = []
        for path in paths:
            if path.is_prefix:
                self._prefixes.append(path)
            else:
                self._exact.setdefault(path.path, []).append(path)
        self._prefixes.sort(key=lambda path: -len(path.path))

    def find(self, method: str, path: str) -> ApiPath:
        """Return the entry of `path`, which lies below `/v1` and has no query. Raises `Rejection`: 404 or 405."""
        found = self._exact.get(path, [])
        if not found:
            found = [item for item in self._prefixes if path == item.path or path.startswith(item.path + "/")][:1]
        for item in found:
            if method in item.methods:
                return item
        if found:
            allowed = ", ".join(sorted(method for item in found for method in item.methods))
            message = f"{method} is not allowed for {PREFIX}{path}; use {allowed}"
            raise Rejection(Failure(failures.METHOD_NOT_ALLOWED, message, allow=allowed))
        raise Rejection(
            Failure(failures.UNKNOWN_PATH, f"unknown path {PREFIX}{path}; docs/concepts.md lists the paths")
        )
