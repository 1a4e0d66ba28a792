"""A simulated provider: a server on its own port, with its state, bill and controls."""

import asyncio
import random
import socket
import ssl
import time
from collections import deque
from time import monotonic
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Raw, Struct

from pointsman.simulate import faults as fault_names
from pointsman.simulate import gemini_errors
from pointsman.simulate.answers import NOT_JSON, Answer, Dialect, Rejected, Request, RequestContext, error, json_answer
from pointsman.simulate.anthropic_errors import anthropic_error, named
from pointsman.simulate.bill import Bill, Entry
from pointsman.simulate.connection import Connection
from pointsman.simulate.content_faults import replacement_error
from pointsman.simulate.endpoints import Endpoints, dialect_of, key_of
from pointsman.simulate.faults import Faults, Schedule, combine, parse
from pointsman.simulate.gemini import model_of, without_streaming
from pointsman.simulate.gemini_errors import google_error
from pointsman.simulate.limits import Limiter
from pointsman.simulate.prompt_cache import PromptCache
from pointsman.simulate.script import Script, compose
from pointsman.simulate.settings import ScheduledFault, Settings

_CONTROL = "/_simulate/"
_BACKLOG = 4096
_REQUEST_ID_HEADERS = ("x-request-id", "x-pointsman-request-id")
_ATTEMPT_ID_HEADERS = ("x-client-request-id", "x-pointsman-attempt-id", "idempotency-key")


class Counters(Struct):
    """`requests_received` excludes requests to the control paths."""

    connections_accepted: int = 0
    requests_received: int = 0
    requests_in_progress: int = 0


class FaultUpdate(Struct, forbid_unknown_fields=True):
    """The body of `POST /_simulate/faults`. `schedule` replaces the schedule and restarts its count of requests."""

    fault: str | None = None
    schedule: tuple[ScheduledFault, ...] | None = None


