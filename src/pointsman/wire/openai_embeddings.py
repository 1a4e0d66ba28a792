"""Embeddings in OpenAI's dialect. https://platform.openai.com/docs/api-reference/embeddings"""

import struct
from base64 import b64encode
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Written
from pointsman.wire.embeddings import NOT_TEXT, EmbeddingHalves, EmbeddingRequest, Embeddings
from pointsman.wire.json_object import UNREADABLE, encode_object, is_empty, read_value
from pointsman.wire.usage import read_usage

_READ = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_NULL = Raw(b"null")
_FORMATS = (b"null", b'"float"', b'"base64"')
_INPUT = msgspec.json.Decoder(str | list[str])
_COUNT: msgspec.json.Decoder[int | None] = msgspec.json.Decoder(int | None)


class _Item(Struct, gc=False):
    embedding: list[float]
    index: int = 0


class _Answer(Struct, gc=False):
    data: list[_Item]
    usage: Raw = _NULL


_ANSWER = msgspec.json.Decoder(_Answer)


def read_request(call: Call) -> EmbeddingRequest:
    """Return the texts of a call of `/v1/embeddings`. Raises `Rejection`."""
    fields = call.fields
    rest = {name: raw for name, raw in fields.items() if name not in _READ and not is_empty(raw)}
    if bytes(fields.get("encoding_format", _NULL)) not in _FORMATS:
        rest["an encoding_format other than float and base64"] = _NULL
    texts: tuple[str, ...] = ()
    try:
        found = _INPUT.decode(fields.get("input", _NULL))
        texts = (found,) if isinstance(found, str) else tuple(found)
    except UNREADABLE:
        rest[NOT_TEXT] = _NULL
    dimensions = read_value(_COUNT, fields.get("dimensions", _NULL), "dimensions")
    labels = ("user",) if not is_empty(fields.get("user", _NULL)) else ()
    return EmbeddingRequest(texts=texts, dimensions=dimensions, labels=labels, rest=rest)


def write_request(asked: EmbeddingRequest) -> Written:
    """Return the body of a request, without the model."""
    fields: dict[str, object] = {"input": asked.texts, "encoding_format": "float"}
    if asked.dimensions is not None:
        fields["dimensions"] = asked.dimensions
    return Written(fields={name: Raw(encode_object(value)) for name, value in fields.items()}, cannot=tuple(asked.rest))


def read_answer(body: bytes) -> Embeddings:
    """Return the embeddings in an answer."""
    found = _ANSWER.decode(body)
    vectors = [one.embedding for one in sorted(found.data, key=lambda one: one.index)]
    if not vectors:
        raise ValueError("it has no embeddings")
    return Embeddings(vectors=vectors, usage=read_usage(found.usage))


def write_answer(call: Call, answer: Embeddings) -> bytes:
    """Return an answer. With `base64`, each embedding is its numbers of 32 bits."""
    is_packed = bytes(call.fields.get("encoding_format", b"")) == b'"base64"'
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
        for index, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.tokens_in if answer.usage is not None else 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode_object({"object": "list", "data": data, "model": call.model, "usage": usage})


def _packed(vector: Sequence[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


HALVES = EmbeddingHalves(
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    path="/embeddings",
)
