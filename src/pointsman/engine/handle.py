"""One request, from its head to its record: the steps of docs/architecture.md in order.

`PublicApi` is the handler of the public HTTP server.
"""

from collections.abc import Coroutine
from time import monotonic, time

from pointsman.domain.failures import Failure, Rejection
from pointsman.engine.answer import BROKEN, GONE, RETRY_LATER, answer_for
from pointsman.engine.background import BackgroundThread
from pointsman.engine.batch_uploads import relay_for
from pointsman.engine.child_keys import KeyClient, is_child_key, make_child
from pointsman.engine.engine import Engine
from pointsman.engine.feedback import is_feedback, take_feedback
from pointsman.engine.heads import BODY_MARK, AdmittedHead, AdmittedHeads
from pointsman.engine.ids import RequestIds
from pointsman.engine.model_list import ModelList, ModelsAsked
from pointsman.engine.plain import PlainAnswers
from pointsman.engine.serve import serve
from pointsman.engine.tasks import Cancelled, EagerTask, Suspension
from pointsman.transport.http_head import BodyMode, Head
from pointsman.transport.http_server import Exchange

_JSON = b"content-type: application/json\r\n"


class PublicApi:
    """Serves the public API."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.ids = RequestIds(engine.rng)
        self.is_draining = False
        self._background = BackgroundThread()
        self._heads = AdmittedHeads(engine.live)
        self.callers = self._heads.callers
        self._plain = PlainAnswers(engine.live, engine.request_metrics)
        self._models = ModelList(engine.live.snapshot)
        self.key_client: KeyClient | None = None  # absent without control

    def take_models(self, models: ModelList) -> None:
        """Use a list of models that was computed in advance for the present snapshot or the next one."""
        self._models = models
        self._heads.forget()

    def forget_heads(self) -> None:
        """Admit every head anew, since virtual keys have changed."""
        self._heads.forget()

    def close(self) -> None:
        """Release resources: no more requests follow."""
        for copy in list(self.engine.copies):
            copy.cancel()
        self._background.close()
        self.callers.key_sets.close()
        self.engine.prompts.close()

    # Called by the server.

    def accept(self, head: Head) -> BodyMode:
        """Return how the body of a request with this head is read. Raises `Rejection`."""
        if (head.path in _OWN and _is_own(head)) or self._plain.is_preflight(head):
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
                if _is_probe(head):
                    exchange.send(200, b"", b"")
                    return
                if self._plain.is_preflight(head):
                    exchange.send(*self._plain.preflight(head))
                    return
                entry = self._heads.enter(head)
            if entry.is_checked or self.engine.live.checks_all:
                entry = self._heads.check(entry, exchange)
            parse = entry.parse
            if parse is None:
                self._serve_unparsed(exchange, entry, request_id)
                return
            body = exchange.body
            if body[:1] == _MARKED:
                body = body.removeprefix(BODY_MARK)
            if len(body) > entry.most_small:
                self._start(self._serve_large(exchange, entry, body, request_id), exchange)
                return
            call = parse(entry.parsed, body)
        except Rejection as rejection:
            self._reject(exchange, rejection.failure, request_id)
            return
        self._start(serve(self.engine, answer_for(self.engine, exchange, call, entry, request_id)), exchange)

    def compose_rejection(self, failure: Failure, head: Head | None, peer: str | None) -> tuple[int, bytes, bytes]:
        """Return the answer to a request that is rejected before its body is read, or to bytes that are not a
        request."""
        return self._plain.reject(failure, head, peer, self.ids.new(time()), received_at=monotonic())

    # Used by the steps.

    def _reject(self, exchange: Exchange, failure: Failure, request_id: str) -> None:
        """Reject a request that has no plan."""
        head, received_at = exchange.head, exchange.received_at
        exchange.send(*self._plain.reject(failure, head, exchange.peer, request_id, received_at=received_at))

    def _start(self, coroutine: Coroutine[Suspension, None, None], exchange: Exchange) -> None:
        task = EagerTask(coroutine, Cancelled)
        exchange.on_cancel = task.cancel
        task.resume()

    async def _serve_large(self, exchange: Exchange, entry: AdmittedHead, body: bytes, request_id: str) -> None:
        """Parse a large body in the background thread, then serve the request like any other."""
        parse = entry.parse
        assert parse is not None
        try:
            call = await self._background.call(parse, entry.parsed, body)
            if entry.parsed.content_encoding:
                exchange.count_buffered(call.size)
        except Rejection as rejection:
            self._reject(exchange, rejection.failure, request_id)
            return
        except Cancelled:
            self._end_cancelled(exchange, request_id)
            return
        except Exception:  # after any error, the client must not wait for an answer
            self._reject(exchange, BROKEN, request_id)
            raise
        await serve(self.engine, answer_for(self.engine, exchange, call, entry, request_id))

    async def _serve_upload(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """Determine the call of an upload, then serve it like any other call."""
        try:
            upload = relay_for(exchange, entry)
            call = await upload.find_call()
            whole = upload.whole(call)
        except Rejection as rejection:
            self._reject(exchange, rejection.failure, request_id)
            return
        except Cancelled:
            self._end_cancelled(exchange, request_id)
            return
        answer = answer_for(self.engine, exchange, whole or call, entry, request_id)
        await serve(self.engine, answer, upload if whole is None else None)

    async def _make_child(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """Answer a request for a child key."""
        try:
            body = await make_child(entry, bytes(exchange.body), self.key_client)
        except Rejection as rejection:
            self._reject(exchange, rejection.failure, request_id)
        except Cancelled:
            self._end_cancelled(exchange, request_id)
        except Exception:  # after any error, the client must not wait for an answer
            self._reject(exchange, BROKEN, request_id)
            raise
        else:
            head, received_at = exchange.head, exchange.received_at
            exchange.send(*self._plain.answer(head, exchange.peer, request_id, body, received_at=received_at))

    def _end_cancelled(self, exchange: Exchange, request_id: str) -> None:
        """End a request that was cancelled before it had a plan."""
        if exchange.is_closed:
            self._plain.note_gone(exchange.head, exchange.peer, request_id, GONE, exchange.received_at)
        else:
            self._reject(exchange, RETRY_LATER, request_id)

    def _serve_unparsed(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        """Serve an upload, or a request that the gateway answers itself. Raises `Rejection`."""
        if exchange.head.mode is BodyMode.STREAM:
            self._start(self._serve_upload(exchange, entry, request_id), exchange)
        elif is_feedback(entry):
            exchange.send(*take_feedback(exchange, entry, request_id, self._plain))
        elif is_child_key(entry):
            self._start(self._make_child(exchange, entry, request_id), exchange)
        else:
            self._answer_models(exchange, entry, request_id)

    def _answer_models(self, exchange: Exchange, entry: AdmittedHead, request_id: str) -> None:
        if self._models.snapshot is not entry.snapshot:
            self._models = ModelList(entry.snapshot)
        asked = entry.parsed.head
        key = entry.admission.virtual_key
        body = self._models.answer(ModelsAsked(key, asked.path, asked.dialect, asked.require, time()))
        head, received_at = exchange.head, exchange.received_at
        exchange.send(*self._plain.answer(head, exchange.peer, request_id, body, received_at=received_at))

    def _answer_health(self, exchange: Exchange) -> None:
        is_readiness = exchange.head.path == b"/readyz"
        if is_readiness and self.is_draining:
            exchange.send(503, _JSON, b'{"status":"draining"}')
        elif is_readiness and self.engine.live.is_stale:
            exchange.send(503, _JSON, b'{"status":"stale"}')
        else:
            digest = self.engine.live.snapshot.digest[:12].encode()
            exchange.send(200, _JSON, b'{"status":"ok","config":"%b"}' % digest)


def _is_own(head: Head) -> bool:
    return head.path in _HEALTH or _is_probe(head)


def _is_probe(head: Head) -> bool:
    """Return whether a client checks that its base address responds, as Claude Code does at its start."""
    return head.method == b"HEAD" and head.path in _BASES


_HEALTH = frozenset({b"/healthz", b"/readyz"})
_BASES = frozenset({b"/", b"/anthropic", b"/anthropic/", b"/api/hello", b"/anthropic/api/hello"})
_OWN = _HEALTH | _BASES
_MARKED = BODY_MARK[:1]
