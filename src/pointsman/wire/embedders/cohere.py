"""Requests for embeddings as Cohere takes them, also at Amazon Bedrock.

https://docs.cohere.com/reference/embed, https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html

- `input_type` is required. A client may add it to its request, as the field of that name; if it does not, the texts are
  `search_document`.
- Cohere cuts long texts by default. `truncate: NONE` has it reject them, unless the client sets `truncate`.
- It takes at most 96 texts at once. `dimensions` is `output_dimension`, which older models do not have.
- Bedrock reports the tokens in a header, and not in the body.
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.conversations import Written
from pointsman.wire.embeddings import EmbeddingProviderHalves, EmbeddingRequest, Embeddings
from pointsman.wire.json_object import encode_object
from pointsman.wire.upstreams.cohere.usage import read_usage

MAX_TEXTS = 96
_OWN = frozenset({"input_type", "truncate", "priority"})  # fields that a client may add to its request
_DEFAULTS = {"input_type": Raw(b'"search_document"'), "truncate": Raw(b'"NONE"')}


class _Vectors(Struct, gc=False):
    floats: list[list[float]] = msgspec.field(default=[], name="float")


class _Answer(Struct, gc=False):
    embeddings: _Vectors | list[list[float]]
    meta: Raw = Raw(b"")


_ANSWER = msgspec.json.Decoder(_Answer)


def write_request(asked: EmbeddingRequest) -> Written:
    """Return the body of a request, without the model."""
    fields: dict[str, object] = {"texts": asked.texts, "embedding_types": ["float"], **_DEFAULTS}
    if asked.dimensions is not None:
        fields["output_dimension"] = asked.dimensions
    fields |= {name: raw for name, raw in asked.rest.items() if name in _OWN}
    cannot = [name for name in asked.rest if name not in _OWN]
    if len(asked.texts) > MAX_TEXTS:
        cannot.append(f"more than {MAX_TEXTS} texts in input")
    return Written(fields={name: Raw(encode_object(value)) for name, value in fields.items()}, cannot=tuple(cannot))


def read_answer(body: bytes) -> Embeddings:
    """Return the embeddings in an answer. One that names no type has a list of them."""
    found = _ANSWER.decode(body)
    vectors = found.embeddings if isinstance(found.embeddings, list) else found.embeddings.floats
    if not vectors:
        raise ValueError("it has no embeddings")
    return Embeddings(vectors=vectors, usage=read_usage(found.meta))


HALVES = EmbeddingProviderHalves(write_request=write_request, read_answer=read_answer)
