"""Fills the part of a request's record that its answer tells."""

from pointsman.domain.records import RequestRecord
from pointsman.engine.receiver import AnswerReceiver


def note_answer(record: RequestRecord, answer: AnswerReceiver, received_at: float, ended_at: float) -> None:
    """Times are monotonic seconds. Providers rarely report more than four classes of tokens."""
    record.bytes_out = answer.bytes_in
    committed_at, events = answer.committed_at, answer.events
    if committed_at is not None and answer.is_stream:
        record.ttft_us = int((committed_at - received_at) * 1e6)
        if events > 1:
            record.token_gap_us = int((ended_at - committed_at) / (events - 1) * 1e6)
    usage = answer.used()
    if usage is None:
        return
    record.tokens_in = usage.tokens_in
    record.tokens_out = usage.tokens_out
    record.tokens_cached = usage.tokens_cached
    record.tokens_reasoning = usage.tokens_reasoning
    record.tokens_cache_write = usage.tokens_cache_write
    record.tokens_cache_write_1h = usage.tokens_cache_write_1h
    record.audio_in = usage.audio_in
    record.audio_out = usage.audio_out
    record.image_in = usage.image_in
    record.image_out = usage.image_out
    record.tier = usage.tier
