"""The common parts of codecs for embeddings in a form that only providers take (`wire.embedders`)."""

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.outcomes import Usage
from pointsman.providers._judged import JudgedCodec
from pointsman.providers.api import Form, StreamDecoder, WholeAnswer
from pointsman.wire.embedders import EMBEDDERS
from pointsman.wire.json_object import UNREADABLE


class EmbedderCodec(JudgedCodec, frozen=True, kw_only=True, eq=False):
    """A `Codec` without `encode`. Embeddings are never streamed. Its answers are not read twice: no client speaks its
    dialect, so each of them is translated, which finds their faults and their usage."""

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "whole"

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:  # noqa: ARG002
        return WholeAnswer(body)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:
        raise NotImplementedError  # no provider streams embeddings

    def usage_in(self, body: bytes) -> Usage | None:
        try:
            return EMBEDDERS[self.dialect].read_answer(body).usage
        except (*UNREADABLE, ValueError):
            return None
