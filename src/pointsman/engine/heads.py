"""Admission of request heads. Each distinct head is read once for each snapshot, and the result is kept on the head.

The result depends only on the path, the credential and the options of a head, so requests with equal heads share it.
"""

import logging
from functools import partial
from time import monotonic, time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.identity import KeysUnavailableError, KeyTable
from pointsman.domain.records import RequestRecord, record_of
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.live import Live
from pointsman.routing.admit import Admission, admit, check_network, check_time, pause_of
from pointsman.transport.http_head import PER_REQUEST, BodyMode, Head
from pointsman.wire import PATHS
from pointsman.wire.bounds import SMALL_BYTES
from pointsman.wire.callers import check_caller, client_address
from pointsman.wire.encodings import LARGE_FROM_BYTES, parse_encoded, reject_encoded
from pointsman.wire.heads import dialect_at, has_open_names, names_read, read_head
from pointsman.wire.paths import Parse, ParsedHead, PathTable
from pointsman.wire.sse import BYTE_ORDER_MARK

TABLE = PathTable(PATHS)
MAX_ENTRIES = 4096
MAX_ENTRY_BYTES = 2048  # of the key of an entry
BODY_MARK = BYTE_ORDER_MARK  # which a body may begin with

_logger = logging.getLogger(__name__)


class AdmittedHead(Struct, frozen=True, eq=False):
    """A head that was admitted under one snapshot. The record of each request with this head begins as a copy of
    `record`."""

    snapshot: Snapshot
    parsed: ParsedHead
    admission: Admission
    mode: BodyMode  # how its body is read
    parse: Parse | None  # absent if there is no body to parse
    record: RequestRecord
    is_checked: bool = False  # each request is checked, since its virtual key expires or is bound to networks
    most_small: int = SMALL_BYTES  # a longer body is parsed in the background thread


class AdmittedHeads:
    """Admits heads. Keeps a bounded number of results, all of the present snapshot."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._entries: dict[tuple[bytes | None, ...], AdmittedHead] = {}  # of `_snapshot`
        self._names: tuple[bytes, ...] = ()  # of the headers that the entries depend on
        self._snapshot: Snapshot | None = None
        self._reads_ids = False  # whether entries depend on headers that differ in every request

    def forget(self) -> None:
        """Drop all heads: before another snapshot, so that they do not keep this one alive, or after keys changed."""
        self._entries, self._snapshot = {}, None

    def enter(self, head: Head) -> AdmittedHead:
        """Read and admit a head. Raises `Rejection`."""
        snapshot = self._live.snapshot
        entry = head.derived
        if type(entry) is AdmittedHead and entry.snapshot is snapshot:
            return entry
        if self._snapshot is not snapshot or len(self._entries) >= MAX_ENTRIES:
            self._entries, self._snapshot = {}, snapshot
            self._names = (*names_read(snapshot), b"host", b"origin")
            self._reads_ids = not PER_REQUEST.isdisjoint(self._names)
        if head.like is not None and not self._reads_ids:
            entry = head.derived = self.enter(head.like)
            return entry
        # Most headers that differ between requests do not matter here, such as the id that a proxy gives to each
        # request.
        key = (head.method, head.target, *map(head.headers.get, self._names))
        is_kept = not has_open_names(head.headers) and sum(map(len, filter(None, key))) <= MAX_ENTRY_BYTES
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
        parsed = read_head(method, target, head.headers, TABLE, snapshot)
        try:
            admission = admit(parsed.credential, snapshot)
        except KeysUnavailableError as error:
            _logger.error("virtual keys made by API cannot be looked up: %s", error)  # noqa: TRY400
            raise Rejection(_UNREADABLE) from None
        if isinstance(admission, Failure):
            # Control may have created the key since the connection was lost, unless it is known to be revoked.
            is_unsure = self._live.is_cut_off and not _is_revoked(parsed.credential, snapshot)
            raise Rejection(_CUT_OFF if is_unsure else _presented(admission, parsed.credential))
        mode, key = _body_mode(parsed), admission.virtual_key
        is_checked = key is not None and (key.expires_at is not None or bool(key.networks))
        parse = parsed.api.parse if mode is BodyMode.BUFFER else None
        record = record_of(parsed.head, head.path, key)
        admitted = AdmittedHead(snapshot, parsed, admission, mode, parse, record=record, is_checked=is_checked)
        if parsed.content_encoding and parse is not None:
            return replace(admitted, parse=partial(parse_encoded, parse), most_small=LARGE_FROM_BYTES)
        return admitted

    @staticmethod
    def dialect(head: Head) -> str:
        """Return the dialect of a head, which need not be admitted."""
        entry = head.derived
        if isinstance(entry, AdmittedHead):
            return entry.parsed.head.dialect
        return dialect_at(head.target.decode("ascii", "replace"), head.headers, TABLE)

    def check(self, entry: AdmittedHead, head: Head, peer: str | None) -> None:
        """Check what may differ between two requests with the same head. Raises `Rejection` if the key has expired or
        is paused, if it may not be used from the client's address, or if the configuration is too old to be trusted."""
        live, key = self._live, entry.admission.virtual_key
        if live.is_stale:
            raise Rejection(_STALE)
        if key is None:
            return
        failure = check_time(key, time())
        if failure is None and key.networks:
            address = client_address(peer, head.headers.get(b"x-forwarded-for"), entry.snapshot.access)
            failure = check_network(key, address)
        if failure is None and live.paused:
            failure = pause_of(key, live.paused, monotonic())
        if failure is not None:
            raise Rejection(failure)


def _is_revoked(credential: bytes | None, snapshot: Snapshot) -> bool:
    keys = snapshot.virtual_keys
    try:
        return credential is not None and isinstance(keys, KeyTable) and keys.is_revoked(credential)
    except KeysUnavailableError:
        return False


def _presented(failure: Failure, credential: bytes | None) -> Failure:
    """Return the failure with the beginning of the digest of the presented key, which identifies the key."""
    if credential is None:
        return failure
    return replace(
        failure, message=f"{failure.message}; the SHA-256 of the presented key begins with {credential.hex()[:8]}"
    )


_UNREADABLE = Failure(
    failures.CONTROL_UNAVAILABLE, "virtual keys cannot be looked up now; the log of the gateway says why; retry later"
)
_CUT_OFF = Failure(
    failures.CONTROL_UNAVAILABLE,
    "this virtual key cannot be checked now, since the worker has lost its connection to control; retry later",
)
_STALE = Failure(
    failures.SNAPSHOT_STALE,
    "control has been unreachable for longer than governance.max_stale_s, so the configuration of this worker may be "
    "out of date; start control again, or retry later",
)


def _body_mode(parsed: ParsedHead) -> BodyMode:
    """Return how the body is read. Only forms and files to be stored are passed on unread. All other bodies are read as
    JSON, whatever their media type, so no unparsed body reaches a provider. Raises `Rejection` for a compressed body
    that would be passed on."""
    if parsed.api.body != "stream" or parsed.head.method in ("GET", "HEAD"):
        return BodyMode.BUFFER
    media_type = parsed.head.content_type.partition(";")[0].strip().lower()
    is_file = parsed.api.operation == "file" and media_type not in ("", "application/json")
    if not is_file and media_type != "multipart/form-data":
        return BodyMode.BUFFER
    reject_encoded(parsed.content_encoding)
    return BodyMode.STREAM
