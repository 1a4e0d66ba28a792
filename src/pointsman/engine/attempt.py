"""The attempts of one request, each from its reservation to its settlement, and their common log.

Several attempts may run at once. The first whose answer commits claims the client, and the others are cancelled at
once. Each attempt is settled exactly once, whatever happens to it.
"""

from time import monotonic, time

from msgspec import field
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Plan, Progress, Try, Verdict
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.redaction import redact
from pointsman.engine.billing import NoRoom, ReservedAttempt
from pointsman.engine.engine import Engine
from pointsman.engine.passage import Claim
from pointsman.engine.receiver import AnswerReceiver
from pointsman.engine.tasks import Bell
from pointsman.engine.uploads import UploadRelay
from pointsman.money.fit import ShortenedCall
from pointsman.providers import PROVIDERS


class RequestLog(Progress, kw_only=True):
    """The attempts of one request, as the pure core reads them, and the facts that its account needs. `served_by` is
    the attempt that answers; until one does, the last that began. `waited_s` is the time with an attempt or a pause in
    progress, up to `busy_since` if one still is. `verdicts` explain shortened answers. `record` is the part of the
    request's record that its head determines."""

    request_id: str
    received_at: float
    key: VirtualKey | None
    record: RequestRecord
    bell: Bell = field(default_factory=Bell)
    plan: Plan | None = None
    running: list["Attempt"] = field(default_factory=list)
    records: tuple[AttemptRecord, ...] = ()
    served_by: "Attempt | None" = None
    verdicts: tuple[Verdict, ...] = ()
    busy_since: float = 0.0
    waited_s: float = 0.0

    async def pause(self, delay_s: float) -> bool:
        """Wait until an attempt has ended, or for `delay_s` seconds. Return whether one has ended."""
        if self.running:
            return await self.bell.within(delay_s)
        began_at = monotonic()
        try:
            return await self.bell.within(delay_s)
        finally:
            self.waited_s += monotonic() - began_at


