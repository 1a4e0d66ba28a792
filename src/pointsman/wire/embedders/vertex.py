"""Requests for embeddings as Vertex AI's `predict` takes them.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api. Long texts are cut by
default; if `autoTruncate` is false, they are rejected. Some models take one text at a time, which they say themselves.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage
from pointsman.wire.embeddings import EmbeddingProviderHalves, EmbeddingRequest, Embeddings
from pointsman.wire.json_object import encode_object
from pointsman.wire.usage import Tokens


class _Statistics(Struct, frozen=True, gc=False):
    token_count: Tokens | None = None


class _Embedding(Struct, gc=False):
    values: list[float]
    statistics: _Statistics = _Statistics()


class _Prediction(Struct, gc=False):
    embeddings: _Embedding


class _Answer(Struct, gc=False):
    predictions: list[_Prediction]


_ANSWER = msgspec.json.Decoder(_Answer)


def write_request(asked: EmbeddingRequest) -> Written:
    """Return the body of a request, without the model."""
    size = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    fields = {
        "instances": Raw(encode_object([{"content": text} for text in asked.texts])),
        "parameters": Raw(encode_object({"autoTruncate": False, **size})),
    }
    return Written(fields=fields, cannot=tuple(asked.rest))


def read_answer(body: bytes) -> Embeddings:
    """Return the embeddings in an answer."""
    found = [one.embeddings for one in _ANSWER.decode(body).predictions]
    if not found or not all(one.values for one in found):
        raise ValueError("it has no embeddings")
    counts = [one.statistics.token_count for one in found]
    tokens = [count for count in counts if count is not None]
    usage = Usage(sum(tokens), 0) if len(tokens) == len(counts) else None
    return Embeddings(vectors=[one.values for one in found], usage=usage)


HALVES = EmbeddingProviderHalves(write_request=write_request, read_answer=read_answer)
