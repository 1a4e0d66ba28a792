"""The codecs of Cohere's API. https://docs.cohere.com/reference/about"""

import re
from typing import ClassVar

from msgspec import Raw

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._cohere_answers import judge_chat, judge_embeddings, usage_in
from pointsman.providers._judged import JudgedCodec
from pointsman.providers._translated_stream import UpstreamStream
from pointsman.providers.api import StreamDecoder, WholeAnswer, bearer, cached_head, model_field
from pointsman.wire.json_object import encode_object
from pointsman.wire.upstreams.cohere import HALVES

_REASONING = re.compile(r"reasoning|command-a-plus")  # in the names of the models that can think


def fitted(fields: dict[str, Raw], model: str, max_tokens: int | None) -> dict[str, Raw]:
    """Return the fields of a chat as a model takes them, with its bound on the answer in tokens."""
    out = dict(fields)
    if max_tokens is not None:
        out["max_tokens"] = Raw(b"%d" % max_tokens)
    if _REASONING.search(model) is None:
        out.pop("thinking", None)
    return out


class CohereChatCodec(JudgedCodec, frozen=True, kw_only=True, eq=False):
    """A codec that sends the translated fields."""

    path: ClassVar[bytes] = b"/v2/chat"
    dialect: str = "cohere"
    usage_in = staticmethod(usage_in)

    def encode(
        self,
        call: Call,
        candidate: Candidate,
        key: ProviderKey,
        attempt_id: str = "",  # noqa: ARG002 -- the API takes no id of its client
        now_unix_s: float = 0.0,  # noqa: ARG002
    ) -> UpstreamRequest:
        base_path = candidate.endpoint.base_path
        _, headers = cached_head(base_path, key, call.head, "application/json", auth=bearer)
        body = encode_object({**call.fields, "model": model_field(candidate.model_at(key))})
        return UpstreamRequest(b"POST", base_path.encode("ascii") + self.path, headers, body)

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:  # noqa: ARG002
        return judge_chat(body, self.errors)

    def decoder(self, call: Call, max_event_bytes: int, now_unix_s: float = 0.0) -> StreamDecoder:  # noqa: ARG002
        return UpstreamStream(HALVES, errors=self.errors, max_event_bytes=max_event_bytes)


class CohereEmbedCodec(CohereChatCodec, frozen=True, kw_only=True, eq=False):
    """A codec for requests for embeddings."""

    path: ClassVar[bytes] = b"/v2/embed"

    def judge(self, call: Call, body: bytes) -> WholeAnswer | Failure:  # noqa: ARG002
        return judge_embeddings(body, self.errors)
