"""Rankings at providers whose fields differ from those of Cohere's first API, which clients of `/v1/rerank` speak.

| | field of the request | list in the answer | a document in it |
|---|---|---|---|
| Cohere's first API, Jina, Together, SiliconFlow, vLLM | `top_n` | `results` | an object with `text` |
| Cohere's second API | `top_n` | `results` | never |
| Voyage | `top_k` | `data` | a text |
| Fireworks | `top_n` | `data` | a text |

https://docs.cohere.com/reference/rerank, https://docs.voyageai.com/reference/reranker-api,
https://docs.fireworks.ai/api-reference/rerank-documents
"""

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure
from pointsman.domain.messages import UpstreamRequest
from pointsman.domain.targets import Candidate, ProviderKey
from pointsman.providers._broken import incomplete
from pointsman.providers._openai_codecs import PassthroughCodec
from pointsman.providers.api import WholeAnswer
from pointsman.wire.json_object import UNREADABLE, encode_object, is_empty, read_or

_TRUE = Raw(b"true")
_NO_RANKING = incomplete("list of results")


class _RankedDocument(Struct, gc=False, omit_defaults=True):
    index: int
    relevance_score: Raw = Raw(b"null")
    document: Raw = Raw(b"")


_ANSWER = msgspec.json.Decoder(dict[str, Raw])
_RANKED = msgspec.json.Decoder(list[_RankedDocument])
_DOCUMENTS = msgspec.json.Decoder(list[Raw])


class RankingCodec(PassthroughCodec, frozen=True, kw_only=True, eq=False):
    """A codec that renames fields of the request, and writes the answer as Cohere's first API does. `omit` are fields
    that the provider does not have. If it `returns_documents`, it does so on request; otherwise the codec does."""

    rename: tuple[tuple[str, str], ...] = ()
    omit: tuple[str, ...] = ()
    returns_documents: bool = True

    def encode(
        self, call: Call, candidate: Candidate, key: ProviderKey, attempt_id: str = "", now_unix_s: float = 0.0
    ) -> UpstreamRequest:
        fields = call.fields.copy()
        if not self.returns_documents:
            fields.pop("return_documents", None)
        for name, theirs in self.rename:
            if name in fields:
                fields[theirs] = fields.pop(name)
        dropped = tuple(name for name in self.omit if fields.pop(name, None) is not None)
        request = super().encode(replace(call, fields=fields), candidate, key, attempt_id, now_unix_s)
        return replace(request, dropped=dropped) if dropped else request

    def decode(
        self, call: Call, body: bytes, *, as_stream: bool = False, now_unix_s: float = 0.0
    ) -> WholeAnswer | Failure:
        found = super().decode(call, body, as_stream=as_stream, now_unix_s=now_unix_s)
        if isinstance(found, Failure):
            return found
        try:
            fields = _ANSWER.decode(found.body)
            ranked = _RANKED.decode(fields.pop("data" if "data" in fields else "results", Raw(b"")))
        except UNREADABLE:
            return _NO_RANKING
        documents: list[Raw] = []
        if not self.returns_documents and call.fields.get("return_documents") == _TRUE:
            documents = read_or(_DOCUMENTS, call.fields.get("documents", b"[]"), [])
        for one in ranked:
            if 0 <= one.index < len(documents):
                one.document = documents[one.index]
            if bytes(memoryview(one.document)[:1]) == b'"':
                one.document = Raw(b'{"text":%b}' % one.document)
            elif is_empty(one.document):
                one.document = Raw(b"")
        results = [
            {"index": one.index, "relevance_score": one.relevance_score}
            | ({"document": one.document} if bytes(memoryview(one.document)[:1]) else {})
            for one in ranked
        ]
        return replace(found, body=encode_object({**fields, "results": Raw(encode_object(results))}))
