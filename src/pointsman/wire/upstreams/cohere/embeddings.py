"""Write a request for embeddings in OpenAI's dialect as Cohere's, and read the answer.

https://docs.cohere.com/reference/embed, https://platform.openai.com/docs/api-reference/embeddings/create

- `input` are texts. Lists of tokens have no form in Cohere's API, which also takes at most 96 texts at once.
- `dimensions` is `output_dimension`. `encoding_format` is one of `embedding_types`; both know `float` and `base64`.
- `input_type` is required. A client may add it to its request, as the field of that name; if it does not, the texts are
  `search_document`.
- Cohere cuts long texts by default. `truncate: NONE` has it reject them, unless the client sets `truncate`.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage
from pointsman.wire.json_object import encode_object, is_empty, read_or
from pointsman.wire.upstreams.cohere.usage import read_usage

MAX_TEXTS = 96
_NO_VALUE = Raw(b"")
_TYPES = {b'"float"': "float", b'"base64"': "base64"}
_SAME = ("input_type", "truncate", "priority")  # the fields that have the same name in a client's request
_READ = frozenset({"model", "input", "dimensions", "encoding_format", "user", *_SAME})
_TEXTS: msgspec.json.Decoder[list[str] | str] = msgspec.json.Decoder(list[str] | str)
_DEFAULTS = {"input_type": Raw(b'"search_document"'), "truncate": Raw(b'"NONE"')}


class _Vectors(Struct, gc=False):
    floats: list[Raw] | None = msgspec.field(default=None, name="float")
    base64: list[Raw] | None = None


class EmbedAnswer(Struct, gc=False):
    """An answer. Without `embeddings` it is none."""

    embeddings: _Vectors | None = None
    meta: Raw = _NO_VALUE

    @property
    def vectors(self) -> Sequence[Raw]:
        """The embeddings in the order of the texts, each as its JSON."""
        found = self.embeddings or _Vectors()
        return found.floats or found.base64 or ()

    @property
    def usage(self) -> Usage | None:
        return read_usage(self.meta)


_ANSWER = msgspec.json.Decoder(EmbedAnswer)


def write_embedding(call: Call) -> Written:
    """Return the body of a request, without the model."""
    given, cannot = call.fields, list[str]()
    fields: dict[str, Raw] = {"texts": _texts(given.get("input", _NO_VALUE), cannot)}
    if not is_empty(given.get("dimensions", _NO_VALUE)):
        fields["output_dimension"] = given["dimensions"]
    kind = bytes(given.get("encoding_format", _NO_VALUE))
    if kind not in (b"", b"null") and kind not in _TYPES:
        cannot.append("an encoding_format other than float and base64")
    fields["embedding_types"] = Raw(encode_object([_TYPES.get(kind, "float")]))
    for name in _SAME:
        value = given.get(name, _NO_VALUE)
        if not is_empty(value):
            fields[name] = value
        elif name in _DEFAULTS:
            fields[name] = _DEFAULTS[name]
    cannot += [name for name, value in given.items() if name not in _READ and not is_empty(value)]
    dropped = () if is_empty(given.get("user", _NO_VALUE)) else ("user",)
    return Written(fields=fields, cannot=tuple(cannot), dropped=dropped)


def _texts(given: Raw, cannot: list[str]) -> Raw:
    found = read_or(_TEXTS, given, [])
    texts = [found] if isinstance(found, str) else found
    if not texts:
        cannot.append("an input that is not one or more texts")
    elif len(texts) > MAX_TEXTS:
        cannot.append(f"more than {MAX_TEXTS} texts in input")
    return Raw(b"[%b]" % bytes(given)) if isinstance(found, str) else given


def decode_embeddings(body: bytes) -> EmbedAnswer:
    """Return an answer. Raises one of `json_object.UNREADABLE`."""
    return _ANSWER.decode(body)


def embeddings_for(call: Call, answer: EmbedAnswer) -> bytes:
    """Return an answer as a client of OpenAI's dialect reads it."""
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(answer.vectors)]
    tokens = answer.usage.tokens_in if answer.usage is not None else 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode_object({"object": "list", "data": data, "model": call.model, "usage": usage})
