"""The codec for embeddings between two dialects (`wire.embeddings`), around the codec of the provider's own."""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call, RequestHead
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.outcomes import Usage
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._broken import malformed
from pointsman.providers._translated import cannot_express
from pointsman.providers.api import AnswerScan, Codec, Form, StreamDecoder, WholeAnswer
from pointsman.wire.embeddings import EmbeddingHalves, EmbeddingProviderHalves, translate_embedding
from pointsman.wire.json_object import UNREADABLE


class TranslatedEmbeddings(Struct, frozen=True, kw_only=True, eq=False):
    """A `Codec` for calls in a client's dialect, `ours`, at a provider whose codec `native` speaks another one,
    `theirs`. `head` is that of each request to the provider."""

    native: Codec
    ours: EmbeddingHalves
    theirs: EmbeddingProviderHalves
    head: RequestHead
    is_translating: bool = True

    @property
    def dialect(self) -> str:
        return self.native.dialect

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        written = translate_embedding(self.ours, self.theirs, call)
        if written.cannot:
            raise Rejection(cannot_express(written))
        inner = replace(call, head=self.head, fields=written.fields)
        request = self.native.encode(inner, candidate, key, attempt_id, now_unix_s)
        return replace(request, dropped=(*written.dropped, *request.dropped)) if written.dropped else request

    def is_answer(self, status: int) -> bool:
        return self.native.is_answer(status)

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "whole"

    def decode(
        self, call: Call, body: bytes, *, as_stream: bool = False, now_unix_s: float = 0.0
    ) -> WholeAnswer | Failure:
        inner = replace(call, head=self.head)
        found = self.native.decode(inner, body, as_stream=as_stream, now_unix_s=now_unix_s)
        if isinstance(found, Failure):
            return replace(found, body=None)
        try:
            answer = self.theirs.read_answer(found.body)
        except (*UNREADABLE, ValueError) as error:
            return malformed(error)
        return WholeAnswer(self.ours.write_answer(call, answer), answer.usage)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:
        return self.native.decoder(replace(call, head=self.head), max_event_bytes, now_unix_s)

    def counts(self, call: Call, *, is_committed: bool) -> bool:
        return self.native.counts(call, is_committed=is_committed)

    def scan(self) -> AnswerScan:
        return self.native.scan()

    def usage_in(self, body: bytes) -> Usage | None:
        return self.native.usage_in(body)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return replace(self.native.failure(status, headers, body, now_unix_s), body=None)
