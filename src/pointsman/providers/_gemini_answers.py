"""Read answers and errors of the Gemini API. https://ai.google.dev/api/generate-content"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers
from pointsman.domain.outcomes import Usage
from pointsman.providers._broken import incomplete, malformed
from pointsman.providers._error_table import Rules
from pointsman.providers._judged import judge_pieces
from pointsman.providers._openai_errors import MAX_WAIT_S, classify, classify_inside, retry_after_s
from pointsman.providers._translated_stream import UpstreamStream
from pointsman.providers.api import WholeAnswer
from pointsman.wire.dialects.gemini import HALVES, embeddings, failed
from pointsman.wire.dialects.gemini.answer_reader import GeminiReader, decode_answer
from pointsman.wire.dialects.gemini.errors import read_error
from pointsman.wire.dialects.gemini.usage import read_usage
from pointsman.wire.json_object import UNREADABLE, is_empty


class _Count(Struct, rename="camel", gc=False):
    total_tokens: int | None = None


_COUNT = msgspec.json.Decoder(_Count)


class GeminiStream(UpstreamStream):
    """A `StreamDecoder` that passes on the provider's own events. An answer is whole after the reason for its end."""

    __slots__ = ()
    heartbeat = HALVES.heartbeat

    def __init__(self, *, errors: Rules, max_event_bytes: int) -> None:
        super().__init__(HALVES, errors=errors, max_event_bytes=max_event_bytes)

    def error_event(self, failure: Failure, request_id: str) -> bytes:
        return failed.error_event(failure, request_id)


def judge(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer: it must have a candidate with content or with a reason for its end, or a blocked prompt."""
    try:
        found = decode_answer(body)
        pieces = GeminiReader().pieces(found)
    except UNREADABLE as error:
        return malformed(error)
    if not is_empty(found.error):
        inside = read_error(body)
        return classify_inside(body if inside is None else inside.body, errors)
    if found.first is None and not found.block_reason:
        return incomplete("candidates")
    return judge_pieces(body, pieces, read_usage(found.usage_metadata), errors)


def judge_count(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge the answer to a call that counts tokens. https://ai.google.dev/api/tokens#response-body"""
    try:
        found = _COUNT.decode(body)
    except UNREADABLE as error:
        return malformed(error)
    if found.total_tokens is None:
        inside = read_error(body)
        if inside is not None:
            return classify_inside(inside.body, errors)
        return incomplete("totalTokens")
    return WholeAnswer(body)


def judge_embeddings(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge an answer with embeddings. https://ai.google.dev/api/embeddings"""
    inside = read_error(body)
    if inside is not None:
        return classify_inside(inside.body, errors)
    try:
        return WholeAnswer(body, embeddings.read_answer(body).usage)
    except (*UNREADABLE, ValueError) as error:
        return malformed(error)


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer that may be of no use."""
    try:
        return read_usage(decode_answer(body).usage_metadata)
    except UNREADABLE:
        return None


def usage_of_embeddings(body: bytes) -> Usage | None:
    """Return the usage in an answer with embeddings that may be of no use."""
    try:
        return embeddings.usage_in(body)
    except UNREADABLE:
        return None


def google_failure(status: int, headers: Headers, body: bytes, now_unix_s: float, errors: Rules) -> Failure:
    """Classify an error. The wait in its details is exact; only a header outranks it."""
    error = read_error(body)
    found = classify(status, headers, body if error is None else error.body, now_unix_s, errors)
    if found.body is not None:
        found = replace(found, body=body)  # a client of this dialect gets it as it came
    if error is None or error.wait_s is None or retry_after_s(headers, now_unix_s) is not None:
        return found
    return replace(found, retry_after_s=min(error.wait_s, MAX_WAIT_S))
