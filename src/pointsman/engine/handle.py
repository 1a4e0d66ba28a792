"""One request, from its head to its account: the steps of docs/architecture.md in order.

`PublicApi` is the handler of the public HTTP server.
"""

from collections.abc import Coroutine
from time import monotonic, time

from pointsman.domain.failures import Failure, Rejection
from pointsman.engine.answer import ASK_AGAIN, BROKEN, GONE, answer_for
from pointsman.engine.background import BackgroundThread
from pointsman.engine.engine import Engine
from pointsman.engine.heads import INFINITY, AdmittedHead, AdmittedHeads
from pointsman.engine.ids import RequestIds
from pointsman.engine.model_list import ModelList
from pointsman.engine.plain import PlainAnswers
from pointsman.engine.serve import Cancelled, serve
from pointsman.engine.tasks import EagerTask, Suspension
from pointsman.engine.uploads import relay_for
from pointsman.transport.http_head import BodyMode, Head
from pointsman.transport.http_server import Exchange
from pointsman.wire.paths import Parse
from pointsman.wire.sse import BYTE_ORDER_MARK

_JSON = b"content-type: application/json\r\n"


class PublicApi:
    """Serves the public API."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ids = RequestIds(engine.rng)
        self.is_draining = False
        self._background = BackgroundThread()
        self._heads = AdmittedHeads(engine.live)
        self._plain = PlainAnswers(engine.live, engine.request_metrics)
        self._models = ModelList(engine.live.snapshot)

    def take_models(self, models: ModelList) -> None:
        """Take the list of models of a snapshot that is in force, or soon will be; it was computed elsewhere."""
        self._models = models
        self._heads.forget()

    def close(self) -> None:
        """Release resources: no more requests follow."""
        self._background.close()

    # Called by the server.

    def accept(self, head: Head) -> BodyMode:
        """Decide from the head whether and how its body is read. Raises `Rejection`."""
        if head.path in _HEALTH or self._plain.is_preflight(head):
            return BodyMode.BUFFER
        return self._heads.enter(head).mode

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
                if self._plain.is_preflight(head):
                    exchange.send(*self._plain.preflight(head))
                    return
                entry = self._heads.enter(head)
            if entry.expires_at < INFINITY or self.engine.live.is_stale:
                self._heads.check_times(entry)
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
        except Rejection as refusal:
            self._refuse(exchange, refusal.failure, request_id)
            return
        self._start(serve(self.engine, answer_for(self.engine, exchange, call, entry, request_id)), exchange)

    def refuse(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        """Return the answer to a request that is refused before its body is read, or to bytes that are not a
        request."""
        return self._plain.refuse(failure, head, peer, self.ids.new(time()), received_at=monotonic())

    # Used by the steps.

    def _refuse(self, exchange: Exchange, failure: Failure, request_id: str) -> None:
        """Answer a request that never became a plan."""
        head, received_at = exchange.head, exchange.received_at
        exchange.send(*self._plain.refuse(failure, head, exchange.peer, request_id, received_at=received_at))

    def _start(self, coroutine: Coroutine[Suspension, None, None], exchange: Exchange) -> None:
        task = EagerTask(coroutine, Cancelled)
        exchange.on_cancel = task.cancel
        task.resume()

    async def _serve_large(
        self, exchange: Exchange, entry: AdmittedHead, parse: Parse, body: bytes, request_id: str
    ) -> None:
        """Read a large body beside the loop, then serve it like any other."""
        try:
            call = await self._background.call(parse, entry.asked, body)
            if entry.asked.content_encoding:
                exchange.hold_body(call.size)
        except Rejection as refusal:
            self._refuse(exchange, refusal.failure, request_id)
            return
        except Cancelled:
            self._leave(exchange, request_id)
            return
        except Exception:  # after any error, the client must not wait for an answer
            self._refuse(exchange, BROKEN, request_id)
            raise
        await serve(self.engine, answer_for(self.engine, exchange, call, entry, request_id))

    async def _serve_upload(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """Determine the call of an upload, then serve it like any other call."""
        try:
            upload = relay_for(exchange, entry)
            call = await upload.find_call()
        except Rejection as refusal:
            self._refuse(exchange, refusal.failure, request_id)
            return
        except Cancelled:
            self._leave(exchange, request_id)
            return
        await serve(self.engine, answer_for(self.engine, exchange, call, entry, request_id), upload)

    def _leave(self, exchange: Exchange, request_id: str) -> None:
        """Handle a request that was cancelled before it became a plan."""
        if exchange.is_closed:
            self._plain.note_gone(exchange.head, exchange.peer, request_id, GONE, exchange.received_at)
        else:
            self._refuse(exchange, ASK_AGAIN, request_id)

    def _serve_otherwise(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """Serve a request without a body to parse: an upload, or a question to the gateway. Raises `Rejection`."""
        if exchange.head.mode is BodyMode.STREAM:
            self._start(self._serve_upload(exchange, entry, request_id), exchange)
        else:
            self._answer_itself(exchange, entry, request_id)

    def _answer_itself(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        if self._models.snapshot is not entry.snapshot:
            self._models = ModelList(entry.snapshot)
        body = self._models.answer(entry.grant.virtual_key, entry.asked.head.path)
        head, received_at = exchange.head, exchange.received_at
        exchange.send(*self._plain.answer(head, exchange.peer, request_id, body, received_at=received_at))

    def _answer_health(self, exchange: Exchange) -> None:
        is_asked_ready = exchange.head.path == b"/readyz"
        if is_asked_ready and self.is_draining:
            exchange.send(503, _JSON, b'{"status":"draining"}')
        elif is_asked_ready and self.engine.live.is_stale:
            exchange.send(503, _JSON, b'{"status":"stale"}')
        else:
            digest = self.engine.live.snapshot.digest[:12].encode()
            exchange.send(200, _JSON, b'{"status":"ok","config":"%b"}' % digest)


_HEALTH = frozenset({b"/healthz", b"/readyz"})
_MARKED = BYTE_ORDER_MARK[:1]