class SimulatedProvider:
    """A server on 127.0.0.1 with the APIs of OpenAI, Anthropic and Gemini.

    ``async with SimulatedProvider(settings) as provider`` serves on the running loop; ``provider.base_url`` ends in
    ``/v1``. With `ssl_context` it uses TLS. `requests` holds the latest requests, oldest first.
    """

    def __init__(
        self, settings: Settings | None = None, *, port: int = 0, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        """Raise `ValueError` for an unknown fault in the settings."""
        self.settings = settings or Settings()
        self.bill = Bill()
        self.counters = Counters()
        self.requests: deque[Request] = deque(maxlen=self.settings.kept_requests)
        self.connections: set[Connection] = set()
        self.port = port
        self._ssl_context = ssl_context
        self._schedule = Schedule(self.settings.schedule)
        self._model_faults = {model: parse(text) for model, text in self.settings.model_faults.items()}
        self._path_faults = {path: parse(text) for path, text in self.settings.path_faults.items()}
        self._key_faults = {key: parse(text) for key, text in self.settings.keys.items()}
        self._fault = Faults()
        self._first_index = 0  # base of the schedule's request numbers
        self._placeholder: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._attaching: asyncio.Task[None] | None = None
        self._endpoints = Endpoints()
        self.limiter = Limiter(self.settings)
        self._cache = PromptCache(self.settings.cached_prompts) if self.settings.cached_prompts else None

    @property
    def address(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client. One for Anthropic's has no `/v1`."""
        return self.address + "/v1"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind the port and listen."""
        # A bound socket that does not listen keeps the port while it refuses connections.
        self._placeholder = _bind(self.port)
        self.port = self._placeholder.getsockname()[1]
        self._first_index = self.counters.requests_received
        self._listen_or_refuse()
        if self._attaching is not None:
            await self._attaching

    async def stop(self) -> None:
        """Stop listening and cut every connection. Exchanges in progress count as failed."""
        self._unlisten()
        if self._attaching is not None:
            await self._attaching
        self.kill_connections()
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        await asyncio.sleep(0)  # the transports report their end in this turn of the loop

    def kill_connections(self) -> None:
        """Reset every connection at once, as if the process had died."""
        for connection in list(self.connections):
            connection.abort()

    def set_fault(self, text: str | None) -> None:
        """Activate faults for all requests until the next call; `None` ends them. When this method returns, the
        provider already refuses connections, or accepts them again. Raise `ValueError` for an unknown fault."""
        self._fault = parse(text or "")
        self._listen_or_refuse()

    def set_schedule(self, schedule: tuple[ScheduledFault, ...]) -> None:
        """Replace the schedule; its request numbers count from now. Raise `ValueError` for an unknown fault."""
        self._schedule = Schedule(schedule)
        self._first_index = self.counters.requests_received

    def reset(self) -> None:
        """Clear the bill, the counters, and the stored requests, files and responses; restart the schedule. Keep the
        settings and the fault of `set_fault`."""
        self.bill.clear()
        self.requests.clear()
        self._endpoints.clear()
        if self._cache is not None:
            self._cache.clear()
        self.counters = Counters(requests_in_progress=self.counters.requests_in_progress)
        self._first_index = 0

    # Methods for connections.

    def accept(self, connection: Connection) -> None:
        """Count a new connection."""
        self.connections.add(connection)
        self.counters.connections_accepted += 1

    def serve(self, request: Request) -> tuple[Script, Entry | None]:
        """Answer a request."""
        rng = random.Random()
        if request.path.startswith(_CONTROL):
            answer = self._control(request)
            return compose(answer, Faults(), Settings(), rng, closes=not request.keep_alive), None
        index = self.counters.requests_received
        self.counters.requests_received += 1
        self.counters.requests_in_progress += 1
        self.requests.append(request)
        rng.seed(self.settings.seed * 1_000_003 + index)
        entry = self._open_entry(request, index)
        answer, faults = self._answer(request, entry, rng)
        self._bill_lines()
        entry.faults = dict(faults)
        entry.status = answer.status
        entry.stream = answer.events is not None
        entry.tokens_in = answer.tokens_in
        entry.tokens_cached = answer.tokens_cached
        entry.tokens_cache_write = answer.tokens_cache_write
        entry.tokens_out = answer.tokens_out
        entry.fees_nano = answer.fees_nano
        return compose(answer, faults, self.settings, rng, closes=not request.keep_alive), entry

    def settle(self, entry: Entry | None, *, is_good: bool, peer_closed_at: float | None) -> None:
        """Close the entry of an exchange that has ended."""
        if entry is None:
            return
        self.counters.requests_in_progress -= 1
        entry.ended_at = monotonic()
        entry.peer_closed_at = peer_closed_at
        price = self.settings.prices.get(entry.model, self.settings.price)
        if peer_closed_at is not None:
            self.bill.close(entry, "cancelled", self.settings.bill_cancelled, price)
        elif is_good:
            entry.phase = "after_answer"
            self.bill.close(entry, "complete", "full", price)
        else:
            self.bill.close(entry, "failed", self.settings.bill_failed, price)

    def _bill_lines(self) -> None:
        """Put the lines of batches that were carried out on the bill."""
        executed, self._endpoints.batches.executed = self._endpoints.batches.executed, []
        percent = self.settings.batch_percent
        for line in executed:
            price, answer = self.settings.prices.get(line.model, self.settings.price), line.answer
            entry = Entry(
                index=len(self.bill.entries),
                method="BATCH",
                path=line.path,
                key=line.key,
                received_at=monotonic(),
                model=line.model,
                status=answer.status,
                tokens_in=answer.tokens_in,
                tokens_cached=answer.tokens_cached,
                tokens_out=answer.tokens_out,
                phase="after_answer",
            )
            self.bill.open(entry)
            self.bill.close(entry, "complete", "full", price.at(percent))

    # Requests.

    def _open_entry(self, request: Request, index: int) -> Entry:
        headers = request.headers
        entry = Entry(
            index=index,
            method=request.method,
            path=request.target,
            key=key_of(request),
            received_at=monotonic(),
            request_id=_first_header(headers, _REQUEST_ID_HEADERS),
            attempt_id=_first_header(headers, _ATTEMPT_ID_HEADERS),
        )
        self.bill.open(entry)
        return entry

    def _answer(self, request: Request, entry: Entry, rng: random.Random) -> tuple[Answer, Faults]:
        """Return the answer, without faults in its content and transmission, and the faults."""
        fields, is_json = _fields(request)
        faults = Faults()
        dialect = dialect_of(request.path)
        try:
            faults = self._faults_for(request, entry, fields, rng)
            accepts = self._accepts_key(entry.key)
            answer = replacement_error(faults, dialect) if accepts else _unknown_key(entry.key, dialect)
            if answer is None and not is_json:
                answer = NOT_JSON
            if answer is None:
                if "ignore_stream" in faults:
                    request, fields = _without_streaming(request, fields)
                settings = self.settings
                if self._cache is not None:
                    share = self._cache.share(entry.key, entry.model, fields)
                    settings = msgspec.structs.replace(settings, cached_share=share)
                context = RequestContext(
                    request=request,
                    index=entry.index,
                    key=entry.key,
                    fields=fields,
                    settings=settings,
                    rng=rng,
                    created=int(time.time()),
                    refuses="refused" in faults,
                    filter_at=faults.count("filtered") if "filtered" in faults else None,
                )
                answer = self._endpoints.find(request.method, request.path)(context)
                if entry.model and request.method == "POST":
                    answer = self.limiter.limited(answer, entry.key, entry.model, dialect)
        except Rejected as rejected:
            answer = rejected.answer
        own_id = f"req_{self.settings.name}{entry.index:08d}"
        if dialect == "gemini" and answer.status >= 400:
            answer = gemini_errors.named(answer)
        if dialect != "anthropic":
            return msgspec.structs.replace(answer, headers=[*answer.headers, ("x-request-id", own_id)]), faults
        if answer.status >= 400:
            answer = named(answer, own_id)
        return msgspec.structs.replace(answer, headers=[*answer.headers, ("request-id", own_id)]), faults

    def _accepts_key(self, key: str) -> bool:
        return not self.settings.keys or key in self.settings.keys

    def _faults_for(self, request: Request, entry: Entry, fields: dict[str, Raw], rng: random.Random) -> Faults:
        entry.model = model_of(request.path) or _text(fields.get("model"))
        try:
            return combine(
                [
                    self._schedule.at(entry.index - self._first_index, rng),
                    self._fault,
                    self._path_faults.get(request.path, Faults()),
                    self._model_faults.get(entry.model, Faults()),
                    self._key_faults.get(entry.key, Faults()),
                    parse(_faults_in_body(fields)),
                    parse(request.headers.get(fault_names.HEADER, "")),
                ]
            )
        except ValueError as problem:
            raise Rejected(error(400, str(problem), code="unknown_fault")) from None

    # Control paths.

    def _control(self, request: Request) -> Answer:
        match request.method, request.path.removeprefix(_CONTROL):
            case "GET", "bill":
                return json_answer(
                    {
                        "entries": self.bill.entries,
                        "totals": self.bill.totals(),
                        "counters": self.counters,
                        "now": monotonic(),
                    }
                )
            case "POST", "reset":
                self.reset()
                return json_answer({"ok": True})
            case "POST", "faults":
                return self._update_faults(request.body)
            case _:
                return error(404, f"Invalid URL ({request.method} {request.path})")

    def _update_faults(self, body: bytes) -> Answer:
        try:
            update = msgspec.json.decode(body, type=FaultUpdate)
            parse(update.fault or "")
            if update.schedule is not None:
                self.set_schedule(update.schedule)
        except (ValueError, msgspec.MsgspecError) as problem:
            return error(400, str(problem))
        if update.schedule is None or update.fault is not None:
            # This runs after the answer is sent, because the fault `refuse` also closes this connection.
            asyncio.get_running_loop().call_soon(self.set_fault, update.fault)
        return json_answer({"ok": True})

    # Listening and refusing.

    def _listen_or_refuse(self) -> None:
        if "refuse" in self._fault:
            self._unlisten()
            for connection in list(self.connections):
                connection.close_when_idle()
        elif self._listener is None:
            # The socket listens at once, so that the kernel accepts connections. The loop serves them in its next turn.
            self._listener = _bind(self.port)
            self._listener.listen(_BACKLOG)
            self._attaching = asyncio.get_running_loop().create_task(self._attach(self._listener))

    async def _attach(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self), sock=listener, ssl=self._ssl_context, backlog=_BACKLOG
        )
        if self._listener is listener:
            self._server = server
        else:
            server.close()

    def _unlisten(self) -> None:
        if self._listener is None:
            return
        # A shutdown takes effect before the call returns. A close may wait for the loop.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener = None
        if self._server is not None:
            self._server.close()
            self._server = None


def _unknown_key(key: str, dialect: Dialect) -> Answer:
    if dialect == "anthropic":
        return anthropic_error(401, None if key else "x-api-key header is required")
    if dialect == "gemini":
        return gemini_errors.wrong_key() if key else google_error(403)
    return error(401, "Incorrect API key provided.", code="invalid_api_key")


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind(("127.0.0.1", port))
    return bound


def _fields(request: Request) -> tuple[dict[str, Raw], bool]:
    """Return the top level of a JSON body, and true if the body is valid or not required."""
    if not request.body or request.headers.get("content-type", "").startswith("multipart/"):
        needs_body = request.method == "POST" and not request.path.endswith("/cancel")
        return {}, not needs_body or bool(request.body)
    try:
        return msgspec.json.decode(request.body, type=dict[str, Raw]), True
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}, False


def _without_streaming(request: Request, fields: dict[str, Raw]) -> tuple[Request, dict[str, Raw]]:
    """Return the request and its fields as a server that does not support streaming reads them."""
    if model_of(request.path):
        return without_streaming(request), fields
    read = {name: value for name, value in fields.items() if name not in ("stream", "stream_options")}
    return msgspec.structs.replace(request, body=msgspec.json.encode(read)), read


def _faults_in_body(fields: dict[str, Raw]) -> str:
    """Return the text that names faults in the body, or an empty string."""
    user = _text(fields.get("user"))
    if user.startswith(fault_names.BODY_PREFIX):
        return user.removeprefix(fault_names.BODY_PREFIX)
    if "metadata" in fields:
        try:
            metadata: Any = msgspec.json.decode(fields["metadata"])
        except msgspec.DecodeError:
            return ""
        if isinstance(metadata, dict):
            owner = str(metadata.get("user_id", ""))  # Anthropic's only field
            if owner.startswith(fault_names.BODY_PREFIX):
                return owner.removeprefix(fault_names.BODY_PREFIX)
            return str(metadata.get("fault", ""))
    return ""


def _text(value: Raw | None) -> str:
    if value is None:
        return ""
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _first_header(headers: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((headers[name] for name in names if name in headers), None)
