"""One request, from its head to its account: the steps of docs/architecture.md in order.

`PublicApi` is the handler of the public HTTP server. What a head alone says (path, credential, options) is worked out
once for each head and snapshot and kept on the head, which requests share.
"""

from collections.abc import Coroutine
from functools import partial
from time import monotonic, time

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Refusal
from pointsman.domain.records import RequestRecord
from pointsman.domain.snapshots import Snapshot
from pointsman.engine.answer import ASK_AGAIN, BROKEN, GONE, ClientAnswer
from pointsman.engine.attempt import RequestLog
from pointsman.engine.beside import Beside
from pointsman.engine.doorkeeper import Doorkeeper
from pointsman.engine.engine import Engine
from pointsman.engine.ids import RequestIds
from pointsman.engine.model_list import ModelList
from pointsman.engine.ownership import is_shared
from pointsman.engine.record import client_of, logged_path, note_client
from pointsman.engine.responses import id_lines
from pointsman.engine.serve import Cancelled, serve
from pointsman.engine.tasks import Bell, EagerTask, Suspension
from pointsman.engine.uploads import UploadRelay
from pointsman.routing.admit import Admission, admit, check_time
from pointsman.transport.http_head import BodyMode, Head
from pointsman.transport.http_server import Exchange
from pointsman.wire import PATHS
from pointsman.wire.bounds import SMALL_BYTES
from pointsman.wire.callers import check_caller, client_address, cors_lines, preflight_lines
from pointsman.wire.dialect import Dialect
from pointsman.wire.dialects import COMMON, DIALECTS
from pointsman.wire.encodings import LARGE_FROM_BYTES, decoded, refuse_encoded
from pointsman.wire.errors import status_of
from pointsman.wire.heads import has_tags, names_read, read_head
from pointsman.wire.paths import Parse, ParsedHead, PathTable
from pointsman.wire.sse import BYTE_ORDER_MARK

_JSON = b"content-type: application/json\r\n"
_TABLE = PathTable(PATHS)
MAX_ENTRIES = 4096
MAX_ENTRY_BYTES = 2048  # of what an entry is known by
INFINITY = float("inf")


class AdmittedHead(Struct, frozen=True, eq=False):
    """What a head says under one snapshot."""

    snapshot: Snapshot
    asked: ParsedHead
    grant: Admission
    mode: BodyMode  # what is wanted of its body
    parse: Parse | None  # absent where there is no body to parse
    expires_at: float = INFINITY  # of the virtual key, in Unix seconds
    most_small: int = SMALL_BYTES  # a longer body is read beside the loop


