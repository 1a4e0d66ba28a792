"""The record of one request, for the log and the journal."""

from collections.abc import Sequence
from time import monotonic, time

from msgspec.structs import replace

from pointsman.domain.failures import Failure
from pointsman.domain.plans import Plan
from pointsman.domain.records import RequestRecord
from pointsman.domain.requirements import merged
from pointsman.domain.rules import RuleTrace
from pointsman.domain.tracing import TraceContext
from pointsman.domain.verdicts import Verdict
from pointsman.engine.answer import ClientAnswer
from pointsman.engine.attempt import Attempt
from pointsman.engine.continuation import Continuation
from pointsman.engine.receiver import AnswerReceiver
from pointsman.routing.pacing import PacingNotes
from pointsman.transport.http_head import Head
from pointsman.wire.delivered import total
from pointsman.wire.sessions import note_session


def record_request(answer: ClientAnswer, failure: Failure | None) -> None:
    """Count and log a request that has ended. Remove the references between its parts."""
    exchange, call, log = answer.exchange, answer.call, answer.log
    plan, served_by, head = log.plan, log.served_by, exchange.head
    # Otherwise reference cycles between the parts would keep the garbage collector busy.
    log.served_by = log.refused = exchange.on_cancel = exchange.on_drain = None
    received_at, ended_at = exchange.received_at, monotonic()
    total_s = ended_at - received_at
    cost_nano = estimated_nano = reserved_nano = 0
    for attempt in log.records:
        cost_nano += attempt.cost_nano
        if attempt.usage_source == "estimated":
            estimated_nano += attempt.cost_nano
        elif attempt.usage_source == "reserved":
            reserved_nano += attempt.cost_nano
    record = replace(
        log.record,
        time=time(),
        request_id=log.request_id,
        status=answer.status,
        duration_us=int(total_s * 1e6),
        gateway_us=int((total_s - log.waited_s) * 1e6),
        operation=call.operation,
        model=call.model,
        stream=call.stream,
        strategy=plan.strategy if plan is not None else None,
        source=plan.source if plan is not None else None,
        attempts=log.records,
        cost_nano=cost_nano,
        bytes_in=call.size,
        client=answer.client_address(),
    )
    if estimated_nano or reserved_nano:
        record.estimated_nano, record.reserved_nano = estimated_nano, reserved_nano
    if failure is not None:
        record.code = failure.kind.code
        record.message = failure.message
        if plan is None:
            note_required(record, failure, answer)
    verdicts: Sequence[Verdict] = failure.verdicts if failure is not None and plan is None else ()
    if plan is not None:
        verdicts = plan.verdicts
        if len(plan.choices) > 1 or plan.notes or plan.require or plan.instead:
            note_plan(record, plan)
    if log.excluded or log.verdicts:
        verdicts = (*verdicts, *[one.verdict for one in log.excluded], *log.verdicts)
    if verdicts:
        note_verdicts(record, verdicts)
    if plan is not None and plan.kept_by:
        record.kept_by = plan.kept_by
    if served_by is not None:
        candidate = served_by.step.choice.candidate
        if candidate.variant is not None:
            record.variant = candidate.variant
        record.provider = candidate.endpoint.name
        record.upstream_model = candidate.model
        record.key = served_by.step.key.name
        note_answer(record, served_by.receiver, received_at, ended_at)
        note_continuation(record, log.continuation, served_by.receiver, received_at)
        if served_by.receiver.refused is not None:
            record.flags = (*record.flags, "refused")
    if log.rules is not None:
        note_rules(record, log.rules)
        answer.engine.request_metrics.rule_results(log.rules)
    note_session(record, call)
    note_client(record, head, log.trace)
    answer.engine.request_metrics.request(record)


def note_plan(record: RequestRecord, plan: Plan) -> None:
    """Set the fields of the record that describe the order of the candidates."""
    choices = (*plan.choices, *plan.instead) if plan.instead else plan.choices
    record.order = tuple([choice.candidate.id for choice in choices])
    if plan.notes:
        record.notes = tuple(plan.notes)
        if type(plan.notes) is PacingNotes:
            record.paced = plan.notes.text
    if plan.require:
        record.require = {str(one): one.origin for one in plan.require}


