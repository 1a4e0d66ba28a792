"""The single answer to a request, as its client receives it: from an attempt, or from the gateway itself."""

from time import monotonic

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.plans import GiveUp
from pointsman.engine.attempt import Attempt, RequestLog
from pointsman.engine.engine import Engine
from pointsman.engine.heads import AdmittedHead
from pointsman.engine.passage import AnswerPassage
from pointsman.engine.renaming import Renaming
from pointsman.engine.responses import answer_lines, provider_lines
from pointsman.engine.sink import Sink
from pointsman.transport.http_exchange import Exchange
from pointsman.wire.callers import cors_lines
from pointsman.wire.dialects import DIALECTS
from pointsman.wire.errors import status_of

BROKEN = Failure(failures.INTERNAL, "the gateway failed; see its log")
GONE = Failure(failures.CLIENT_GONE, "the client disconnected")
ENDING = Failure(failures.SHUTTING_DOWN, "the gateway is shutting down and could not wait for the end of the answer")
ASK_AGAIN = replace(ENDING, retry_after_s=1.0)
SUPERSEDED = Failure(failures.SUPERSEDED, "another attempt answered first")


class ClientAnswer(Struct, eq=False):
    """Answers one exchange, once. `lines` are header lines of every answer to it. `status` is the status of the answer,
    0 before it."""

    engine: Engine
    exchange: Exchange
    call: Call
    log: RequestLog
    lines: bytes
    status: int = 0

    def claim(self, receiver: AnswerPassage, length: int | None) -> Sink:
        """Begin the answer with one that an attempt streams, at its commit. Return the sink for its body."""
        sink, lines = self._claim(next(one for one in self.log.running if one.receiver is receiver))
        self.exchange.on_drain = receiver.on_drain
        sink.start(self.status, lines, length)
        return sink

    def finish(self, attempt: Attempt, failure: Failure | None) -> Failure | None:
        """End the answer with an attempt that is over and settled. Return the failure if the answer is incomplete."""
        receiver = attempt.receiver
        if failure is not None and self.exchange.is_started:
            self._break_off(attempt, failure)
        elif failure is not None:
            self.refuse(GiveUp(failure))
        elif receiver.body is not None:
            sink, lines = self._claim(attempt)
            sink.send(self.status, lines, receiver.body)
        return failure

    def refuse(self, step: GiveUp) -> Failure:
        """Send the client the failure of its request. Return the failure."""
        failure = step.failure
        self.status = status_of(failure)
        should_retry = step.should_retry if self.log.records else None
        dialect = DIALECTS[self.call.head.dialect]
        lines = dialect.error_headers(failure, should_retry) + self._lines()
        self.exchange.send(self.status, lines, dialect.error_body(failure, self.log.request_id))
        return failure

    def leave(self) -> Failure:
        """End the answer of a request that its client or the gateway cancelled. Return the reason."""
        plan, attempt = self.log.plan, self.log.served_by
        if self.exchange.is_closed:
            self.status = GONE.kind.status
            return GONE
        if self.exchange.is_started and attempt is not None:
            self._break_off(attempt, ENDING)
        else:
            is_kept = plan is not None and plan.pinned and bool(self.log.records)
            self.refuse(GiveUp(ASK_AGAIN, should_retry=not is_kept))  # an account may have stored its result already
        return ENDING

    def fail_with_internal_error(self) -> None:
        """Handle an internal error: the client must neither wait for the answer nor take it for complete."""
        if self.exchange.is_started:
            self.exchange.abort()
        else:
            self.refuse(GiveUp(BROKEN))

    def _claim(self, attempt: Attempt) -> tuple[Sink, bytes]:
        """Let one attempt answer, and cancel all others. Return the sink and the header lines for its answer."""
        log, plan, receiver = self.log, self.log.plan, attempt.receiver
        self.status = receiver.status or 200
        if log.served_by is not attempt:
            log.served_by = attempt
        for other in log.running[:]:
            if other is not attempt:
                other.cancel(SUPERSEDED)
        lines = provider_lines(receiver.headers, is_stream=receiver.is_stream) + self._lines(attempt)
        if plan is not None and plan.routing.response_model != "served":
            return Renaming(self.exchange, self.call.model, receiver.headers), lines
        return self.exchange, lines

    def _break_off(self, attempt: Attempt, failure: Failure) -> None:
        """Handle an answer that broke off after its commit: send an error in the client's dialect, or cut the
        connection."""
        event = attempt.receiver.error_event(failure, self.log.request_id)
        if event is not None:
            self.exchange.write(event)
            self.exchange.end()
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
        if snapshot.limit_headers and log.key is not None:
            lines += engine.remains.lines(engine.billing, snapshot, log.key, candidate)
        return lines


def answer_for(engine: Engine, exchange: Exchange, call: Call, entry: AdmittedHead, request_id: str) -> ClientAnswer:
    """Return the answer to an admitted request, with no attempt yet."""
    key, record = entry.grant.virtual_key, entry.record
    log = RequestLog(request_id=request_id, received_at=exchange.received_at, key=key, record=record)
    access = entry.snapshot.access
    lines = cors_lines(exchange.head.headers, access) if access.origins else b""
    return ClientAnswer(engine, exchange, call, log, lines)
