"""Prequal without probes, with Envoy's outlier detection.

Prequal (Wydrowski et al., NSDI 2024, arXiv 2312.10172) probes replicas for their requests in flight and their latency.
A replica is *hot* if its requests in flight exceed a quantile of all. Among the cold ones the lowest latency wins; if
all are hot, the fewest requests in flight. Providers of models cannot be probed, so the own requests in flight and the
median of the last 16 times to the first content take the place of probes.
"""

from collections import deque
from collections.abc import Sequence

from pointsman.simulate.worlds.policies.base import picked
from pointsman.simulate.worlds.policies.envoy import OutlierDetection
from pointsman.simulate.worlds.world import Arrival

QUANTILE = 0.84
SAMPLES, IN_FLIGHT_SAMPLES = 16, 200


class PassivePrequal(OutlierDetection):
    """The lowest median time among the routes that are not hot."""

    name = "prequal"
    attempt_s = 600.0

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self.times: list[deque[float]] = [deque(maxlen=SAMPLES) for _ in self.routes]
        self._in_flight: deque[int] = deque(maxlen=IN_FLIGHT_SAMPLES)
        self._most = 0

    def rank(self, request: Arrival, now: float) -> list[int]:  # noqa: ARG002
        members = [place for place in self.all if self.ejected_until[place] <= now]
        ejected = [place for place in self.all if self.ejected_until[place] > now]
        self._in_flight.extend([self.running[place] for place in members or self.all])
        ordered = sorted(self._in_flight)
        self._most = ordered[int(QUANTILE * (len(ordered) - 1))]
        return picked(members, self.pick, now) + picked(ejected, self.pick, now)

    def pick(self, routes: Sequence[int], now: float) -> int:  # noqa: ARG002
        cold = [place for place in routes if self.running[place] <= self._most]
        if cold:
            return min((self._median(place), self.rng.random(), place) for place in cold)[2]
        return min((self.running[place], self.rng.random(), place) for place in routes)[2]

    def _median(self, place: int) -> float:
        found = self.times[place]
        return sorted(found)[len(found) // 2] if found else 0.0

    def answered(self, route: int, request: Arrival, took_s: float, now: float) -> None:  # noqa: ARG002
        self.times[route].append(took_s)
