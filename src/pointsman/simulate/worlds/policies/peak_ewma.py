"""Peak EWMA, of Finagle and Linkerd, on the time to the first content, with Envoy's outlier detection.

From twitter/finagle `PeakEwma.scala`. The cost of a host jumps to a time above it, and moves slowly to one below it:

    cost = time                           if time > cost
    cost = cost · w + time · (1 - w)      otherwise, with w = exp(-passed / 10 s)
    load = cost · (requests in progress + 1)

A read counts as a time of 0, so a host without traffic is tried again. A host without any time yet has a huge load once
it has a request in progress. Two random hosts are compared. Finagle measures whole answers; the time to the first
content is kinder to it here, since lengths of answers would drown all else.
"""

from math import exp

from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.policies.envoy import OutlierDetection
from pointsman.simulate.worlds.world import Arrival

DECAY_S = 10.0
PENALTY = 1e9


class PeakEwma(OutlierDetection):
    """The route with the lower load, of two."""

    name = "peak-ewma"
    attempt_s = 600.0

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self.cost = [0.0] * len(self.routes)
        self._at = [0.0] * len(self.routes)

    def load(self, route: int, now: float) -> float:
        self._observe(route, 0.0, now)
        if self.cost[route] < 1e-9 and self.running[route]:
            return PENALTY + self.running[route]
        return self.cost[route] * (self.running[route] + 1)

    def _observe(self, route: int, time_s: float, now: float) -> None:
        kept = exp(-max(now - self._at[route], 0.0) / DECAY_S)
        cost = self.cost[route]
        self.cost[route] = time_s if time_s > cost else cost * kept + time_s * (1 - kept)
        self._at[route] = now

    def answered(self, route: int, request: Arrival, took_s: float, now: float) -> None:  # noqa: ARG002
        self._observe(route, took_s, now)

    def failed(self, route: int, failure: Failure, took_s: float, now: float) -> None:
        super().failed(route, failure, took_s, now)
        self._observe(route, took_s, now)
