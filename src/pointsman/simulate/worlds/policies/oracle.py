"""The oracle: it knows the present state of every route, but not the luck of the next attempt.

It ranks routes by the expected time of an attempt, and failures as the time they cost: `p / (1 - p) · lost`. It knows
the load of each provider and what one more request costs those in progress there. It sends nothing to a route whose
limits would reject it, and waits until one admits the request. It cuts an attempt off when a new one is expected to be
quicker. It never sends a request twice.
"""

from collections.abc import Sequence
from math import inf

from pointsman.simulate.worlds.physics import MEAN_TAIL, Route
from pointsman.simulate.worlds.policies.base import Policy
from pointsman.simulate.worlds.world import Arrival

LOST_S = 0.5  # the time of an error
RECHECK_S = 0.25
USUAL_TOKENS = 1200
CUT, REST = 3.5, 2.6  # an attempt in the tail at 3.5 times the expected time needs 2.6 times more


class Oracle(Policy):
    """Routes by their true expected times. `usd_s` is the worth of a dollar in seconds."""

    name = "oracle"
    attempts = 8
    usd_s = 0.0

    def rank(self, request: Arrival, now: float) -> list[int]:
        found = [(self.index(route, request, now), place) for place, route in enumerate(self.routes)]
        found.sort()
        return [place for _, place in found]

    def wait_s(self, request: Arrival, now: float) -> float:
        waits = []
        for route in self.routes:
            if not route.present(now).is_dead:
                wait_s = route.wait_s(now, request)
                if wait_s <= 0:
                    return 0.0
                waits.append(wait_s)
        return min([*waits, RECHECK_S])

    def patience(self, request: Arrival, now: float, ranking: Sequence[int]) -> dict[int, float]:
        if len(ranking) < 2:
            return {}
        best, second = [self.index(self.routes[place], request, now) for place in ranking[:2]]
        return {ranking[0]: CUT * best} if second < REST * best else {}

    def index(self, route: Route, request: Arrival, now: float) -> float:
        """Return the expected time until the request has its first content, if the route is tried first. It is huge if
        the route cannot serve the request now."""
        spec, present, service = route.service.spec, route.present(now), route.service
        if present.is_dead:
            return 1e9
        if (wait_s := route.wait_s(now, request)) > 0:
            return 1e6 + min(wait_s, 1e5)
        slowdown = service.slowdown(1)
        mean = 1.0 + spec.tail * (MEAN_TAIL - 1.0)
        expected_s = (spec.first_s + spec.prompt_token_s * request.tokens_in) * present.factor * slowdown * mean
        if not request.stream:
            expected_s += request.tokens_out * spec.token_s * present.tokens * slowdown
        failing = 1.0 - (1.0 - spec.errors) * (1.0 - present.errors)
        load = (service.running + 1) / spec.concurrency - 0.6
        others_s = 0.0
        if load > 0:  # those in progress get slower too
            usual_s = spec.first_s + spec.prompt_token_s * USUAL_TOKENS
            others_s = usual_s * (8.0 * load + 1.5) / spec.concurrency * min(service.running, 3)
        lost_s = LOST_S * failing / (1.0 - failing) if failing < 1 else inf
        cost_s = self.usd_s * route.dollars(now, request.tokens_in, request.tokens_out) if self.usd_s else 0.0
        return expected_s + others_s + lost_s + cost_s
