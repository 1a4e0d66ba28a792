"""Requests for embeddings as Amazon's Titan models take them, one text at a time.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html. The first version has no
`dimensions`.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage
from pointsman.wire.embeddings import EmbeddingProviderHalves, EmbeddingRequest, Embeddings
from pointsman.wire.json_object import encode_object
from pointsman.wire.usage import Tokens


class _Answer(Struct, rename="camel", gc=False):
    embedding: list[float]
    input_text_token_count: Tokens | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def write_request(asked: EmbeddingRequest) -> Written:
    """Return the body of a request, without the model."""
    fields = {"inputText": Raw(encode_object("".join(asked.texts[:1])))}
    if asked.dimensions is not None:
        fields["dimensions"] = Raw(b"%d" % asked.dimensions)
    several = ["more than one text in input"] if len(asked.texts) > 1 else []
    return Written(fields=fields, cannot=(*several, *asked.rest))


def read_answer(body: bytes) -> Embeddings:
    """Return the embedding in an answer."""
    found = _ANSWER.decode(body)
    if not found.embedding:
        raise ValueError("it has no embeddings")
    tokens = found.input_text_token_count
    return Embeddings(vectors=[found.embedding], usage=None if tokens is None else Usage(tokens, 0))


HALVES = EmbeddingProviderHalves(write_request=write_request, read_answer=read_answer)
