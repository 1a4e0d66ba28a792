"""The candidates that budgets fall to: the `then` of a budget, for requests that it has no room for.

They come after all other candidates, and they count in every limit except the budgets that name them. Every policy
checks them like any other candidate.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pointsman.domain.calls import Call
from pointsman.domain.identity import VirtualKey
from pointsman.domain.limits import Limit
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Choice
from pointsman.domain.snapshots import PublicModel, Snapshot
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Verdict
from pointsman.routing.candidates import with_keys_of

# Operations whose requests any model for text can serve.
FALLING: frozenset[Operation] = frozenset({"chat", "responses", "completion"})


def with_instead(
    candidates: Sequence[Candidate],
    call: Call,
    key: VirtualKey | None,
    snapshot: Snapshot,
    resolve: Callable[[str], PublicModel | None],
) -> Sequence[Candidate]:
    """Return the candidates, followed by those that their budgets fall to. A client that names a provider gets no
    other."""
    limits = [limit for item in candidates for limit in item.endpoint.limits]
    if key is not None:
        limits += [limit for item in candidates for limit in _of_entry(key, item)]
        limits += [*key.limits, *[limit for one in key.end_users for limit in one.limits]]
    names = dict.fromkeys(limit.then for limit in limits if limit.then)
    if not names or call.operation not in FALLING:
        return candidates
    found = [item for name in names for item in instead(name, snapshot, resolve)]
    if call.head.provider is not None:
        found = [item for item in found if item.endpoint.name == call.head.provider]
    return (*candidates, *(with_keys_of(key, found) if key is not None else found))


def instead(name: str, snapshot: Snapshot, resolve: Callable[[str], PublicModel | None]) -> list[Candidate]:
    """Return the candidates of a budget's `then`: the targets of a public name, else the provider's model."""
    public = snapshot.models.get(name) or resolve(name)
    targets = public.targets if public is not None else ()
    return [replace(item, provenance="then", then=name) for item in targets]


def opened(choices: Sequence[Choice], verdicts: Sequence[Verdict]) -> tuple[Choice, ...]:
    """Return those of the choices that a budget falls to, since it left a candidate out."""
    names = {name for verdict in verdicts for name in verdict.reason.then}
    return tuple([choice for choice in choices if choice.candidate.then in names])


def _of_entry(key: VirtualKey, item: Candidate) -> tuple[Limit, ...]:
    entry = key.entries.get(item.endpoint.name)
    return entry.limits if entry is not None else ()
