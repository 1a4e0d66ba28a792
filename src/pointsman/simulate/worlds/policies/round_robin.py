"""Round robin: the next route for each request, in turn."""

from pointsman.simulate.worlds.policies.base import Policy
from pointsman.simulate.worlds.world import Arrival


class RoundRobin(Policy):
    """Each request begins one route further than the last one, and fails over in the same direction."""

    name = "plain-round-robin"
    _next = 0

    def rank(self, request: Arrival, now: float) -> list[int]:  # noqa: ARG002
        first, count = self._next, len(self.routes)
        self._next = (first + 1) % count
        return [(first + place) % count for place in self.all]
