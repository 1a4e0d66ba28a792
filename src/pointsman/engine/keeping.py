"""Notes the bodies of a request on its way, for `bodies.BodyWriter`."""

from time import time

from pointsman.engine.answer import ClientAnswer
from pointsman.engine.bodies import MARGIN, NotedBodies
from pointsman.engine.copied_answer import AnswerCopy

STREAM_FACTOR = 16  # a stream has so many times the bytes of its text


def begin_copy(answer: ClientAnswer) -> AnswerCopy | None:
    """Begin to copy the answer to a request whose bodies may be kept. Never raises: it is called before the request's
    own errors are caught."""
    capture, key = answer.call.snapshot.bodies, answer.log.key
    if capture is None or not capture.may_keep(key):
        return None
    most = capture.max_bytes + MARGIN
    copy = AnswerCopy(most * STREAM_FACTOR if answer.call.stream else most, is_cut=True)
    answer.wrap_by(copy.tee)
    return copy


def note_bodies(answer: ClientAnswer, copy: AnswerCopy) -> None:
    """Note the bodies of a request that has ended, if they are kept."""
    log, call = answer.log, answer.call
    capture, writer = call.snapshot.bodies, answer.engine.bodies
    if capture is None:
        return
    matched = log.rules.matched if log.rules is not None else ()
    if not capture.keeps(log.key, matched):
        return
    body = answer.exchange.body
    is_whole = (body or not call.size) and b"content-encoding" not in answer.exchange.head.headers
    request = body[: capture.max_bytes + MARGIN] if is_whole else None
    dialect, stream = call.head.dialect, call.stream
    writer.put(
        NotedBodies(
            capture=capture,
            request_id=log.request_id,
            at=time(),
            dialect=dialect,
            is_stream=stream,
            request=request,
            request_bytes=call.size,
            answer=copy,
        )
    )
