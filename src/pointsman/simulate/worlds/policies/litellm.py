"""LiteLLM's router: its cooldown, `least-busy`, and `latency-based-routing`.

From BerriAI/litellm `router_utils/cooldown_handlers.py`, `router_strategy/least_busy.py` and `lowest_latency.py`, and
docs.litellm.ai/docs/routing:

    cooldown        5 s after more than half of at least two requests in the present minute failed, or after a 429.
                    While every deployment is in cooldown, all of them are tried
    least-busy      the fewest requests in progress
    latency-based   the mean of the last ten times to the first content, 1000 s for a timeout, 0 for a deployment
                    without any. One of those within `lowest_latency_buffer` of the lowest is chosen at random

The released code divides the time by the tokens of the answer, and until April 2026 it kept the oldest samples. The
rolling mean here has neither fault: it is the rule that is documented.
"""

from collections import deque
from collections.abc import Sequence

from pointsman.domain.failures import COMMIT_TIMEOUT, Failure
from pointsman.simulate.worlds.policies.base import Policy, is_limit, picked
from pointsman.simulate.worlds.world import Arrival

COOLDOWN_S = 5.0
SAMPLES = 10
TIMEOUT_SAMPLE_S = 1000.0
BUFFER = 0.1  # `lowest_latency_buffer`, the value of the documentation's example


class CoolingDown(Policy):
    """The cooldown that LiteLLM's strategies share."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.cool_until = [0.0] * len(self.routes)
        self._minute = -1
        self._counts = [(0, 0)] * len(self.routes)  # successes and failures in the present minute

    def rank(self, request: Arrival, now: float) -> list[int]:  # noqa: ARG002
        warm = [place for place in self.all if self.cool_until[place] <= now]
        cold = [place for place in self.all if self.cool_until[place] > now]
        return picked(warm, self.pick, now) + picked(cold, self.pick, now)

    def pick(self, routes: Sequence[int], now: float) -> int:
        """Return one of these routes."""
        raise NotImplementedError  # each strategy has its own rule

    def succeeded(self, route: int, request: Arrival, took_s: float, content_s: float, *, now: float) -> None:
        super().succeeded(route, request, took_s, content_s, now=now)
        self._count(route, now, failed=0)

    def failed(self, route: int, failure: Failure, took_s: float, now: float) -> None:
        super().failed(route, failure, took_s, now)
        good, bad = self._count(route, now, failed=1)
        if is_limit(failure):
            self.cool_until[route] = now + max(COOLDOWN_S, failure.retry_after_s or 0.0)
        elif good + bad > 1 and bad / (good + bad) > 0.5:
            self.cool_until[route] = now + COOLDOWN_S

    def _count(self, route: int, now: float, failed: int) -> tuple[int, int]:
        if int(now // 60) != self._minute:
            self._minute, self._counts = int(now // 60), [(0, 0)] * len(self.routes)
        good, bad = self._counts[route]
        self._counts[route] = (good + 1 - failed, bad + failed)
        return self._counts[route]


class LeastBusy(CoolingDown):
    """The fewest requests in progress."""

    name = "litellm-least-busy"

    def pick(self, routes: Sequence[int], now: float) -> int:  # noqa: ARG002
        fewest = min(self.running[place] for place in routes)
        return self.rng.choice([place for place in routes if self.running[place] == fewest])


class RollingLatency(CoolingDown):
    """The lowest rolling mean of the time to the first content."""

    name = "litellm-latency"

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self.samples: list[deque[float]] = [deque(maxlen=SAMPLES) for _ in self.routes]

    def pick(self, routes: Sequence[int], now: float) -> int:  # noqa: ARG002
        means = {place: self._mean(place) for place in routes}
        highest = min(means.values()) * (1 + BUFFER)
        return self.rng.choice([place for place in routes if means[place] <= highest])

    def _mean(self, place: int) -> float:
        found = self.samples[place]
        return sum(found) / len(found) if found else 0.0

    def succeeded(self, route: int, request: Arrival, took_s: float, content_s: float, *, now: float) -> None:
        super().succeeded(route, request, took_s, content_s, now=now)
        self.samples[route].append(content_s if request.stream else took_s)

    def failed(self, route: int, failure: Failure, took_s: float, now: float) -> None:
        super().failed(route, failure, took_s, now)
        if failure.kind is COMMIT_TIMEOUT:
            self.samples[route].append(TIMEOUT_SAMPLE_S)
