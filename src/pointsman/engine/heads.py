"""Admission of request heads. Each distinct head is read once for each snapshot, and the result is kept on the head.

The result depends only on the path, the credential and the options of a head, so requests with equal heads share it.
"""

from copy import copy
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.records import RequestRecord, record_of
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.admission import CredentialCheck
from pointsman.engine.live import Live
from pointsman.routing.admit import Admission
from pointsman.transport.http_exchange import Exchange
from pointsman.transport.http_head import PER_REQUEST, BodyMode, Head
from pointsman.wire import PATHS
from pointsman.wire.bounds import SMALL_BYTES
from pointsman.wire.callers import check_caller
from pointsman.wire.encodings import LARGE_FROM_BYTES, parse_encoded, reject_encoded
from pointsman.wire.heads import dialect_at, has_open_names, names_read, read_head
from pointsman.wire.paths import Parse, ParsedHead, PathTable
from pointsman.wire.sse import BYTE_ORDER_MARK

TABLE = PathTable(PATHS)
MAX_ENTRIES = 4096
MAX_ENTRY_BYTES = 2048  # of the key of an entry
BODY_MARK = BYTE_ORDER_MARK  # which a body may begin with


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
    of_certificate: bool = False  # the certificate of the connection decides, so this is not yet an admission
    most_small: int = SMALL_BYTES  # a longer body is parsed in the background thread


class AdmittedHeads:
    """Admits heads. Keeps a bounded number of results, all of the present snapshot."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._credentials = CredentialCheck(live)
        self.callers = self._credentials.callers
        self._of_certificates: dict[tuple[AdmittedHead, bytes], AdmittedHead] = {}
        self._entries: dict[tuple[bytes | None, ...], AdmittedHead] = {}  # of `_snapshot`
        self._names: tuple[bytes, ...] = ()  # of the headers that the entries depend on
        self._snapshot: Snapshot | None = None
        self._reads_ids = False  # whether entries depend on headers that differ in every request

    def forget(self) -> None:
        """Drop all heads: before another snapshot, so that they do not keep this one alive, or after keys changed."""
        self._entries, self._snapshot = {}, None
        self._of_certificates.clear()

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
        admission = self._credentials.admit(head, parsed.credential, snapshot)
        of_certificate = admission is None
        admission = admission or Admission()
        mode, key = _body_mode(parsed), admission.virtual_key
        expires = key is not None and (key.expires_at is not None or bool(key.networks))
        is_checked = of_certificate or expires
        parse = parsed.api.parse if mode is BodyMode.BUFFER else None
        record = record_of(parsed.head, head.path, key)
        admitted = AdmittedHead(
            snapshot,
            parsed,
            admission,
            mode,
            parse,
            record=record,
            is_checked=is_checked,
            of_certificate=of_certificate,
        )
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

    def check(self, entry: AdmittedHead, exchange: Exchange) -> AdmittedHead:
        """Check what may differ between two requests with the same head. Return the admission of this one. Raises
        `Rejection` if the key has expired or is paused, if it may not be used from the client's address, or if the
        configuration is too old to be trusted."""
        self._credentials.check_age()
        if entry.of_certificate:
            entry = self._certified(entry, exchange)
        key = entry.admission.virtual_key
        if key is not None:
            self._credentials.check(key, exchange, entry.snapshot)
        return entry

    def _certified(self, entry: AdmittedHead, exchange: Exchange) -> AdmittedHead:
        """Return the admission of a request by the certificate of its connection. Raises `Rejection`."""
        key = self._credentials.of_certificate(exchange, entry.snapshot)
        if key is None:
            return entry
        at = (entry, key.digest)
        found = self._of_certificates.get(at)
        if found is None or found.admission.virtual_key is not key:
            if len(self._of_certificates) >= MAX_ENTRIES:
                self._of_certificates.clear()
            record = record_of(entry.parsed.head, exchange.head.path, key)
            found = replace(entry, admission=Admission(key), record=record, of_certificate=False)
            self._of_certificates[at] = found
        # Other connections have the same head, but another certificate.
        exchange.head = copy(exchange.head)
        exchange.head.derived = found
        return found


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
