"""The attempts of one request, each from its reservation to its settlement.

Several attempts may run at once. The first attempt whose answer commits serves the client, and the others are cancelled
at once. Each attempt is settled exactly once, even after an error.
"""

import logging
from functools import partial
from time import monotonic, time

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Hedge, HedgeTerms, Race, Try
from pointsman.domain.records import AttemptRecord, Role
from pointsman.domain.redaction import redact
from pointsman.domain.targets import ProviderKey
from pointsman.engine.billing import NotReserved, ReservedAttempt, outcome_of
from pointsman.engine.engine import Engine
from pointsman.engine.passage import Claim
from pointsman.engine.receiver import SUPERSEDED, AnswerReceiver
from pointsman.engine.request_log import RequestLog
from pointsman.engine.uploads import UploadRelay
from pointsman.money.fit import ShortenedCall
from pointsman.providers import PROVIDERS, codec_for

_logger = logging.getLogger(__name__)
_NOT_SENT = failures.Failure(
    failures.INTERNAL, "the request cannot be sent", client_message="the gateway failed; see its log"
)


class Attempt:
    """One attempt. `reserved` has its reservation. `key` is its key, with a concrete credential once it is sent.
    `has_begun` says that the first content of its stream was noted. `shortened` is the call with its lower maximum, if
    the answer was shortened to fit in a limit. `dropped` are the fields that its provider's dialect does not have."""

    __slots__ = (
        "_codec",
        "_has_noted_quota",
        "billing_terms",
        "call",
        "charge",
        "dropped",
        "engine",
        "has_begun",
        "key",
        "log",
        "plan",
        "receiver",
        "reserved",
        "shortened",
        "started_at",
        "step",
        "tried",
        "upload",
    )

    def __init__(self, engine: Engine, log: "RequestLog[Attempt]", call: Call, step: Try, claim: Claim) -> None:
        plan, candidate = log.plan, step.choice.candidate
        assert plan is not None
        if call.batch is not None:
            call = engine.billing.priced_batch(call, log.key, step)
        self.engine = engine
        self.log = log
        self.call = call
        self.step = step
        self.key = step.key
        self.reserved: ReservedAttempt | None = None
        self.shortened: ShortenedCall | None = None
        self.started_at = 0.0
        self.plan = plan
        self.dropped: tuple[str, ...] = ()
        self.upload: UploadRelay | None = None
        self.billing_terms = engine.billing.terms_cache.find_for(call, log.key, candidate)
        going_on = log.continuation
        if going_on is None:
            self._codec = codec_for(candidate, call.operation, call.head.dialect)
        else:
            self._codec = going_on.codec(candidate)
        self._has_noted_quota = self.has_begun = False
        self.receiver = AnswerReceiver(call, self._codec, claim, log.bell, plan.routing)
        if step.held and going_on is None:
            self.receiver.held = step.held

    @property
    def has_committed(self) -> bool:
        return self.receiver.committed_at is not None

    @property
    def is_translating(self) -> bool:
        """True if the provider keeps no object of the client."""
        return self._codec.is_translating

    @property
    def content_at(self) -> float | None:
        """The time of the first content that arrived, though the client may not have it yet."""
        return self.receiver.content_at or self.receiver.committed_at

    @property
    def has_content(self) -> bool:
        return self.content_at is not None

    @property
    def role(self) -> Role:
        step = self.step
        if self.log.continuation is not None:
            return "continuation"
        return "race" if isinstance(step, Race) else "hedge" if isinstance(step, Hedge) else "attempt"

    def can_send(self, call: Call) -> bool:
        """Return whether the provider's dialect can express `call`, which differs from the request in its bound."""
        if self._codec.is_translating:
            try:
                self._codec.encode(call, self.step.choice.candidate, self.step.key.blank())
            except failures.Rejection:
                return False
        return True

    def reserve(self, call: Call, now: float) -> NotReserved | None:
        """Reserve for `call`. Return the reason if that fails. Otherwise the attempt is in progress from here on, so no
        step between the two may fail."""
        log, step = self.log, self.step
        reserved = self.engine.billing.reserve(
            self.billing_terms, call, log.request_id, len(log.records) + len(log.running) + 1
        )
        if not isinstance(reserved, ReservedAttempt):
            return reserved
        self.reserved, self.started_at, log.served_by = reserved, now, self
        if not log.running:
            log.busy_since = now
        log.running.append(self)
        self.engine.live.begin(
            step.choice.candidate, now, is_retry=step.is_repeat, key=step.key, operation=call.operation, call=call
        )
        self.tried = None
        paces, item = self.engine.live.paces, step.choice.candidate
        if self.plan.learns and paces.observes(self.plan, item, reserved.attempt_id, now, key=step.key):
            running = self.engine.live.in_progress[item.id]
            self.tried = paces.started(self.plan, item, call, reserved.attempt_id, now, key=step.key, running=running)
        hedging = self.plan.hedging
        if hedging is not None:
            self.engine.live.hedges.count_attempt(hedging, self.plan.model, step, is_first=reserved.ordinal == 1)
            log.hedges += isinstance(step, Hedge)
        return None

    def start(self, upload: UploadRelay | None) -> None:
        """Send the request: at once, unless the first value of the key's credential is still to come."""
        step = self.step
        if step.key.is_concrete:
            self._send(step.key, upload)
        else:
            endpoint = step.choice.candidate.endpoint
            self.engine.credentials.use(endpoint, step.key, step.timeout_s, partial(self._go_on, upload))

    def _go_on(self, upload: UploadRelay | None, found: ProviderKey | failures.Failure) -> None:
        """Send the request with the value of the key's credential, unless the attempt has ended while it waited."""
        receiver = self.receiver
        if receiver.is_over:
            return
        if isinstance(found, failures.Failure) or receiver.is_beaten:
            receiver.abort(found if isinstance(found, failures.Failure) else SUPERSEDED)
            return
        try:
            self._send(found, upload)
        except failures.Rejection as rejection:
            receiver.abort(rejection.failure)
        except Exception:  # no caller could end the attempt any more
            _logger.exception("an attempt cannot be sent")
            receiver.abort(_NOT_SENT)

    def _send(self, key: ProviderKey, upload: UploadRelay | None) -> None:
        engine, step, receiver, reserved, now = self.engine, self.step, self.receiver, self.reserved, self.started_at
        assert reserved is not None
        self.key = key
        candidate, log = step.choice.candidate, self.log
        endpoint = candidate.endpoint
        if self.call.state is not None and not self._codec.is_translating:
            receiver.watch = engine.ownership.note_use(
                self.call,
                self.billing_terms.scope,
                reserved.request_id,
                step.key.name,
                note=upload.note if upload is not None else str,
            )
        sent = engine.billing.as_sent(reserved.call, reserved.attempt_id)
        request = self._codec.encode(sent, candidate, key, reserved.attempt_id, time())
        self.dropped = self.call.dropped + request.dropped
        if step.is_fresh:
            request = replace(request, wants_fresh=True)
        if endpoint.sends_trace:
            lines = log.trace_lines(reserved.ordinal, self.call.snapshot.tracing)
            request = replace(request, headers=request.headers + lines)
        client, deadline = engine.upstreams.client(endpoint), now + step.timeout_s
        if step.head_s is not None and step.content_s is not None:
            receiver.commit_by, receiver.content_by = deadline, now + step.content_s
            deadline = now + step.head_s
        if step.whole_by is not None:
            receiver.whole_by = step.whole_by
        if upload is None:
            receiver.leg = client.send(endpoint.origin, request, receiver, deadline)
        else:
            model = candidate.model_at(step.key)
            length = upload.length_for(model)
            leg = client.send_streaming(endpoint.origin, request, receiver, deadline, length)
            receiver.leg = leg
            upload.place(engine, log.key, step)
            upload.pump(leg, model, step.timeout_s, receiver.abort)
            self.upload = upload
        if self.call.head.timeout_s is not None:
            receiver.leg.timeout_kind = failures.DEADLINE_EXCEEDED  # set by the client, so not the provider's fault

    def note_commit(self) -> None:
        """Note the first content of a stream, for the health and for strategies that learn, and the provider's
        limits."""
        self._note_quota()
        if self.call.stream and self.receiver.is_stream:
            live, now, self.has_begun = self.engine.live, monotonic(), True
            live.begin_answer(self.step.choice.candidate, now, operation=self.call.operation)
            if self.tried is not None:
                live.paces.content(self.tried, now)

    def _note_quota(self) -> None:
        """Note the limits of the key that the head of the answer reports."""
        self._has_noted_quota, receiver, step = True, self.receiver, self.step
        candidate, at = step.choice.candidate, receiver.first_byte_at
        if at is not None:
            quota = PROVIDERS[candidate.endpoint.type].quota(receiver.headers, time())
            if quota is not None:
                self.engine.live.note_quota(candidate, step.key, quota, self.started_at, at=at)

    def lose(self) -> None:
        """End the attempt, since another one answers the client. The probe of a race may still go on to its first
        content, if it streams: its time shows how its candidate is now."""
        terms, receiver = self.plan.hedging, self.receiver
        race_s = terms.race_s if terms is not None and isinstance(self.step, Race) else None
        if race_s is not None and self.call.stream and self.tried is not None and not self.has_content:
            receiver.run_on(self.started_at + race_s)
        else:
            self.cancel(SUPERSEDED)

    def cancel(self, failure: failures.Failure) -> None:
        """End the attempt with this failure, unless it has failed already, and settle it."""
        self.receiver.cancel(failure)
        self.settle()

    def settle(self) -> failures.Failure | None:
        """Charge an attempt that has ended, update the state of its target and key, and log it. Return its failure."""
        engine, log, step, receiver, reserved = self.engine, self.log, self.step, self.receiver, self.reserved
        assert reserved is not None
        self._learn_objects()
        candidate, started_at, now, failure = step.choice.candidate, self.started_at, monotonic(), receiver.failure
        log.running.remove(self)
        if not log.running:
            log.waited_s += now - log.busy_since
        if failure is not None and failure.kind is failures.CONNECTION_STALE and step.is_fresh:
            failure = replace(failure, kind=failures.CONNECTION_LOST)  # it is retried only once
        self.charge = charge = engine.billing.settle(reserved, receiver, failure)
        outcome = outcome_of(receiver, failure)
        if failure is not None:
            failure = receiver.failure = redact(failure, self.key.credential, candidate.endpoint.origin)
            if failure.kind in failures.REFUSALS:
                log.refused = self
            elif failure.kind is failures.CREDENTIAL_REJECTED and not step.key.is_concrete:
                engine.credentials.doubt(candidate.endpoint, step.key)
            if failure.kind is not failures.CONNECTION_STALE:
                past = PastAttempt(
                    candidate=candidate.id,
                    provider=candidate.endpoint.name,
                    model=candidate.model,
                    key=step.key.name,
                    started_at=started_at,
                    ended_at=now,
                    failure=failure if log.continuation is None else self._as_continuation(failure),
                )
                log.history += (past,)
        if not self._has_noted_quota:
            self._note_quota()
        first_byte_at, duration_s, content_at = receiver.first_byte_at, now - started_at, self.content_at
        fault = None if log.refused is self else failure  # after a refusal, the provider is healthy
        engine.live.finish(
            candidate,
            step.key,
            fault,
            now,
            began_at=started_at,
            operation=self.call.operation,
            first_byte_at=first_byte_at,
            tokens_out=charge.usage.tokens_out,
            content_at=content_at if receiver.is_stream else None,
            has_begun=self.has_begun,
            call=self.call,
        )
        if self.tried is not None:
            usage = charge.usage
            engine.live.paces.ended(
                self.tried,
                fault,
                now,
                tokens_out=usage.tokens_out,
                content_at=content_at,
                tokens_cached=usage.tokens_cached if charge.source == "provider" else None,
            )
        first_byte_s = first_byte_at - started_at if first_byte_at is not None else None
        engine.request_metrics.attempt(candidate, outcome, duration_s, first_byte_s, charge)
        record = self._record(outcome, failure, now)
        if self.plan.hedging is not None:
            self._note_hedging(self.plan.hedging, record, failure)
        if self.shortened is not None:
            record.max_tokens = self.shortened.call.max_tokens
            log.note_shortened(candidate.id, self.shortened.reason)
        log.records += (record,)
        return failure

    def _as_continuation(self, failure: failures.Failure) -> failures.Failure:
        """Return the failure of a continuation for the next step. A provider that rejects its request may only reject
        the text so far, so another one may take it."""
        is_rejected = failure.kind.fault is failures.Fault.REQUEST and not self.has_committed
        return replace(failure, kind=failures.UPSTREAM_UNSUPPORTED) if is_rejected else failure

    def _learn_objects(self) -> None:
        """Learn the ids in a whole answer."""
        body = self.receiver.body
        if self.call.state is None or self._codec.is_translating or body is None:
            return
        note = self.upload.note() if self.upload is not None else ""
        scope, request_id, key = self.billing_terms.scope, self.log.request_id, self.step.key.name
        self.engine.ownership.learn_from_answer(self.call, scope, request_id, key, body, note=note)

    def _note_hedging(self, terms: HedgeTerms, record: AttemptRecord, failure: failures.Failure | None) -> None:
        """Note the attempt of a request that may have two at once."""
        candidate, engine = self.step.choice.candidate, self.engine
        is_superseded = failure is not None and failure.kind is failures.SUPERSEDED
        role = self.role
        if role != "attempt":
            record.hedge, record.race = role == "hedge", role == "race"
            result = "lost" if is_superseded else "won" if self.has_committed else "failed"
            engine.request_metrics.rival(candidate, role, result)
        if terms.settings is not None and terms.settings.after_s is None and (is_superseded or self.has_committed):
            took_s = (self.content_at or monotonic()) - self.started_at
            engine.live.hedges.note_commit(candidate, self.call.operation, took_s, stream=self.call.stream)

    def _record(self, outcome: str, failure: failures.Failure | None, ended_at: float) -> AttemptRecord:
        """Return the record of the attempt for the log."""
        log, step, receiver, reserved, charge = self.log, self.step, self.receiver, self.reserved, self.charge
        candidate, started_at, first_byte_at = step.choice.candidate, self.started_at, receiver.first_byte_at
        assert reserved is not None
        record = AttemptRecord(
            provider=candidate.endpoint.name,
            model=candidate.model,
            key=step.key.name,
            outcome=outcome,
            start_us=int((started_at - log.received_at) * 1e6),
            duration_us=int((ended_at - started_at) * 1e6),
            status=receiver.status,
            first_byte_us=int((first_byte_at - log.received_at) * 1e6) if first_byte_at is not None else None,
            cost_nano=charge.nano,
            usage_source=charge.source,
            tokens_in=charge.usage.tokens_in,
            tokens_out=charge.usage.tokens_out,
            held_nano=charge.held_nano,
        )
        record.most_tokens = reserved.bound.tokens
        if reserved.is_priced:
            record.most_nano = reserved.bound.nano
        if reserved.ordinal != len(log.records) + 1:
            record.ordinal = reserved.ordinal
        if failure is not None:
            record.message = failure.message
            record.retry_after_s = failure.retry_after_s
        if receiver.decoder is not None:
            record.events_left_out = receiver.decoder.events_left_out
        if log.continuation is not None:
            record.continuation = True
            result = "failed" if failure is not None else "won"
            self.engine.request_metrics.rival(candidate, self.role, result)
        return record
