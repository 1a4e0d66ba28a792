"""Scores that clients give to earlier requests. A score is in the record of the request that gave it.

So it reaches the store like all records. A worker does not know the owner of the earlier request. The store keeps a
score with the owner that gave it, and counts it only if the earlier request has the same owner.
"""

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Rejection
from pointsman.engine.heads import AdmittedHead
from pointsman.engine.plain import Answer, PlainAnswers
from pointsman.transport.http_server import Exchange
from pointsman.wire.api.feedback import PATHS, parse_feedback
from pointsman.wire.encodings import reject_encoded

(_PATH,) = PATHS
_NO_OWNER = Failure(
    failures.UNKNOWN_KEY, "a score belongs to the owner of a virtual key; present one in the header authorization"
)


def is_feedback(entry: AdmittedHead) -> bool:
    """Return whether a request gives a score."""
    return entry.parsed.api is _PATH


def take_feedback(exchange: Exchange, entry: AdmittedHead, request_id: str, plain: PlainAnswers) -> Answer:
    """Record a score, and return the answer. Raises `Rejection`."""
    if entry.admission.virtual_key is None:
        raise Rejection(_NO_OWNER)
    reject_encoded(entry.parsed.content_encoding)
    feedback = parse_feedback(exchange.body)
    body = b'{"object":"feedback","request_id":"%b","accepted":true}' % feedback.request_id.encode()
    head, received_at = exchange.head, exchange.received_at
    return plain.answer(head, exchange.peer, request_id, body, received_at=received_at, feedback=feedback)
