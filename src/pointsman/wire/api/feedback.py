"""POST /v1/feedback: the score that a client gives to an earlier request. The gateway answers it itself."""

import re

import msgspec
from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.records import Feedback
from pointsman.wire.json_object import UNREADABLE, read_object, rejection
from pointsman.wire.paths import ApiPath

PATHS = (ApiPath("/feedback", frozenset({"POST"}), "other", "none"),)

MAX_BODY_BYTES = 16 * 1024
MAX_COMMENT = 1000  # characters
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SCORES = {"up": 1.0, "down": 0.0}


class _Body(Struct, forbid_unknown_fields=True):
    request_id: str
    score: float | str
    comment: str | None = None


_DECODER = msgspec.json.Decoder(_Body)


def parse_feedback(body: bytes) -> Feedback:
    """Parse a score. Raises `Rejection`."""
    if len(body) > MAX_BODY_BYTES:
        message = f"the body of a score has more than {MAX_BODY_BYTES} bytes; shorten the comment"
        raise Rejection(Failure(failures.REQUEST_TOO_LARGE, message))
    read_object(body)
    try:
        found = _DECODER.decode(body)
    except UNREADABLE as error:
        raise rejection(f"the body is no score: {error}") from None
    if not _ID.fullmatch(found.request_id):
        raise rejection("request_id must be the value of x-pointsman-request-id in an earlier answer", "request_id")
    score = _SCORES.get(found.score) if isinstance(found.score, str) else found.score
    if score is None or not 0 <= score <= 1:
        raise rejection("score must be a number from 0 to 1, or `up` or `down`", "score")
    comment = found.comment or ""
    if len(comment) > MAX_COMMENT:
        raise rejection(f"comment has more than {MAX_COMMENT} characters", "comment")
    return Feedback(request_id=found.request_id, score=score, comment=comment)
