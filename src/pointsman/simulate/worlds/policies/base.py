"""The interface of policies, and the parts that several of them share."""

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Protocol

from pointsman.domain.failures import Failure, Fault
from pointsman.simulate.worlds.physics import Route
from pointsman.simulate.worlds.world import Arrival


class Policy:
    """A router. It knows routes by their places in `routes`, and may read no more of them than their keys' weights.
    Only an oracle reads their state.

    The hooks are called at the start of an attempt, at its first content, and at its end. `took_s` is the time since
    the start. Times are seconds of the simulated clock. `attempt_s` is the longest time of an attempt to its first
    content, by the defaults of the product; the deadline of the request bounds it too."""

    name: ClassVar[str] = ""
    attempt_s: ClassVar[float] = 600.0
    attempts: ClassVar[int] = 3  # for each request

    def __init__(self, routes: Sequence[Route], rng: Random) -> None:
        self.routes = routes
        self.rng = rng
        self.all = range(len(routes))
        self.running = [0] * len(routes)

    def rank(self, request: Arrival, now: float) -> list[int]:
        """Return all routes, the best first."""
        raise NotImplementedError  # each policy has its own rule

    def wait_s(self, request: Arrival, now: float) -> float:  # noqa: ARG002
        """Return the time to wait before the request is ranked. Only an oracle waits."""
        return 0.0

    def patience(self, request: Arrival, now: float, ranking: Sequence[int]) -> dict[int, float]:  # noqa: ARG002
        """Return the longest waits for the first content, by route, while another one is left."""
        return {}

    def started(self, route: int, now: float) -> None:  # noqa: ARG002
        self.running[route] += 1

    def answered(self, route: int, request: Arrival, took_s: float, now: float) -> None:
        """Note the first content."""

    def succeeded(self, route: int, request: Arrival, took_s: float, content_s: float, *, now: float) -> None:  # noqa: ARG002
        """Note the end of an answer, whose first content came after `content_s`."""
        self.running[route] -= 1

    def failed(self, route: int, failure: Failure, took_s: float, now: float) -> None:  # noqa: ARG002
        self.running[route] -= 1


class Picks(Protocol):
    """A rule that picks one of some routes."""

    def __call__(self, routes: Sequence[int], now: float) -> int: ...


def picked(routes: Sequence[int], pick: Picks, now: float) -> list[int]:
    """Return the routes in the order in which a rule picks them, each from those that are left."""
    left, found = list(routes), []
    while left:
        one = pick(left, now) if len(left) > 1 else left[0]
        left.remove(one)
        found.append(one)
    return found


def is_limit(failure: Failure) -> bool:
    """Return whether a failure is a rate limit."""
    return failure.kind.fault is Fault.QUOTA
