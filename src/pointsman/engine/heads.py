"""The heads of requests, admitted: read once for each distinct head and snapshot, and kept on the head.

The facts of a head are only its path, credential and options. Requests with the same head share them.
"""

from functools import partial
from time import time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.records import RequestRecord, record_of
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.live import Live
from pointsman.routing.admit import Admission, admit, check_time
from pointsman.transport.http_head import BodyMode, Head
from pointsman.wire import PATHS
from pointsman.wire.bounds import SMALL_BYTES
from pointsman.wire.callers import check_caller
from pointsman.wire.encodings import LARGE_FROM_BYTES, parse_encoded, reject_encoded
from pointsman.wire.heads import has_tags, names_read, read_head
from pointsman.wire.paths import Parse, ParsedHead, PathTable

_TABLE = PathTable(PATHS)
MAX_ENTRIES = 4096
MAX_ENTRY_BYTES = 2048  # of the key of an entry
INFINITY = float("inf")


class AdmittedHead(Struct, frozen=True, eq=False):
    """The facts of a head under one snapshot. The record of each request with this head begins as a copy of
    `record`."""

    snapshot: Snapshot
    asked: ParsedHead
    grant: Admission
    mode: BodyMode  # how its body is read
    parse: Parse | None  # absent if there is no body to parse
    record: RequestRecord
    expires_at: float = INFINITY  # of the virtual key, in Unix seconds
    most_small: int = SMALL_BYTES  # a longer body is read beside the loop


class AdmittedHeads:
    """Admits heads. A bounded number of distinct ones is kept, and none of an old snapshot."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._entries: dict[tuple[bytes | None, ...], AdmittedHead] = {}  # of `_snapshot`
        self._names: tuple[bytes, ...] = ()  # of the headers they were read from
        self._snapshot: Snapshot | None = None

    def forget(self) -> None:
        """Drop all heads before another snapshot, so that they do not keep this one alive."""
        self._entries, self._snapshot = {}, None

    def enter(self, head: Head) -> AdmittedHead:
        """Read and admit a head. Raises `Rejection`."""
        snapshot = self._live.snapshot
        entry = head.derived
        if type(entry) is AdmittedHead and entry.snapshot is snapshot:
            return entry
        if self._snapshot is not snapshot or len(self._entries) >= MAX_ENTRIES:
            self._entries, self._snapshot = {}, snapshot
            self._names = (*names_read(snapshot.key_headers), b"host", b"origin")
        # Most headers that differ between requests do not matter here, such as the id that a proxy gives to each
        # request.
        key = (head.method, head.target, *map(head.headers.get, self._names))
        is_kept = not has_tags(head.headers) and sum(map(len, filter(None, key))) <= MAX_ENTRY_BYTES
        entry = self._entries.get(key) if is_kept else None
        if entry is None:
            entry = self._read(head, snapshot)
            if is_kept:
                self._entries[key] = entry
        head.derived = entry
        return entry

    def _read(self, head: Head, snapshot: Snapshot) -> AdmittedHead:
        check_caller(head.headers, snapshot.access, is_open=not snapshot.require_key)
        method, target = head.method.decode("ascii"), head.target.decode("ascii", "replace")
        asked = read_head(method, target, head.headers, _TABLE, snapshot)
        grant = admit(asked.credential, snapshot)
        if isinstance(grant, Failure):
            # A key that is unknown here may have been made since: control would know.
            raise Rejection(_CUT_OFF if self._live.is_cut_off else _presented(grant, asked.credential))
        mode, key = _body_mode(asked), grant.virtual_key
        expires_at = key.expires_at if key is not None and key.expires_at is not None else INFINITY
        parse = asked.api.parse if mode is BodyMode.BUFFER else None
        record = record_of(asked.head, head.path, key)
        admitted = AdmittedHead(snapshot, asked, grant, mode, parse, record=record, expires_at=expires_at)
        if asked.content_encoding and parse is not None:
            return replace(admitted, parse=partial(parse_encoded, parse), most_small=LARGE_FROM_BYTES)
        return admitted

    def check_times(self, entry: AdmittedHead) -> None:
        """Check the times of an entry. Raises `Rejection` for an expired key, and if the configuration is too old to be
        trusted."""
        if self._live.is_stale:
            raise Rejection(_STALE)
        expired = check_time(entry.grant.virtual_key, time())
        if expired is not None:
            raise Rejection(expired)


def _presented(failure: Failure, credential: bytes | None) -> Failure:
    """Return a refusal that identifies the presented key, by the beginning of its digest."""
    if credential is None:
        return failure
    return replace(
        failure, message=f"{failure.message}; the SHA-256 of the presented key begins with {credential.hex()[:8]}"
    )


_CUT_OFF = Failure(
    failures.CONTROL_UNAVAILABLE,
    "this virtual key cannot be checked now, since the worker has lost its connection to control; retry later",
)
_STALE = Failure(
    failures.SNAPSHOT_STALE,
    "the control process has been out of reach for longer than governance.max_stale_s, so the configuration here "
    "may no longer hold",
)


def _body_mode(asked: ParsedHead) -> BodyMode:
    """Return how the body is read. Only forms and files to be stored are passed on unread. All other bodies are read as
    JSON, whatever their media type, so no unparsed body reaches a provider. Raises `Rejection` for a compressed body
    that would be passed on."""
    if asked.api.body != "stream" or asked.head.method in ("GET", "HEAD"):
        return BodyMode.BUFFER
    media_type = asked.head.content_type.partition(";")[0].strip().lower()
    is_file = asked.api.operation == "file" and media_type not in ("", "application/json")
    if not is_file and media_type != "multipart/form-data":
        return BodyMode.BUFFER
    reject_encoded(asked.content_encoding)
    return BodyMode.STREAM