class PublicApi:
    """Serves the public API."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ids = RequestIds(engine.rng)
        self.is_draining = False
        self._beside = Beside()
        self._doorkeeper = Doorkeeper()
        self._entries: dict[tuple[bytes | None, ...], AdmittedHead] = {}  # of the snapshot they hold
        self._names: tuple[bytes, ...] = ()  # of the headers they were read from
        self._snapshot: Snapshot | None = None
        self._models = ModelList(engine.live.snapshot)

    def take_models(self, models: ModelList) -> None:
        """The list of models of a snapshot that is about to be in force, or is, worked out elsewhere."""
        self._models = models
        self._entries, self._snapshot = {}, None  # heads that were read under another one must not keep it alive

    def close(self) -> None:
        """There will be no more requests."""
        self._beside.close()

    # What the server calls.

    def accept(self, head: Head) -> BodyMode:
        """Decide from the head whether its body is wanted, and how. Raises `Refusal`."""
        if head.path in _HEALTH or self._is_preflight(head):
            return BodyMode.BUFFER
        return self._enter(head).mode

    def handle(self, exchange: Exchange) -> None:
        """Serve one request. Never raises."""
        request_id = self.ids.new(time())
        try:
            head = exchange.head
            entry = head.derived
            if type(entry) is not AdmittedHead or entry.snapshot is not self.engine.live.snapshot:
                if head.path in _HEALTH:
                    self._answer_health(exchange)
                    return
                if self._is_preflight(head):
                    exchange.send(204, preflight_lines(head.headers, self.engine.live.snapshot.access), b"")
                    return
                entry = self._enter(head)
            if entry.expires_at < INFINITY or self.engine.live.is_stale:
                self._check_times(entry)
            parse = entry.parse
            if parse is None:
                self._serve_otherwise(exchange, entry, request_id)
                return
            body = exchange.body
            if body[:1] == _MARKED:
                body = body.removeprefix(BYTE_ORDER_MARK)
            if len(body) > entry.most_small:
                self._start(self._serve_large(exchange, entry, parse, body, request_id), exchange)
                return
            call = parse(entry.asked, body)
        except Refusal as refusal:
            self.refuse_exchange(exchange, refusal.failure, request_id)
            return
        self._start(serve(self.engine, self._answer(exchange, call, entry, request_id)), exchange)

    def refuse(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        """The answer to a request that is refused before its body is read, or that is no request at all."""
        request_id, access = self.ids.new(time()), self.engine.live.snapshot.access
        client = client_address(peer, head.headers.get(b"x-forwarded-for") if head is not None else None, access)
        if failure.kind is failures.UNKNOWN_KEY:
            failure = self._doorkeeper.wrong_key(client, failure, access)
        self._record_plain(head, client, request_id, status_of(failure), failure, received_at=monotonic())
        dialect = _dialect_of(head)
        lines = dialect.error_headers(failure) + id_lines(request_id)
        if head is not None:
            lines += cors_lines(head.headers, access)
        return status_of(failure), lines, dialect.error_body(failure, request_id)

    # What the steps use.

    def refuse_exchange(self, exchange: Exchange, failure: Failure, request_id: str) -> None:
        """Answer a request that never became a plan, and account for it."""
        access = self.engine.live.snapshot.access
        client = client_of(exchange, access)
        if failure.kind is failures.UNKNOWN_KEY:
            failure = self._doorkeeper.wrong_key(client, failure, access)
        status = status_of(failure)
        dialect = _dialect_of(exchange.head)
        lines = dialect.error_headers(failure) + id_lines(request_id)
        lines += cors_lines(exchange.head.headers, access)
        exchange.send(status, lines, dialect.error_body(failure, request_id))
        self._record_plain(exchange.head, client, request_id, status, failure, received_at=exchange.received_at)

    def _answer(self, exchange: Exchange, call: Call, entry: AdmittedHead, request_id: str) -> ClientAnswer:
        log = RequestLog(
            request_id=request_id, received_at=exchange.received_at, key=entry.grant.virtual_key, bell=Bell()
        )
        access = entry.snapshot.access
        lines = cors_lines(exchange.head.headers, access) if access.origins else b""
        return ClientAnswer(self.engine, exchange, call, log, lines)

    def _start(self, coroutine: Coroutine[Suspension, None, None], exchange: Exchange) -> None:
        task = EagerTask(coroutine, Cancelled)
        exchange.on_cancel = task.cancel
        task.resume()

    async def _serve_large(
        self, exchange: Exchange, entry: AdmittedHead, parse: Parse, body: bytes, request_id: str
    ) -> None:
        """Read a large body beside the loop, then serve it like any other."""
        try:
            call = await self._beside.call(parse, entry.asked, body)
            if entry.asked.content_encoding:
                exchange.hold_body(call.size)
        except Refusal as refusal:
            self.refuse_exchange(exchange, refusal.failure, request_id)
            return
        except Cancelled:
            self._leave(exchange, request_id)
            return
        except Exception:  # whatever it is, the client must not wait for an answer
            self.refuse_exchange(exchange, BROKEN, request_id)
            raise
        await serve(self.engine, self._answer(exchange, call, entry, request_id))

    async def _serve_upload(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """Find out what an upload is for, then serve it like any other call."""
        try:
            snapshot = entry.snapshot
            upload = UploadRelay(exchange, entry.asked, snapshot.routing.commit_buffer, finds_state=is_shared(snapshot))
            call = await upload.find_call()
        except Refusal as refusal:
            self.refuse_exchange(exchange, refusal.failure, request_id)
            return
        except Cancelled:
            self._leave(exchange, request_id)
            return
        await serve(self.engine, self._answer(exchange, call, entry, request_id), upload)

    def _leave(self, exchange: Exchange, request_id: str) -> None:
        """A request was cancelled before it became a plan."""
        if exchange.is_closed:
            client = client_of(exchange, self.engine.live.snapshot.access)
            received_at = exchange.received_at
            self._record_plain(exchange.head, client, request_id, GONE.kind.status, GONE, received_at=received_at)
        else:
            self.refuse_exchange(exchange, ASK_AGAIN, request_id)

    def _enter(self, head: Head) -> AdmittedHead:
        """Read and admit a head. Raises `Refusal`."""
        snapshot = self.engine.live.snapshot
        entry = head.derived
        if type(entry) is AdmittedHead and entry.snapshot is snapshot:
            return entry
        if self._snapshot is not snapshot or len(self._entries) >= MAX_ENTRIES:
            self._entries, self._snapshot = {}, snapshot
            self._names = (*names_read(snapshot.key_headers), b"host", b"origin")
        # Most of what tells heads apart says nothing here: the id a proxy gives to each request, for one.
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
            # A key that is not known here may have been made since: control would know.
            raise Refusal(_CUT_OFF if self.engine.live.is_cut_off else _presented(grant, asked.credential))
        mode, key = _body_mode(asked), grant.virtual_key
        expires_at = key.expires_at if key is not None and key.expires_at is not None else INFINITY
        parse = asked.api.parse if mode is BodyMode.BUFFER else None
        admitted = AdmittedHead(snapshot, asked, grant, mode, parse, expires_at=expires_at)
        if asked.content_encoding and parse is not None:
            return replace(admitted, parse=partial(_parse_encoded, parse), most_small=LARGE_FROM_BYTES)
        return admitted

    def _check_times(self, entry: AdmittedHead) -> None:
        """Raises `Refusal` for a key that has expired, and when the configuration is too old to be trusted."""
        if self.engine.live.is_stale:
            raise Refusal(_STALE)
        expired = check_time(entry.grant.virtual_key, time())
        if expired is not None:
            raise Refusal(expired)

    def _serve_otherwise(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """What has no body to parse: an upload, or a question to the gateway itself. Raises `Refusal`."""
        if exchange.head.mode is BodyMode.STREAM:
            self._start(self._serve_upload(exchange, entry, request_id), exchange)
        else:
            self._answer_itself(exchange, entry, request_id)

    def _answer_itself(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        if self._models.snapshot is not entry.snapshot:
            self._models = ModelList(entry.snapshot)
        body = self._models.answer(entry.grant.virtual_key, entry.asked.head.path)
        lines = _JSON + id_lines(request_id)
        access = entry.snapshot.access
        exchange.send(200, lines + cors_lines(exchange.head.headers, access), body)
        client = client_of(exchange, access)
        self._record_plain(exchange.head, client, request_id, 200, None, received_at=exchange.received_at)

    def _is_preflight(self, head: Head) -> bool:
        """Whether a browser asks if a web page may call, and it may."""
        if head.method != b"OPTIONS" or b"access-control-request-method" not in head.headers:
            return False
        return bool(cors_lines(head.headers, self.engine.live.snapshot.access))

    def _answer_health(self, exchange: Exchange) -> None:
        is_asked_ready = exchange.head.path == b"/readyz"
        if is_asked_ready and self.is_draining:
            exchange.send(503, _JSON, b'{"status":"draining"}')
        elif is_asked_ready and self.engine.live.is_stale:
            exchange.send(503, _JSON, b'{"status":"stale"}')
        else:
            digest = self.engine.live.snapshot.digest[:12].encode()
            exchange.send(200, _JSON, b'{"status":"ok","config":"%b"}' % digest)

    def _record_plain(
        self,
        head: Head | None,
        client: str,
        request_id: str,
        status: int,
        failure: Failure | None,
        *,
        received_at: float,
    ) -> None:
        """Account for a request that never became a plan; without a head it has neither method nor path."""
        duration_us = int((monotonic() - received_at) * 1e6)
        key, is_let_in = None, False
        if (
            head is not None
            and isinstance(head.derived, AdmittedHead)
            and head.derived.snapshot is self.engine.live.snapshot
        ):
            key, is_let_in = head.derived.grant.virtual_key, True
        is_kept = is_let_in or self._doorkeeper.keeps()
        record = RequestRecord(
            time=time(),
            request_id=request_id,
            method=head.method.decode("ascii", "replace") if head is not None else "",
            path=logged_path(head.path) if head is not None else "",
            status=status,
            duration_us=duration_us,
            gateway_us=duration_us,
        )
        if failure is not None:
            record.code = failure.kind.code
            record.message = failure.message
        if key is not None:
            record.virtual_key = key.name
            record.team = key.team
            record.customer = key.customer
            record.labels = key.labels
        if head is not None:
            note_client(record, head, client)
        record.client = client
        if is_kept and not is_let_in:
            record.left_out = self._doorkeeper.left_out()
        self.engine.accounts.request(record, is_kept=is_kept)


def _dialect_of(head: Head | None) -> Dialect:
    """The dialect to tell a client of a failure in."""
    entry = head.derived if head is not None else None
    return DIALECTS[entry.asked.head.dialect] if isinstance(entry, AdmittedHead) else COMMON


def _presented(failure: Failure, credential: bytes | None) -> Failure:
    """A refusal that says which key was presented, by the beginning of its digest."""
    if credential is None:
        return failure
    return replace(
        failure, message=f"{failure.message}; the SHA-256 of the one presented begins {credential.hex()[:8]}"
    )


_CUT_OFF = Failure(
    failures.CONTROL_UNAVAILABLE, "this virtual key cannot be checked now: the control process cannot be reached"
)
_STALE = Failure(
    failures.SNAPSHOT_STALE,
    "the control process has been out of reach for longer than governance.max_stale_s, so the configuration here "
    "may no longer hold",
)
_HEALTH = frozenset({b"/healthz", b"/readyz"})


_MARKED = BYTE_ORDER_MARK[:1]


def _parse_encoded(parse: Parse, asked: ParsedHead, body: bytes) -> Call:
    """Raises `Refusal`."""
    return parse(asked, decoded(body, asked.content_encoding).removeprefix(BYTE_ORDER_MARK))


def _body_mode(asked: ParsedHead) -> BodyMode:
    """Only forms, and what is kept as a file, are passed on unread. All else is read as JSON, whatever it calls itself:
    nothing reaches a provider that was not understood. Raises `Refusal` for what is to be passed on, and compressed."""
    if asked.api.body != "stream" or asked.head.method in ("GET", "HEAD"):
        return BodyMode.BUFFER
    media_type = asked.head.content_type.partition(";")[0].strip().lower()
    is_file = asked.api.operation == "file" and media_type not in ("", "application/json")
    if not is_file and media_type != "multipart/form-data":
        return BodyMode.BUFFER
    refuse_encoded(asked.content_encoding)
    return BodyMode.STREAM
