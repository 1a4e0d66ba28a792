"""The expected cost of a request at a target that a condition names."""

from collections.abc import Callable

from pointsman.domain.calls import Facts
from pointsman.domain.dollars import NANO
from pointsman.domain.targets import Candidate, candidate
from pointsman.routing.costs import expected_costs
from pointsman.routing.view import View


def expected_usd(name: str) -> Callable[[Facts, View], float | None]:
    """Return a function for the expected cost at `provider/model` in dollars. It returns `None` if the price is
    unknown. The function belongs to one snapshot."""
    provider, _, model = name.partition("/")
    known: list[Candidate] = []

    def read(facts: Facts, view: View) -> float | None:
        if not known:
            endpoint = view.snapshot.endpoints.get(provider)
            if endpoint is None:
                return None
            known.append(candidate(endpoint, model))
        nano = expected_costs(known, facts, view)[0]
        return None if nano is None else nano / NANO

    return read