def note_required(record: RequestRecord, failure: Failure, answer: ClientAnswer) -> None:
    """Set the requirements of a request that failed without a plan. They also decide where its record may go."""
    call, key = answer.call, answer.log.key
    own = key.require if key is not None else ()
    require = failure.require or merged(call.snapshot.require, own, call.head.require)
    if require:
        record.require = {str(one): one.origin for one in require}


def note_verdicts(record: RequestRecord, verdicts: Sequence[Verdict]) -> None:
    """Set the fields of the record that describe the verdicts on candidates."""
    record.verdicts = tuple([f"{verdict.candidate}: {verdict.reason.message}" for verdict in verdicts])
    record.verdict_codes = tuple([verdict.reason.code for verdict in verdicts])
    record.verdict_policies = tuple([verdict.policy for verdict in verdicts])
    last = tuple([verdict.candidate for verdict in verdicts if verdict.reason.is_last_resort])
    if last:
        record.last_resorts = last


def note_answer(record: RequestRecord, answer: AnswerReceiver, received_at: float, ended_at: float) -> None:
    """Set the fields of the record that describe the answer. Times are monotonic seconds. Rare classes of tokens are
    set only if the provider reported some."""
    record.bytes_out = answer.bytes_in
    committed_at = answer.committed_at
    if committed_at is not None and answer.is_stream:
        events = answer.events
        record.ttft_us = int((committed_at - received_at) * 1e6)
        if events > 1:
            record.token_gap_us = int((ended_at - committed_at) / (events - 1) * 1e6)
    usage = answer.used()
    if usage is None:
        return
    record.tokens_in = usage.tokens_in
    record.tokens_out = usage.tokens_out
    if usage.tokens_cached:
        record.tokens_cached = usage.tokens_cached
    if usage.tokens_reasoning:
        record.tokens_reasoning = usage.tokens_reasoning
    if usage.tier is not None:
        record.tier = usage.tier
    if usage.tokens_cache_write or usage.audio_in or usage.audio_out or usage.image_in or usage.image_out:
        record.tokens_cache_write = usage.tokens_cache_write
        record.tokens_cache_write_1h = usage.tokens_cache_write_1h
        record.audio_in = usage.audio_in
        record.audio_out = usage.audio_out
        record.image_in = usage.image_in
        record.image_out = usage.image_out


def note_continuation(
    record: RequestRecord, going_on: Continuation[Attempt] | None, rest: AnswerReceiver, received_at: float
) -> None:
    """Set the fields of the record that describe an answer in several parts, of which `rest` is the last."""
    if going_on is None:
        return
    used, before = rest.used(), going_on.before
    record.ttft_us = int((going_on.committed_at - received_at) * 1e6)
    if going_on.broken.receiver is not rest:
        record.bytes_out = going_on.bytes_in + rest.bytes_in
        before = before if used is None else total(before, used)
    record.tokens_in, record.tokens_out = before.tokens_in, before.tokens_out


def note_rules(record: RequestRecord, trace: RuleTrace) -> None:
    """Set the fields of the record that describe the evaluation of the rules."""
    if trace.matched:
        record.rule = ", ".join(trace.matched)
    record.rules = trace.evaluated
    record.rule_facts = trace.texts
    if trace.exceptions:
        record.rule_problems = tuple([f"{step.rule}: {step.result}: {step.message}" for step in trace.exceptions])


def note_client(record: RequestRecord, head: Head, trace: TraceContext | None) -> None:
    """Set the client's own request id and trace, and the number of its retries, which OpenAI's SDKs send."""
    if trace is not None:
        record.traceparent, record.tracestate = trace.traceparent, trace.state
    own_id, retries = head.headers.get(b"x-request-id"), head.headers.get(b"x-stainless-retry-count")
    if own_id:
        record.client_request_id = own_id[:128].decode("latin-1")
    if retries and retries != b"0":
        record.client_retries = retries[:16].decode("latin-1")
