"""Read answers and errors of the Gemini API. https://ai.google.dev/api/generate-content"""

from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Finish
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_errors import MAX_WAIT_S, classify, classify_inside, retry_after_s
from pointsman.providers._refusals import BY_REASON
from pointsman.providers.api import WholeAnswer
from pointsman.wire.json_object import UNREADABLE, is_empty
from pointsman.wire.upstreams.gemini.answer_reader import GeminiReader, decode_answer
from pointsman.wire.upstreams.gemini.errors import read_error
from pointsman.wire.upstreams.gemini.usage import read_usage


def judge(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer: it must have a candidate with content or with a reason for its end, or a blocked prompt."""
    try:
        found = decode_answer(body)
        pieces = GeminiReader().pieces(found)
    except UNREADABLE as error:
        return Failure(failures.MALFORMED_ANSWER, f"the provider's answer is malformed: {error}")
    if not is_empty(found.error):
        inside = read_error(body)
        return classify_inside(body if inside is None else inside.body, errors)
    if found.first is None and not found.block_reason:
        return Failure(failures.MALFORMED_ANSWER, "the provider's answer is incomplete: it has no candidates")
    if len(pieces) == 1:  # its beginning
        return Failure(failures.TRUNCATED, "the provider's answer has neither content nor a finish reason")
    ends = [BY_REASON.get(piece.reason) for piece in pieces if isinstance(piece, Finish)]
    return WholeAnswer(body, read_usage(found.usage_metadata), ends[0] if ends else None)


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer that may be of no use."""
    try:
        return read_usage(decode_answer(body).usage_metadata)
    except UNREADABLE:
        return None


def google_failure(status: int, headers: Headers, body: bytes, now_unix_s: float, errors: Rules) -> Failure:
    """Classify an error. The wait in its details is exact; only a header outranks it."""
    error = read_error(body)
    found = classify(status, headers, body if error is None else error.body, now_unix_s, errors)
    if error is None or error.wait_s is None or retry_after_s(headers, now_unix_s) is not None:
        return found
    return replace(found, retry_after_s=min(error.wait_s, MAX_WAIT_S))
