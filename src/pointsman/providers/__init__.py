"""The dialects of providers, one in each file. They build and read HTTP messages, without I/O."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from pointsman.domain.operations import Operation
from pointsman.domain.prices import ModelFacts
from pointsman.domain.targets import Candidate, Family
from pointsman.providers._continued import ContinuedCodec, marking, own_head
from pointsman.providers._translated import TranslatedCodec
from pointsman.providers._translated_embeddings import TranslatedEmbeddings
from pointsman.providers.api import Codec, Provider
from pointsman.registry import members
from pointsman.wire.dialects import CONVERSATIONS, DIALECTS
from pointsman.wire.embedders import EMBEDDERS
from pointsman.wire.translation import Halves, PieceWriter
from pointsman.wire.upstreams import SPOKEN, Upstream


def _discover() -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for module, provider in members(__name__, "PROVIDER"):
        if not isinstance(provider, Provider) or provider.name.replace("-", "_") != module:
            raise TypeError(f"providers/{module}.py: PROVIDER must be a Provider with the name of its file")
        found[provider.name] = provider
    return found


OPENAI = "openai"  # the dialect of all operations that are no conversation
PROVIDERS: Mapping[str, Provider] = _discover()


def _speaks(provider: Provider, dialect: Upstream) -> bool:
    codec = provider.codecs.get(dialect.operation)
    return codec is not None and codec.dialect == dialect.name


def _native(provider: Provider) -> Upstream | None:
    """Return the dialect in which a provider gets translated requests."""
    return next((one for one in SPOKEN.values() if _speaks(provider, one)), None)


def embedder_of(provider: Provider) -> str:
    """Return the dialect in which a provider takes requests for embeddings; empty if it takes none."""
    codec = provider.codecs.get("embedding")
    return "" if codec is None else codec.dialect


def _codecs(provider: Provider) -> dict[tuple[Operation, str], Codec]:
    """Return the codecs of a provider by operation and by the client's dialect. For each dialect of a conversation that
    the provider does not speak, there is a translation to the first that it does. Other operations are requested in
    OpenAI's dialect only."""
    found: dict[tuple[Operation, str], Codec] = {}
    for operation, codec in provider.codecs.items():
        found[operation, codec.dialect] = codec
    _add_embeddings(provider, found)
    native = _native(provider)
    if native is None:
        return found
    head = own_head(native.path, native.name)
    for client in CONVERSATIONS:
        if client.halves is not None and (client.operation, client.name) not in found:
            found[client.operation, client.name] = TranslatedCodec(
                native=found[native.operation, native.name],
                ours=client.halves,
                theirs=native.halves,
                operation=native.operation,
                head=head,
                errors=provider.errors,
                adapt=provider.adapt,
                splitter=provider.splitter,
            )
    return found


def _add_embeddings(provider: Provider, found: dict[tuple[Operation, str], Codec]) -> None:
    """Add the translations of requests for embeddings, if the provider has them."""
    name = embedder_of(provider)
    theirs = EMBEDDERS.get(name)
    if theirs is None:
        return
    head = own_head(theirs.path, name)
    for client in DIALECTS.values():
        if client.embeddings is not None and client.name != name:
            found["embedding", client.name] = TranslatedEmbeddings(
                native=provider.codecs["embedding"], ours=client.embeddings, theirs=theirs, head=head
            )


_RECORDS = {
    record.name: record for provider in PROVIDERS.values() for record in (provider, *provider.families.values())
}
_CODECS = {name: _codecs(record) for name, record in _RECORDS.items()}


def codec_of(provider: str, operation: Operation, dialect: str) -> Codec:
    """Return the codec of a type of provider for an operation that a client requests in `dialect`. Raises `KeyError` if
    the provider does not support the operation."""
    return _CODECS[provider][operation, dialect]


def codec_for(item: Candidate, operation: Operation, dialect: str) -> Codec:
    """Return the codec of a candidate for an operation that a client requests in `dialect`. Raises `KeyError` if the
    candidate does not support it."""
    family = item.family if item.endpoint.families else None
    return _CODECS[item.endpoint.type if family is None else family.name][operation, dialect]


def _record_of(item: Candidate) -> Provider:
    """Return the record of a candidate's API."""
    family = item.family if item.endpoint.families else None
    return _RECORDS[item.endpoint.type if family is None else family.name]


def families_of(provider: Provider) -> tuple[Family, ...]:
    """Return the models of a provider that have an API of their own."""
    return tuple(
        Family(pattern, record.name, dialects_of(record), record.needs_bound, embedder_of(record))
        for pattern, record in provider.families.items()
    )


def dialects_of(provider: Provider) -> tuple[str, ...]:
    """Return the dialects of conversations that a provider speaks itself."""
    return tuple(one.name for one in SPOKEN.values() if _speaks(provider, one))


def operations_of(provider: Provider) -> frozenset[Operation]:
    """Return the operations that clients of any dialect may request of a provider."""
    records = (provider, *provider.families.values())
    return frozenset(operation for record in records for operation, _ in _CODECS[record.name])


def continues_in(item: Candidate, facts: ModelFacts | None = None) -> Upstream | None:
    """Return the dialect in which a candidate gets the request for the rest of an answer; `None` if its model does not
    continue a text. `facts` are those of the catalog, which decide if they know it."""
    prefill = _record_of(item).prefill
    if prefill is None:
        return None
    if facts is not None and "prefill" in facts.capabilities | facts.lacks:
        takes = "prefill" in facts.capabilities
    else:
        takes = prefill.takes(item.names_at())
    return _dialect_of_rest(item) if takes else None


def _dialect_of_rest(item: Candidate) -> Upstream | None:
    provider = _record_of(item)
    spoken = _native(provider)
    if provider.prefill is None or spoken is None:
        return None
    is_served = spoken.operation in item.endpoint.operations and spoken.name in item.dialects
    return spoken if is_served else None


def continued_codec(item: Candidate, dialect: str, writer: Callable[[bool], PieceWriter]) -> Codec:
    """Return the codec of an attempt that continues an answer for a client of `dialect`. `writer` returns the writer of
    the rest, and gets whether the provider repeats the text so far. Raises `KeyError` if the provider continues no
    text."""
    provider, spoken, ours = _record_of(item), _dialect_of_rest(item), DIALECTS[dialect].halves
    prefill = provider.prefill
    if spoken is None or prefill is None or not isinstance(ours, Halves):
        raise KeyError(item.id)
    return ContinuedCodec(
        native=provider.codecs[spoken.operation],
        ours=replace(ours, writer=lambda call, now_unix_s: writer(prefill.echoes)),  # noqa: ARG005
        theirs=spoken.halves,
        operation=spoken.operation,
        head=own_head(prefill.path or spoken.path, spoken.name),
        errors=provider.errors,
        adapt=marking(provider.adapt, prefill),
        prefill=prefill,
        passes=dialect == spoken.name,
        splitter=provider.splitter,
    )
