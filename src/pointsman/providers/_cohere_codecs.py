"""The codecs of Cohere's API. https://docs.cohere.com/reference/about"""

import re
from typing import ClassVar

from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Rejection
from pointsman.domain.messages import Headers, UpstreamRequest
from pointsman.domain.outcomes import Usage
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._cohere_answers import judge_chat, judge_embeddings, usage_in
from pointsman.providers._error_table import Rules
from pointsman.providers._openai_errors import classify
from pointsman.providers._translated import cannot_express
from pointsman.providers._translated_stream import UpstreamStream
from pointsman.providers._usage_scan import JsonScan
from pointsman.providers.api import (
    NO_STREAM,
    Form,
    StreamDecoder,
    WholeAnswer,
    bearer,
    cached_head,
    model_field,
)
from pointsman.wire.json_object import encode_object
from pointsman.wire.upstreams.cohere import HALVES
from pointsman.wire.upstreams.cohere.embeddings import write_embedding

_REASONING = re.compile(r"reasoning|command-a-plus")  # in the names of the models that can think


def _fitted(fields: dict[str, Raw], model: str, max_tokens: int | None) -> dict[str, Raw]:
    """Return the fields of a chat as a model takes them, with its bound on the answer in tokens."""
    out = dict(fields)
    if max_tokens is not None:
        out["max_tokens"] = Raw(b"%d" % max_tokens)
    if _REASONING.search(model) is None:
        out.pop("thinking", None)
    return out


class CohereChatCodec(Struct, frozen=True, kw_only=True, eq=False):
    """A codec that sends the translated fields of a conversation."""

    path: ClassVar[bytes] = b"/v2/chat"
    dialect: str = "cohere"
    is_translating: bool = False
    errors: Rules = ()
    scan = JsonScan

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        fields = _fitted(call.fields, candidate.model, call.max_tokens)
        fields["model"] = model_field(candidate.model_at(key))
        return self._request(call, candidate, key, fields)

    def _request(
        self, call: Call, candidate: Candidate, key: ProviderKey, fields: dict[str, Raw], dropped: tuple[str, ...] = ()
    ) -> UpstreamRequest:
        base_path = candidate.endpoint.base_path
        _, headers = cached_head(base_path, key, call.head, "application/json", auth=bearer)
        target = base_path.encode("ascii") + self.path
        return UpstreamRequest(b"POST", target, headers, encode_object(fields), dropped=dropped)

    def is_answer(self, status: int) -> bool:
        return 200 <= status < 300

    def form(self, call: Call, status: int, content_type: bytes) -> Form:  # noqa: ARG002
        return "events" if call.stream else "whole"

    def decode(
        self,
        call: Call,  # noqa: ARG002
        body: bytes,
        *,
        as_stream: bool = False,
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> WholeAnswer | Failure:
        found = judge_chat(body, self.errors)
        return NO_STREAM if as_stream and isinstance(found, WholeAnswer) else found

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return UpstreamStream(HALVES, errors=self.errors, max_event_bytes=max_event_bytes)

    def counts(self, call: Call, *, is_committed: bool) -> bool:  # noqa: ARG002
        return call.stream

    def usage_in(self, body: bytes) -> Usage | None:
        return usage_in(body)

    def failure(self, status: int, headers: Headers, body: bytes, now_unix_s: float) -> Failure:
        return classify(status, headers, body, now_unix_s, self.errors)


class CohereEmbedCodec(CohereChatCodec, frozen=True, kw_only=True, eq=False):
    """A codec that translates requests for embeddings in OpenAI's dialect, and their answers."""

    path: ClassVar[bytes] = b"/v2/embed"
    is_translating: bool = True

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        written = write_embedding(call)
        if written.cannot:
            raise Rejection(cannot_express(written))
        fields = {"model": model_field(candidate.model_at(key)), **written.fields}
        return self._request(call, candidate, key, fields, written.dropped)

    def decode(
        self,
        call: Call,
        body: bytes,
        *,
        as_stream: bool = False,  # noqa: ARG002 -- embeddings are never streamed
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> WholeAnswer | Failure:
        return judge_embeddings(call, body, self.errors)


class CohereModelsCodec(CohereChatCodec, frozen=True, kw_only=True, eq=False):
    """A codec that requests the list of models, on one page."""

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        base_path = candidate.endpoint.base_path
        _, headers = cached_head(base_path, key, call.head, "", auth=bearer)
        return UpstreamRequest(b"GET", f"{base_path}/v1/models?page_size=1000".encode("ascii"), headers, b"")
