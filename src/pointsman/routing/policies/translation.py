"""A provider that speaks another dialect than the client gets a translation, if its dialect can express the request.

A candidate whose dialect cannot is left out. One whose dialect lacks a field that only labels the request, such as
`user`, is tried last: another one may have it.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pointsman.domain.calls import Call, Facts
from pointsman.domain.conversations import Written
from pointsman.domain.failures import Rejection
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View
from pointsman.wire.dialects import CONVERSATIONS, DIALECTS
from pointsman.wire.embedders import EMBEDDERS
from pointsman.wire.embeddings import EmbeddingHalves, translate_embedding
from pointsman.wire.translation import OF_REASONING, does_reason, translate
from pointsman.wire.upstreams import SPOKEN

CONVERSING = frozenset({one.operation for one in CONVERSATIONS})


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    call, spoken = facts.call, item.dialects
    if call.operation == "embedding" and call.operation in item.endpoint.operations:
        ours = DIALECTS[call.head.dialect].embeddings
        if ours is not None and item.embedder != call.head.dialect:
            return _of_embedding(ours, item, call)
    if call.operation not in CONVERSING:  # its operation has one API at every provider, such as that of rankings
        return None
    if not spoken and item.endpoint.families:
        return Reason("not_expressible", f"{item.id} answers no conversations")
    client = DIALECTS[call.head.dialect].halves
    if call.head.dialect in spoken or client is None or not spoken or call.operation not in item.endpoint.operations:
        return None
    name, path = item.endpoint.name, call.head.path.partition("?")[0]
    if path != DIALECTS[call.head.dialect].path or call.head.method != "POST":
        return Reason("not_expressible", f"the API of {name} has nothing like {call.head.method} {path}")
    reasons = does_reason(item, call)
    try:
        written = translate(client, SPOKEN[spoken[0]].halves, call, reasons=reasons)
    except Rejection as rejection:
        return Reason("not_expressible", rejection.failure.message)
    if not reasons:  # the policy for capabilities judges a request for reasoning
        written = replace(written, dropped=tuple([one for one in written.dropped if one not in OF_REASONING]))
    return _of_written(name, written)


def _of_embedding(ours: EmbeddingHalves, item: Candidate, call: Call) -> Reason | None:
    theirs = EMBEDDERS.get(item.embedder)
    if theirs is None:
        return Reason("not_expressible", f"{item.id} makes no embeddings")
    try:
        return _of_written(item.endpoint.name, translate_embedding(ours, theirs, call))
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
