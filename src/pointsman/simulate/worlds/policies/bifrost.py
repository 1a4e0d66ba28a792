"""Bifrost's adaptive load balancing, as its documentation describes it. The product's code is closed.

From maximhq/bifrost `docs/enterprise/adaptive-load-balancing.mdx`, at 4e925e76, which has the numbers:

    every 5 s   score = 0.5 · errors + 0.2 · latency + 0.05 · utilisation - momentum, weight = 1 + (1 - score) · 999
    errors      half the last minute, 0.3 the last five minutes, 0.2 all time; 90 % of it is forgotten in 30 s
    latency     relative to the best route, for requests of that size
    choice      by weight among routes within 5 % of the best; a quarter of the requests explore all of them by weight
    states      degraded above 2 % errors, failed above 5 % or after a 429, then recovering, healthy again below 2 %

The documentation leaves some constants open; they are chosen in its favour. The latency is that to the first content,
divided by the usual one for such a prompt.
"""

from collections import deque
from collections.abc import Sequence
from math import exp
from typing import Literal

from pointsman.domain.failures import Failure
from pointsman.simulate.worlds.policies.base import Policy, is_limit, picked
from pointsman.simulate.worlds.world import Arrival

EVERY_S = 5.0
BAND, EXPLORATION = 0.05, 0.25
FORGET_S, QUIET_S = 13.0, 5.0  # 90 % of the errors are forgotten in 30 s
PAUSE_S = 10.0  # of a failed route, and of a recovering one until it is healthy
STATE_S = 15.0  # of errors that decide on the state
FEWEST = 2

State = Literal["healthy", "degraded", "failed", "recovering"]


class Bifrost(Policy):
    """Weights that are computed every five seconds."""

    name = "bifrost"
    attempt_s = 30.0  # `default_request_timeout_in_seconds`

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        count = len(self.routes)
        self.weights = [1000.0] * count
        self.states: list[State] = ["healthy"] * count
        self._next_at = 0.0
        self._since = [0.0] * count
        self._failed_at = [-1e9] * count
        self._limited_at = [-1e9] * count
        self._results: list[deque[tuple[float, int]]] = [deque() for _ in self.routes]
        self._ever = [(0, 0)] * count  # failures and attempts
        self._times: list[deque[tuple[float, float]]] = [deque(maxlen=50) for _ in self.routes]
        self._chosen: deque[tuple[float, int]] = deque()

    def rank(self, request: Arrival, now: float) -> list[int]:  # noqa: ARG002
        if now >= self._next_at:
            self.recompute(now)
            self._next_at = now + EVERY_S
        usable = [place for place in self.all if self.weights[place] > 0]
        rest = [place for place in self.all if self.weights[place] <= 0]
        found = picked(usable, self.pick, now) + picked(rest, self.pick, now)
        self._chosen.append((now, found[0]))
        return found

    def pick(self, routes: Sequence[int], now: float) -> int:  # noqa: ARG002
        """Return a route of the best ones, or any if this request explores."""
        if self.rng.random() >= EXPLORATION:
            best = max(self.weights[place] for place in routes)
            routes = [place for place in routes if self.weights[place] >= (1 - BAND) * best]
        return self.rng.choices(routes, [max(self.weights[place], 1.0) for place in routes])[0]

    def recompute(self, now: float) -> None:
        """Compute states and weights."""
        while self._chosen and self._chosen[0][0] < now - 60:
            self._chosen.popleft()
        shares = [0] * len(self.routes)
        for _, place in self._chosen:
            shares[place] += 1
        times = [self._mean_time(place, now) for place in self.all]
        best = min([one for one in times if one], default=1.0)
        for place in self.all:
            error = min(self._errors(place, now) * 5, 1.0)
            latency = min(max(((times[place] or best) / best - 1) / 2, 0.0), 1.0)
            used = min(max(shares[place] / max(len(self._chosen), 1) * len(self.routes) - 1, 0.0), 1.0)
            self._move(place, now)
            momentum = 0.1 if self.states[place] == "recovering" else 0.0
            score = min(max(0.5 * error + 0.2 * latency + 0.05 * used - momentum, 0.0), 1.0)
            self.weights[place] = 0.0 if self.states[place] == "failed" else 1 + (1 - score) * 999

    def _move(self, place: int, now: float) -> None:
        """Move a route to its next state."""
        share, count = self._share(place, now, STATE_S)
        state, since_s = self.states[place], now - self._since[place]
        if state in ("healthy", "degraded"):
            is_limited = now - self._limited_at[place] < PAUSE_S
            is_failing = count >= FEWEST and share > 0.05 and now - self._failed_at[place] < PAUSE_S
            if is_limited or is_failing:
                self.states[place], self._since[place] = "failed", now
            else:
                self.states[place] = "degraded" if share > 0.02 else "healthy"
        elif state == "failed" and since_s >= PAUSE_S:
            self.states[place], self._since[place] = "recovering", now
        elif state == "recovering":
            if share > 0.05 and now - self._failed_at[place] < EVERY_S:
                self.states[place], self._since[place] = "failed", now
            elif since_s >= PAUSE_S and self._share(place, now, 60)[1]:
                self.states[place] = "healthy"

    def _errors(self, place: int, now: float) -> float:
        found, failed = self._results[place], self._ever[place]
        while found and found[0][0] < now - 300:
            found.popleft()
        share = 0.5 * self._share(place, now, 60)[0] + 0.3 * self._share(place, now, 300)[0]
        share += 0.2 * failed[0] / max(failed[1], 1)
        return share * exp(-max(now - self._failed_at[place] - QUIET_S, 0.0) / FORGET_S)

    def _share(self, place: int, now: float, within_s: float) -> tuple[float, int]:
        """Return the share of failures within a time, and the number of attempts."""
        found = [failed for at, failed in self._results[place] if at > now - within_s]
        return (sum(found) / len(found) if found else 0.0), len(found)

    def _mean_time(self, place: int, now: float) -> float | None:
        found = [ratio for at, ratio in self._times[place] if at > now - 60]
        return sum(found) / len(found) if found else None

    def _note(self, place: int, now: float, failed: int) -> None:
        self._results[place].append((now, failed))
        bad, every = self._ever[place]
        self._ever[place] = (bad + failed, every + 1)

    def succeeded(self, route: int, request: Arrival, took_s: float, content_s: float, *, now: float) -> None:
        super().succeeded(route, request, took_s, content_s, now=now)
        self._note(route, now, failed=0)
        self._times[route].append((now, content_s / (0.3 + 1e-4 * request.tokens_in)))

    def failed(self, route: int, failure: Failure, took_s: float, now: float) -> None:
        super().failed(route, failure, took_s, now)
        self._note(route, now, failed=1)
        self._failed_at[route] = now
        if is_limit(failure):
            self._limited_at[route] = now
