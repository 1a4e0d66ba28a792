"""Envoy: least request by the power of two choices, with outlier detection.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/load_balancers and
api/v3/config/cluster/v3/outlier_detection.proto:

    least request   two random hosts, of which the one with fewer active requests is chosen
    ejection        after five server errors in a row, for 30 s multiplied by the number of ejections, at most 300 s.
                    A 429 is no server error
    panic           while every host is ejected, all of them are used
"""

from collections.abc import Sequence

from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.policies.base import Policy, is_limit, picked
from pointsman.simulate.worlds.world import Arrival

CONSECUTIVE = 5
EJECTION_S, LONGEST_EJECTION_S = 30.0, 300.0


class OutlierDetection(Policy):
    """Ejection of hosts after errors in a row, and the power of two choices among the others."""

    attempt_s = 15.0  # the default timeout of a route

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.in_row = [0] * len(self.routes)
        self.ejections = [0] * len(self.routes)
        self.ejected_until = [0.0] * len(self.routes)

    def rank(self, request: Arrival, now: float) -> list[int]:  # noqa: ARG002
        members = [place for place in self.all if self.ejected_until[place] <= now]
        ejected = [place for place in self.all if self.ejected_until[place] > now]
        return picked(members, self.pick, now) + picked(ejected, self.pick, now)

    def pick(self, routes: Sequence[int], now: float) -> int:
        """Return the better of two random routes."""
        first, second = self.rng.sample(routes, 2)
        return first if self.load(first, now) <= self.load(second, now) else second

    def load(self, route: int, now: float) -> float:  # noqa: ARG002
        """Return the measure by which two routes are compared; less is better."""
        return self.running[route]

    def succeeded(self, route: int, request: Arrival, took_s: float, content_s: float, *, now: float) -> None:
        super().succeeded(route, request, took_s, content_s, now=now)
        self.in_row[route] = 0

    def failed(self, route: int, failure: Failure, took_s: float, now: float) -> None:
        super().failed(route, failure, took_s, now)
        if is_limit(failure):
            return
        self.in_row[route] += 1
        if self.in_row[route] >= CONSECUTIVE:
            self.in_row[route] = 0
            self.ejections[route] += 1
            self.ejected_until[route] = now + min(EJECTION_S * self.ejections[route], LONGEST_EJECTION_S)


class LeastRequest(OutlierDetection):
    """The route with fewer requests in progress, of two."""

    name = "envoy-least-request"
