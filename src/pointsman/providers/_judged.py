"""The common parts of codecs whose dialect has one shape of answer: a whole answer, or events on request."""

from collections.abc import Sequence

from msgspec import Struct

from pointsman.domain import failures
from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import CONTENT, Failed, Finish, Piece, SignaturePiece
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_errors import classify, classify_inside
from pointsman.providers._refusals import BY_REASON
from pointsman.providers._usage_scan import JsonScan
from pointsman.providers.api import NO_STREAM, Form, WholeAnswer


class JudgedCodec(Struct, frozen=True, kw_only=True, eq=False):
    """A `Codec` without `encode` and `decoder`. It returns an answer as it came, if `judge` finds no fault in it."""

    dialect: str
    is_translating: bool = False
    errors: Rules = ()
    scan = JsonScan

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:
        """Judge a whole answer that is no error."""
        raise NotImplementedError  # each dialect has its own shape

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "events" if call.stream else "whole"

    def decode(
        self,
        call: Call,
        body: bytes,
        *,
        as_stream: bool = False,
        now_unix_s: float = 0.0,  # noqa: ARG002 -- the answer passes as it came
    ) -> WholeAnswer | Failure:
        found = self.judge(call, body)
        return NO_STREAM if as_stream and isinstance(found, WholeAnswer) else found

    def counts(self, call: Call, *, is_committed: bool) -> bool:  # noqa: ARG002
        return call.stream

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return classify(status, headers, body, now_unix_s, self.errors)


def judge_pieces(body: bytes, pieces: Sequence[Piece], usage: Usage | None, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer by its pieces, as a stream of the same pieces is judged: it must have content, or a reason
    for its end. A proof of hidden reasoning alone is no content."""
    failed = next((piece for piece in pieces if isinstance(piece, Failed)), None)
    if failed is not None:
        return classify_inside(failed.body, errors)
    end = next((piece for piece in pieces if isinstance(piece, Finish)), None)
    has_content = any(isinstance(piece, CONTENT) and not isinstance(piece, SignaturePiece) for piece in pieces)
    if end is None and not has_content:
        return Failure(failures.TRUNCATED, "the provider's answer has neither content nor a reason for its end")
    return WholeAnswer(body, usage, BY_REASON.get(end.reason) if end is not None else None)
