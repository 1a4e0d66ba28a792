"""The record of one request, for the log and the journal."""

from copy import copy
from time import monotonic, time

from pointsman.domain.failures import Failure
from pointsman.domain.records import RequestRecord
from pointsman.engine.answer import ClientAnswer
from pointsman.engine.receiver import AnswerReceiver
from pointsman.transport.http_head import Head
from pointsman.wire.callers import client_address


def record_request(answer: ClientAnswer, failure: Failure | None) -> None:
    """Count and log a request that is over. Ends the hold of its parts on each other."""
    exchange, call, log = answer.exchange, answer.call, answer.log
    served_by, log.served_by = log.served_by, None
    # Otherwise the parts would refer to each other in circles and keep the garbage collector busy.
    exchange.on_cancel = exchange.on_drain = None
    received_at, ended_at = exchange.received_at, monotonic()
    total_s = ended_at - received_at
    record = copy(log.record)
    record.time = time()
    record.request_id = log.request_id
    record.status = answer.status
    record.duration_us = int(total_s * 1e6)
    record.gateway_us = int((total_s - log.waited_s) * 1e6)
    if failure is not None:
        record.code = failure.kind.code
        record.message = failure.message
    record.operation = call.operation
    record.model = call.model
    if call.stream:
        record.stream = True
    plan = log.plan
    if plan is not None:
        record.strategy = plan.strategy
        record.source = plan.source
        verdicts = plan.verdicts
        if log.left_out or log.verdicts:
            verdicts = (*verdicts, *[one.verdict for one in log.left_out], *log.verdicts)
        if verdicts:
            record.verdicts = tuple([f"{verdict.candidate}: {verdict.reason.message}" for verdict in verdicts])
    if served_by is not None:
        candidate = served_by.step.choice.candidate
        if candidate.variant is not None:
            record.variant = candidate.variant
        record.provider = candidate.endpoint.name
        record.upstream_model = candidate.model
        record.key = served_by.step.key.name
        record.attempts = log.records
        for one in log.records:
            record.cost_nano += one.cost_nano
            if one.usage_source == "estimated":
                record.estimated_nano += one.cost_nano
            elif one.usage_source == "reserved":
                record.reserved_nano += one.cost_nano
        note_answer(record, served_by.receiver, received_at, ended_at)
    record.bytes_in = call.size
    headers = exchange.head.headers
    note_client(
        record, exchange.head, client_address(exchange.peer, headers.get(b"x-forwarded-for"), call.snapshot.access)
    )
    answer.engine.accounts.request(record)


def note_answer(record: RequestRecord, answer: AnswerReceiver, received_at: float, ended_at: float) -> None:
    """Times are monotonic seconds. Providers rarely report more than four classes of tokens."""
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


def note_client(record: RequestRecord, head: Head, address: str) -> None:
    """Note the client's address, its own id, and how often it has tried before, which OpenAI's SDKs count."""
    record.client = address
    own_id, retries = head.headers.get(b"x-request-id"), head.headers.get(b"x-stainless-retry-count")
    if own_id:
        record.client_request_id = own_id[:128].decode("latin-1")
    if retries and retries != b"0":
        record.client_retries = retries[:16].decode("latin-1")
