"""Plain weights: a random route by weight for each request, whatever happened before."""

from collections.abc import Sequence

from pointsman.simulate.worlds.policies.base import Policy, picked
from pointsman.simulate.worlds.world import Arrival


class PlainWeights(Policy):
    """Each request draws its routes by the weights of providers and keys."""

    name = "plain-weights"

    def rank(self, request: Arrival, now: float) -> list[int]:  # noqa: ARG002
        return picked(self.all, self._draw, now)

    def _draw(self, routes: Sequence[int], now: float) -> int:  # noqa: ARG002
        weights = [self.routes[place].weight for place in routes]
        return self.rng.choices(routes, weights)[0] if any(weights) else self.rng.choice(routes)
