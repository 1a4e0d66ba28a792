"""A model whose context is too small for a request is left out if that is certain, and tried last if it is likely. Only
the model knows the number of tokens of a prompt."""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View
from pointsman.wire.tokens import MAX_BYTES_PER_TOKEN, tokens_needed


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    known = view.snapshot.pricing.catalog.find(item.endpoint.catalog, item.model)
    if known is None or known.context is None:
        return None
    likely = tokens_needed(facts.call)
    if likely <= known.context:
        return None
    message = f"the request needs about {likely} tokens, and the context window of {item.model} has {known.context}"
    is_certain = tokens_needed(facts.call, MAX_BYTES_PER_TOKEN) > known.context
    return Reason("context_window", message, is_last_resort=not is_certain)


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return a test for requests that need more than the smallest context."""
    found = [asker.snapshot.pricing.catalog.find(item.endpoint.catalog, item.model) for item in candidates]
    contexts = [known.context for known in found if known is not None and known.context is not None]
    if not contexts:
        return None
    smallest = min(contexts)
    return lambda call: tokens_needed(call) > smallest
