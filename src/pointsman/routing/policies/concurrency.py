"""A candidate with as many attempts in progress as its limit allows is tried last: another one would queue there.

If every candidate is at its limit, nothing is gained by another order, so none is moved (`Judge.is_crowded`).
"""

from collections.abc import Sequence

from pointsman.domain.calls import Facts
from pointsman.domain.targets import Candidate
from pointsman.domain.verdicts import Reason
from pointsman.routing.policies import Asker, Watch
from pointsman.routing.view import View


def check(item: Candidate, facts: Facts, view: View, now: float) -> Reason | None:
    if item.endpoint.max_concurrency is None:
        return None
    most, running = view.most_in_progress(item), view.in_progress.get(item.id, 0)
    if most is None or running < most:
        return None
    origin = "learned from its answers" if item.endpoint.max_concurrency == "auto" else "a worker's part"
    message = f"{running} attempts are in progress, and its max_concurrency is {most}, {origin}"
    return Reason("concurrency_reached", message, is_last_resort=True)


def watch(candidates: Sequence[Candidate], asker: Asker) -> Watch | None:
    """Return `None`: the attempts in progress decide, and not the configuration or the request alone."""
    return None
