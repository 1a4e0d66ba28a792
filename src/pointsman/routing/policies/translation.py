"""A provider that speaks another dialect than the client gets a translation, if its dialect can express the request.

A candidate whose dialect cannot is left out. One whose dialect lacks a field that only labels the request, such as
`user`, is tried last: another one may have it.
"""

from collections.abc import Sequence

from pointsman.domain.calls import Call, Facts
from pointsman.domain.conversations import Written
from pointsman.domain.failures import Rejection
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View
from pointsman.wire.dialects import COMMON, DIALECTS
from pointsman.wire.embeddings import EmbeddingHalves, translate_embedding
from pointsman.wire.translation import translate
from pointsman.wire.upstreams import SPOKEN


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    call, spoken = facts.call, item.dialects
    if call.operation == "embedding" and call.operation in item.endpoint.operations:
        ours, theirs = DIALECTS[call.head.dialect].embeddings, _embeddings_of(item)
        if ours is not None and ours is not theirs:
            return _of_embedding(ours, theirs, item.endpoint.name, call)
    client = DIALECTS[call.head.dialect].halves
    if call.head.dialect in spoken or client is None or not spoken or call.operation not in item.endpoint.operations:
        return None
    provider = SPOKEN[spoken[0]].halves
    name, path = item.endpoint.name, call.head.path.partition("?")[0]
    write = provider.others.get(call.operation)
    if write is None and (path != DIALECTS[call.head.dialect].path or call.head.method != "POST"):
        return Reason("not_expressible", f"the API of {name} has nothing like {call.head.method} {path}")
    try:
        written = translate(client, provider, call) if write is None else write(call)
    except Rejection as rejection:
        return Reason("not_expressible", rejection.failure.message)
    return _of_written(name, written)


def _embeddings_of(item: Candidate) -> EmbeddingHalves:
    """Return the halves in which a provider takes embeddings. One that has none of its own takes OpenAI's."""
    found = [DIALECTS[one].embeddings for one in item.dialects if one in DIALECTS]
    theirs = next((one for one in found if one is not None), COMMON.embeddings)
    assert theirs is not None
    return theirs


def _of_embedding(ours: EmbeddingHalves, theirs: EmbeddingHalves, name: str, call: Call) -> Reason | None:
    try:
        return _of_written(name, translate_embedding(ours, theirs, call))
    except Rejection as rejection:
        return Reason("not_expressible", rejection.failure.message)


def _of_written(name: str, written: Written) -> Reason | None:
    if written.cannot:
        return Reason("not_expressible", f"the API of {name} cannot express {written.reasons}")
    if written.dropped:
        return Reason("fields_dropped", f"the API of {name} has no {', '.join(written.dropped)}", is_last_resort=True)
    return None


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return a test for requests in a dialect that some candidate does not speak."""
    spoken = [frozenset(item.dialects) for item in candidates]
    by_all = frozenset.intersection(*spoken) if spoken else frozenset[str]()
    others = frozenset(name for name, one in DIALECTS.items() if name not in by_all and one.halves is not None)
    return (lambda call: call.head.dialect in others) if others else None
