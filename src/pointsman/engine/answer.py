"""The one answer that a request's client receives: an attempt's answer, or an error of the gateway."""

from collections.abc import Callable
from time import monotonic

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.plans import GiveUp
from pointsman.engine.attempt import Attempt
from pointsman.engine.continuation import client_sink
from pointsman.engine.engine import Engine
from pointsman.engine.heads import AdmittedHead
from pointsman.engine.passage import AnswerPassage
from pointsman.engine.request_log import RequestLog
from pointsman.engine.responses import answer_lines, dialect_id_line, provider_lines, timing_lines
from pointsman.engine.sink import Sink, sink_to_client
from pointsman.transport.http_exchange import Exchange
from pointsman.wire.callers import client_address, cors_lines
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.errors import status_of

BROKEN = failures.Failure(failures.INTERNAL, "the gateway failed; see its log")
GONE = failures.Failure(failures.CLIENT_GONE, "the client disconnected")
ENDING = failures.Failure(
    failures.SHUTTING_DOWN, "the gateway shut down before the answer was complete; retry the request"
)
RETRY_LATER = replace(ENDING, retry_after_s=1.0)


class ClientAnswer(Struct, eq=False):
    """The answer to one exchange, which is sent once. `lines` are header lines that every answer to it has. `status` is
    0 until the answer begins."""

    engine: Engine
    exchange: Exchange
    call: Call
    log: RequestLog[Attempt]
    lines: bytes
    status: int = 0
    wrap: Callable[[Sink], Sink] | None = None  # it may copy the answer
    sink: Sink | None = None  # of a stream that has begun
    to_client: Sink | None = None  # in place of the exchange, for a client that does not take events

    def wrap_by(self, wrap: Callable[[Sink], Sink]) -> None:
        """Lead the answer through one more sink on its way to the client."""
        inner = self.wrap
        self.wrap = wrap if inner is None else lambda sink: wrap(inner(sink))

    def claim(self, receiver: AnswerPassage, length: int | None) -> Sink:
        """Begin the client's answer when a streamed attempt commits. Return the sink for its body."""
        attempt = next(one for one in self.log.running if one.receiver is receiver)
        attempt.note_commit()
        if self.sink is not None:  # it goes on with a stream that broke off
            self.log.served_by, self.exchange.on_drain = attempt, receiver.on_drain
            return self.sink
        sink, lines = self._claim(attempt)
        self.sink, self.exchange.on_drain = sink, receiver.on_drain
        sink.start(self.status, lines, length)
        return sink

    def finish(self, attempt: Attempt, failure: failures.Failure | None) -> failures.Failure | None:
        """End the client's answer after its attempt has ended and is settled. Return the failure if the answer is
        incomplete."""
        receiver = attempt.receiver
        if failure is not None and self.exchange.is_started:
            self._end_incomplete(attempt, failure)
        elif failure is not None:
            self.reject(GiveUp(failure))
        elif receiver.body is not None:
            sink, lines = self._claim(attempt)
            sink.send(self.status, lines, receiver.body)
        return failure

    def give_up(self, step: GiveUp) -> failures.Failure | None:
        """Send the failure of the plan, or the last refusal that was held back for a better answer. A stream that could
        not be continued ends with the failure that broke it off. Return the failure."""
        going_on = self.log.continuation
        if going_on is not None:
            self.log.served_by = going_on.broken
            return self.finish(going_on.broken, going_on.failure)
        refused = self.log.refused
        return self.reject(step) if refused is None else self.finish(refused, None)

    def reject(self, step: GiveUp) -> failures.Failure:
        """Send the failure of the request to its client. Return the failure."""
        failure = step.failure
        self.status = status_of(failure)
        should_retry = step.should_retry if self.log.records else None
        dialect = DIALECTS[self.call.head.dialect]
        lines = dialect.error_headers(failure, should_retry) + self._lines()
        self.exchange.send(self.status, lines, dialect.error_body(failure, self.log.request_id))
        return failure

    def send_own(self) -> bool:
        """Send the gateway's own answer to a call that no provider can express. Return whether there is one."""
        own_answer = DIALECTS[self.call.head.dialect].own_answer
        body = own_answer(self.call) if own_answer is not None else None
        if body is None:
            return False
        self.status = 200
        self.exchange.send(self.status, b"content-type: application/json\r\n" + self._lines(), body)
        return True

    def client_address(self) -> str:
        """Return the address of the client, which may be behind trusted proxies."""
        exchange = self.exchange
        return client_address(exchange.peer, exchange.head.headers.get(b"x-forwarded-for"), self.call.snapshot.access)

    def end_cancelled(self) -> failures.Failure:
        """End the answer to a request that its client or the gateway cancelled. Return the reason."""
        plan, attempt = self.log.plan, self.log.served_by
        if self.exchange.is_closed:
            self.status = GONE.kind.status
            return GONE
        going_on = self.log.continuation
        if going_on is not None and (attempt is None or not attempt.has_committed):
            attempt = self.log.served_by = going_on.broken
        if self.exchange.is_started and attempt is not None:
            self._end_incomplete(attempt, ENDING)
        else:
            may_be_stored = plan is not None and plan.pinned and bool(self.log.records)
            self.reject(GiveUp(RETRY_LATER, should_retry=not may_be_stored))
        return ENDING

    def fail_with_internal_error(self) -> None:
        """End the answer after an internal error. The client must neither wait for the answer nor take it for
        complete."""
        if self.exchange.is_started:
            self.exchange.abort()
        else:
            self.reject(GiveUp(BROKEN))

    def _claim(self, attempt: Attempt) -> tuple[Sink, bytes]:
        """Select the attempt that answers, and end all others. Return the sink and the header lines for its answer."""
        log, plan, receiver = self.log, self.log.plan, attempt.receiver
        self.status = receiver.status or 200
        if log.served_by is not attempt:
            log.served_by = attempt
        for other in log.running[:]:
            if other is not attempt:
                other.lose()
        lines = provider_lines(receiver.headers, is_stream=receiver.is_stream) + self._lines(attempt)
        self.to_client = sink_to_client(self.exchange, self.call)
        sink: Sink = self.to_client if self.wrap is None else self.wrap(self.to_client)
        if plan is not None:
            sink = client_sink(sink, self.call, plan, receiver)
        return sink, lines

    def _end_incomplete(self, attempt: Attempt, failure: failures.Failure) -> None:
        """End an answer that cannot be completed after its commit. Send an error event in the client's dialect, or
        abort the connection if the answer is not a stream."""
        event = attempt.receiver.error_event(failure, self.log.request_id)
        if event is not None:
            sink: Sink = self.to_client or self.exchange
            sink.write(event)
            sink.end()
        else:
            self.exchange.abort()

    def _lines(self, attempt: Attempt | None = None) -> bytes:
        """Return the gateway's own header lines. `attempt` is the attempt that answers, if one does."""
        log, engine, snapshot, served_by = self.log, self.engine, self.call.snapshot, self.log.served_by
        now, running, records = monotonic(), log.running, log.records
        own_s, cost_nano = now - log.received_at - log.waited_s, 0
        if running:  # the attempt that commits; the total cost is not known yet
            own_s -= now - log.busy_since
        else:
            for record in records:
                cost_nano += record.cost_nano
        candidate = served_by.step.choice.candidate if served_by is not None else None
        lines, count = self.lines, len(records) + len(running)
        if attempt is None or attempt.shortened is None:
            lines += answer_lines(log.request_id, candidate, count, own_s, cost_nano)
        else:
            bound = attempt.shortened.call.max_tokens
            lines += answer_lines(log.request_id, candidate, count, own_s, cost_nano, max_tokens=bound)
        if attempt is not None and attempt.dropped:
            lines += b"x-pointsman-dropped: %b\r\n" % ", ".join(attempt.dropped).encode("ascii")
        if log.hedges:
            timings = [(one.role, f"{one.provider}/{one.model}", one.duration_us / 1e6) for one in records]
            timings += [(one.role, one.step.choice.candidate.id, now - one.started_at) for one in running]
            lines += timing_lines(timings)
        if snapshot.limit_headers and log.key is not None:
            lines += engine.limit_headers.lines(engine.billing, snapshot, log.key, candidate)
        return lines


def answer_for(engine: Engine, exchange: Exchange, call: Call, entry: AdmittedHead, request_id: str) -> ClientAnswer:
    """Return the answer to an admitted request, with no attempt yet."""
    key, record = entry.admission.virtual_key, entry.record
    log: RequestLog[Attempt] = RequestLog(
        request_id=request_id, received_at=exchange.received_at, key=key, record=record
    )
    access, headers = entry.snapshot.access, exchange.head.headers
    if b"traceparent" in headers and entry.snapshot.tracing.follows_clients:
        log.join_trace(headers)
    lines = cors_lines(headers, access) if access.origins else b""
    lines += dialect_id_line(DIALECTS[call.head.dialect], request_id)
    return ClientAnswer(engine, exchange, call, log, lines)
