"""Read whole answers of Cohere's API. https://docs.cohere.com/reference/chat, https://docs.cohere.com/reference/embed"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import CONTENT, Failed, Finish, UsagePiece
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers._refusals import BY_REASON
from pointsman.providers.api import WholeAnswer
from pointsman.wire.json_object import UNREADABLE, read_or
from pointsman.wire.upstreams.cohere.answer_reader import read_answer
from pointsman.wire.upstreams.cohere.embeddings import decode_embeddings, embeddings_for
from pointsman.wire.upstreams.cohere.usage import read_usage


class _Told(Struct, gc=False):
    message: str


class _Spent(Struct, gc=False):
    usage: Raw = Raw(b"")
    meta: Raw = Raw(b"")


_TOLD: msgspec.json.Decoder[_Told | None] = msgspec.json.Decoder(_Told | None)
_SPENT = msgspec.json.Decoder(_Spent)


def judge_chat(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer: it must have content, and a reason for its end."""
    if read_or(_TOLD, body, None) is not None:
        return classify_inside(body, errors)
    try:
        pieces = read_answer(body)
    except UNREADABLE as error:
        return Failure(failures.MALFORMED_ANSWER, f"the provider's answer is malformed: {error}")
    usage, end = None, None
    for piece in pieces:
        if isinstance(piece, Failed):
            return classify_inside(piece.body, errors)
        if isinstance(piece, UsagePiece):
            usage = piece.usage
        elif isinstance(piece, Finish):
            end = piece
    if end is None and not any(isinstance(piece, CONTENT) for piece in pieces):
        return Failure(failures.MALFORMED_ANSWER, "the provider's answer has neither content nor a finish reason")
    return WholeAnswer(body, usage, BY_REASON.get(end.reason) if end is not None else None)


def judge_embeddings(call: Call, body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge an answer with embeddings, and write it as the client reads it."""
    if read_or(_TOLD, body, None) is not None:
        return classify_inside(body, errors)
    try:
        found = decode_embeddings(body)
    except UNREADABLE as error:
        return Failure(failures.MALFORMED_ANSWER, f"the provider's answer is malformed: {error}")
    if not found.vectors:
        return Failure(failures.MALFORMED_ANSWER, "the provider's answer has no embeddings")
    return WholeAnswer(embeddings_for(call, found), found.usage)


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer that may be of no use."""
    found = read_or(_SPENT, body, _Spent())
    return read_usage(found.usage) or read_usage(found.meta)
