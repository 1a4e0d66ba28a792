"""Requests for embeddings between dialects: each dialect has halves, as for conversations (`wire.translation`).

The common form is a list of texts. Tokens in place of texts, and media, have no common form.
"""

from collections.abc import Callable, Sequence

from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.conversations import Written
from pointsman.domain.outcomes import Usage


class EmbeddingRequest(Struct, frozen=True, kw_only=True, gc=False):
    """A request for the embeddings of some texts, each of `dimensions` numbers. `labels` are the names of fields that
    only label it, and `rest` are all fields that have no place here."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    labels: tuple[str, ...] = ()
    rest: dict[str, Raw] = {}


class Embeddings(Struct, frozen=True, kw_only=True, gc=False):
    """The embeddings of an answer, in the order of the texts. `usage` is `None` if the provider reports none."""

    vectors: Sequence[Sequence[float]]
    usage: Usage | None = None


class EmbeddingProviderHalves(Struct, frozen=True, kw_only=True, eq=False):
    """The two halves of a dialect that a provider needs. `write_request` writes the body of a request without the
    model. It names all of `rest` that it has no place for. `read_answer` raises one of `json_object.UNREADABLE`, or
    `ValueError` for an answer without embeddings. `path` is that of a request in the dialect."""

    write_request: Callable[[EmbeddingRequest], Written]
    read_answer: Callable[[bytes], Embeddings]
    path: str = ""


NOT_TEXT = "an input that is not text"


class EmbeddingHalves(EmbeddingProviderHalves, frozen=True, kw_only=True, eq=False):
    """The four halves of a dialect that clients speak too. `read_request` raises `Rejection`."""

    read_request: Callable[[Call], EmbeddingRequest]
    write_answer: Callable[[Call, Embeddings], bytes]


def translate_embedding(client: EmbeddingHalves, provider: EmbeddingProviderHalves, call: Call) -> Written:
    """Return the body of a call for a provider of another dialect. Raises `Rejection` for a call with a wrong
    shape."""
    asked = client.read_request(call)
    written = provider.write_request(asked)
    is_told = bool(asked.texts) or NOT_TEXT in written.cannot
    cannot = written.cannot if is_told else (*written.cannot, "an empty input")
    return replace(written, cannot=cannot, dropped=(*written.dropped, *asked.labels))
