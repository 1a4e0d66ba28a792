"""Embeddings in Gemini's dialect: `embedContent` for one content, and `batchEmbedContents` for several.

https://ai.google.dev/api/embeddings
"""

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage
from pointsman.wire.dialects.gemini.request_reader import whole_number
from pointsman.wire.dialects.gemini.usage import read_usage
from pointsman.wire.embeddings import EmbeddingHalves, EmbeddingRequest, Embeddings
from pointsman.wire.json_object import encode_object, is_empty, read_value

ONE, SEVERAL = "/embedContent", "/batchEmbedContents"
LABELS = ("taskType", "title")  # hints at the use of an embedding, which other dialects do not have
_NO_VALUE = Raw(b"")
_READ = frozenset({"model", "content", "outputDimensionality", *LABELS})


class _Part(Struct, gc=False):
    text: str | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] = []


class _Vector(Struct, gc=False):
    values: list[float] = []


class _Answer(Struct, rename="camel", gc=False):
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    usage_metadata: Raw = _NO_VALUE


_REQUESTS = msgspec.json.Decoder(list[dict[str, Raw]])
_CONTENT = msgspec.json.Decoder(_Content)
_NUMBER: msgspec.json.Decoder[float | str | None] = msgspec.json.Decoder(float | str | None)
_ANSWER = msgspec.json.Decoder(_Answer)


def requests_of(fields: dict[str, Raw]) -> list[dict[str, Raw]]:
    """Return the single requests of a body of either kind. Raises `Rejection`."""
    raw = fields.get("requests", _NO_VALUE)
    return [fields] if is_empty(raw) else read_value(_REQUESTS, raw, "requests")


def read_request(call: Call) -> EmbeddingRequest:
    """Return the texts of a call. Raises `Rejection`."""
    requests = requests_of(call.fields)
    rest, labels, texts, sizes = dict[str, Raw](), dict[str, None](), list[str](), set[int | None]()
    for number, one in enumerate(requests):
        place = f"requests[{number}]." if one is not call.fields else ""
        raw = one.get("content", Raw(b"{}"))
        parts = read_value(_CONTENT, raw, f"{place}content").parts
        if any(part.text is None for part in parts):
            rest[f"{place}content with more than text"] = raw
        texts.append("\n".join([part.text for part in parts if part.text is not None]))
        size = read_value(_NUMBER, one.get("outputDimensionality", Raw(b"null")), f"{place}outputDimensionality")
        sizes.add(whole_number(size, f"{place}outputDimensionality"))
        labels |= dict.fromkeys([name for name in LABELS if not is_empty(one.get(name, _NO_VALUE))])
        known = _READ | {"requests"} if one is call.fields else _READ
        rest |= {f"{place}{name}": raw for name, raw in one.items() if name not in known and not is_empty(raw)}
    if len(sizes) > 1:
        rest["several values of outputDimensionality"] = _NO_VALUE
    dimensions = next(iter(sizes), None)
    return EmbeddingRequest(texts=tuple(texts), dimensions=dimensions, labels=tuple(labels), rest=rest)


def write_request(asked: EmbeddingRequest) -> Written:
    """Return the body of a request for several embeddings, without the model."""
    size = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    requests = [{"content": {"parts": [{"text": text}]}, **size} for text in asked.texts]
    return Written(fields={"requests": Raw(encode_object(requests))}, cannot=tuple(asked.rest))


def read_answer(body: bytes) -> Embeddings:
    """Return the embeddings in an answer."""
    found = _ANSWER.decode(body)
    vectors = found.embeddings if found.embedding is None else [found.embedding]
    if not vectors or not all(vector.values for vector in vectors):
        raise ValueError("it has no embeddings")
    return Embeddings(vectors=[vector.values for vector in vectors], usage=read_usage(found.usage_metadata))


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer. Raises one of `json_object.UNREADABLE`."""
    return read_usage(_ANSWER.decode(body).usage_metadata)


def write_answer(call: Call, answer: Embeddings) -> bytes:
    """Return an answer to a request of either kind."""
    vectors = [{"values": vector} for vector in answer.vectors]
    fields: dict[str, object] = {"embeddings": vectors} if "requests" in call.fields else {"embedding": vectors[0]}
    if answer.usage is not None:
        tokens = answer.usage.tokens_in
        fields["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return encode_object(fields)


HALVES = EmbeddingHalves(
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    path=SEVERAL,
)
