"""Read whole answers of Cohere's API. https://docs.cohere.com/reference/chat, https://docs.cohere.com/reference/embed"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import UsagePiece
from pointsman.providers._broken import malformed
from pointsman.providers._error_table import Rules
from pointsman.providers._judged import judge_pieces
from pointsman.providers._openai_errors import classify_inside
from pointsman.providers.api import WholeAnswer
from pointsman.wire.json_object import UNREADABLE, read_or
from pointsman.wire.upstreams.cohere.answer_reader import read_answer
from pointsman.wire.upstreams.cohere.usage import read_usage


class _Told(Struct, gc=False):
    message: str


class _Spent(Struct, gc=False):
    usage: Raw = Raw(b"")
    meta: Raw = Raw(b"")


_TOLD: msgspec.json.Decoder[_Told | None] = msgspec.json.Decoder(_Told | None)
_SPENT = msgspec.json.Decoder(_Spent)


def judge_chat(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer: it must have content, or a reason for its end."""
    if read_or(_TOLD, body, None) is not None:
        return classify_inside(body, errors)
    try:
        pieces = read_answer(body)
    except UNREADABLE as error:
        return malformed(error)
    usage = next((piece.usage for piece in pieces if isinstance(piece, UsagePiece)), None)
    return judge_pieces(body, pieces, usage, errors)


def judge_embeddings(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge an answer with embeddings, as far as its translation does not do that: it reads them, and their usage."""
    told = read_or(_TOLD, body, None) is not None
    return classify_inside(body, errors) if told else WholeAnswer(body)


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer that may be of no use."""
    found = read_or(_SPENT, body, _Spent())
    return read_usage(found.usage) or read_usage(found.meta)