class Attempt:
    """One attempt. `hold` is its reservation. `shortened` is the reserved call if its answer is shorter than the
    client's call allows."""

    __slots__ = (
        "_codec",
        "call",
        "engine",
        "hold",
        "log",
        "receiver",
        "shortened",
        "started_at",
        "step",
        "tab",
    )

    def __init__(self, engine: Engine, log: RequestLog, call: Call, step: Try, claim: Claim) -> None:
        plan, candidate = log.plan, step.choice.candidate
        assert plan is not None
        self.engine = engine
        self.log = log
        self.call = call
        self.step = step
        self.hold: ReservedAttempt | None = None
        self.shortened: ShortenedCall | None = None
        self.started_at = 0.0
        self.tab = engine.billing.billing_terms.find(call.snapshot, log.key, candidate)
        self._codec = PROVIDERS[candidate.endpoint.type].codecs[call.operation]
        self.receiver = AnswerReceiver(call, self._codec, claim, log.bell, plan.routing)

    @property
    def has_committed(self) -> bool:
        return self.receiver.committed_at is not None

    def reserve(self, call: Call, now: float) -> NoRoom | None:
        """Reserve for `call`. Return the reason if that is impossible. Otherwise the attempt is in progress from here
        on; no step between the two may fail."""
        log, step = self.log, self.step
        hold = self.engine.billing.hold(self.tab, call, log.request_id, len(log.records) + len(log.running) + 1)
        if not isinstance(hold, ReservedAttempt):
            return hold
        self.hold, self.started_at, log.served_by = hold, now, self
        if not log.running:
            log.busy_since = now
        log.running.append(self)
        self.engine.live.begin(
            step.choice.candidate, now, is_retry=step.is_repeat, key=step.key, operation=call.operation
        )
        return None

    def start(self, upload: UploadRelay | None) -> None:
        """Send the request."""
        engine, step, receiver, hold, now = self.engine, self.step, self.receiver, self.hold, self.started_at
        assert hold is not None
        candidate = step.choice.candidate
        endpoint = candidate.endpoint
        if self.call.state is not None:
            receiver.watch = engine.ownership.sent(self.call, self.tab.scope, hold.request_id, step.key.name)
        request = self._codec.encode(hold.call, candidate, step.key, hold.attempt, time())
        if step.is_fresh:
            request = replace(request, wants_fresh=True)
        client, deadline = engine.upstreams.client(endpoint), now + step.timeout_s
        if step.head_s is not None and step.content_s is not None:
            receiver.commit_by, receiver.content_by = deadline, now + step.content_s
            deadline = now + step.head_s
        if upload is None:
            receiver.leg = client.send(endpoint.origin, request, receiver, deadline)
        else:
            length = upload.length_for(candidate.model)
            leg = client.send_streaming(endpoint.origin, request, receiver, deadline, length)
            receiver.leg = leg
            upload.pump(leg, candidate.model, step.timeout_s, receiver.abort)
        if self.call.head.timeout_s is not None:
            receiver.leg.timeout_kind = failures.DEADLINE_EXCEEDED  # the client's hurry is not the provider's fault

    def cancel(self, failure: failures.Failure) -> None:
        """End the attempt with this failure, unless it has failed already, and settle it."""
        self.receiver.cancel(failure)
        self.settle()

    def settle(self) -> failures.Failure | None:
        """Charge an attempt that is over, learn from it, and log it. Return its failure."""
        engine, log, step, receiver, hold = self.engine, self.log, self.step, self.receiver, self.hold
        assert hold is not None
        if self.call.state is not None and receiver.failure is None and receiver.body is not None:
            engine.ownership.answered(self.call, self.tab.scope, log.request_id, step.key.name, receiver.body)
        candidate, started_at, now, failure = step.choice.candidate, self.started_at, monotonic(), receiver.failure
        log.running.remove(self)
        if not log.running:
            log.waited_s += now - log.busy_since
        if failure is not None and failure.kind is failures.CONNECTION_STALE and step.is_fresh:
            failure = replace(failure, kind=failures.CONNECTION_LOST)  # it is retried only once
        charge = engine.billing.settle(hold, receiver, failure)
        outcome = "ok"
        if failure is not None:
            failure = receiver.failure = redact(failure, step.key.credential, candidate.endpoint.origin)
            outcome = failure.kind.code
            if failure.kind is not failures.CONNECTION_STALE:
                past = PastAttempt(
                    candidate=candidate.id,
                    provider=candidate.endpoint.name,
                    model=candidate.model,
                    key=step.key.name,
                    started_at=started_at,
                    ended_at=now,
                    failure=failure,
                )
                log.history += (past,)
        first_byte_at, duration_s = receiver.first_byte_at, now - started_at
        engine.live.finish(
            candidate,
            step.key,
            failure,
            now,
            began_at=started_at,
            operation=self.call.operation,
            first_byte_at=first_byte_at,
            tokens_out=charge.usage.tokens_out,
        )
        first_byte_s = first_byte_at - started_at if first_byte_at is not None else None
        engine.request_metrics.attempt(candidate, outcome, duration_s, first_byte_s, charge)
        record = AttemptRecord(
            provider=candidate.endpoint.name,
            model=candidate.model,
            key=step.key.name,
            outcome=outcome,
            start_us=int((started_at - log.received_at) * 1e6),
            duration_us=int(duration_s * 1e6),
            status=receiver.status,
            first_byte_us=int((first_byte_at - log.received_at) * 1e6) if first_byte_at is not None else None,
            cost_nano=charge.nano,
            usage_source=charge.source,
            tokens_in=charge.usage.tokens_in,
            tokens_out=charge.usage.tokens_out,
            held_nano=charge.held,
        )
        if failure is not None:
            record.message = failure.message
            record.retry_after_s = failure.retry_after_s
        if receiver.decoder is not None:
            record.events_left_out = receiver.decoder.left_out
        if self.shortened is not None:
            record.max_tokens = self.shortened.call.max_tokens
            log.verdicts += (Verdict(candidate.id, "billing", self.shortened.reason),)
        log.records += (record,)
        return failure
