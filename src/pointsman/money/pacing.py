"""Budget pacing: the dual price of a paced budget, which rises as spending outruns the plan.

A paced budget should last its period and be spent where it is worth most. With full knowledge this is a knapsack: among
all requests of a period, the dearer candidate serves those whose extra value per extra dollar is highest, until the
budget is used up. The value per dollar at that point is the budget's dual price λ, and the best candidate for a request
is the one with the highest `value - λ * cost`. A `Pacer` solves for λ again at least every `EVERY_S`, if requests come
(re-solving: Jasin and Kumar, https://doi.org/10.1287/moor.1120.0537; dual prices of budgets: Balseiro, Kroer and Kumar,
https://arxiv.org/abs/2302.08530). λ is the price at which

    demand(λ) * rise * trim = remaining / time left

- `remaining` is the part of the limit that no worker has spent or reserved, and `time left` the rest of the window.
- `demand(λ)` is the expected cost per second if every request takes its best candidate at price λ. It is learned from
  the requests of this worker, in bins of about equal value per dollar. Earlier windows count half, again for each.
- `rise` reacts to a sudden load: it is the demand of the last `RECENT` of a window over `RISE_BAND` times the usual
  one, if that is above 1.
- `trim` stands for the other workers and for errors of expected costs. Each window begins with the number of workers.
  The trim moves while the recent spending is more than `TRIM_BAND` times the allowed rate, or less than that part of
  it. The band shrinks to nothing at the end of the window. All workers see the same spending, so their trims agree.

If all demand fits in the budget, λ is 0 and the configured order holds. λ usually falls inside a bin. A random part of
the requests in it is then admitted, so that equal requests are divided in the right proportion. Only ratios of values
matter. The ledger enforces the limit itself, whatever λ is.
"""

from collections.abc import Sequence
from math import exp, floor, inf, log

from pointsman.domain.limits import Limit

EVERY_S = 0.25
WIDTH = 0.1  # of a bin, in ln(value per nano-dollar)
LEAST = 0.005  # of a window: a shorter observation counts as this long, since a few requests do not make a rate
RECENT = 0.05  # of a window
RISE_BAND = 1.5
TRIM_BAND = 3.0
TRIM_GAIN = 40.0  # the most that ln(trim) moves in a window
TRIM_LEAST, TRIM_MOST = log(0.25), log(1000.0)

# A request's best candidates as the price falls. Each step adds a cost in nano-dollars, and has a value for each of
# them: it is worth taking if the price is at most that.
Steps = Sequence[tuple[float, float]]


def steps_of(values: Sequence[float], costs: Sequence[float]) -> tuple[float, Steps]:
    """Return the cost of the cheapest candidate, and the steps from it to dearer candidates that are worth more."""
    pairs = list(zip(costs, values, strict=True))
    cost, value = min(pairs, key=lambda pair: (pair[0], -pair[1]))
    base, steps = cost, list[tuple[float, float]]()
    while True:
        better = [(worth(pair, cost, value), pair) for pair in pairs if pair[0] > cost and pair[1] > value]
        if not better:
            return base, steps
        best, (next_cost, next_value) = max(better)
        steps.append((next_cost - cost, best))
        cost, value = next_cost, next_value


def worth(pair: tuple[float, float], cost: float, value: float) -> float:
    """Return the extra value for each extra nano-dollar of a candidate of this cost and value."""
    return (pair[1] - value) / (pair[0] - cost)


class Pacer:
    """The dual price of one budget, as one worker estimates it. Times are in Unix seconds, costs in nano-dollars.

    `used` is the used share of the limit, and `planned` the share of its window that has passed. The price is between
    `low` and `high`, the edges of a bin, of which the part `admitted` is worth it.
    """

    __slots__ = (
        "_base",
        "_bins",
        "_elapsed_s",
        "_end",
        "_initial_trim",
        "_offered",
        "_recent",
        "_seen_s",
        "_solved_at",
        "_spent",
        "_start",
        "_trim",
        "admitted",
        "high",
        "low",
        "planned",
        "used",
    )

    def __init__(self, workers: int = 1) -> None:
        self.used = self.planned = 0.0
        self.low = self.high = 0.0
        self.admitted = 1.0
        self._start = self._end = 0
        self._solved_at = -inf
        # The demand so far: of the cheapest candidates, of the steps beyond them by bin, and the time in which it came.
        self._base = 0.0
        self._bins: dict[int, float] = {}
        self._elapsed_s = 0.0
        # The demand since the last solution, the recent demand and spending, and the time that the two cover.
        self._offered = self._recent = self._spent = self._seen_s = 0.0
        self._trim = self._initial_trim = log(workers)

    @property
    def is_informed(self) -> bool:
        """Return whether a request has come."""
        return self._base > 0 or bool(self._bins)

    def price(self, draw: float) -> float:
        """Return the price for one request, in value per nano-dollar. `draw` is a random number in [0, 1)."""
        return self.low if draw < self.admitted else self.high

    def offer(self, base: float, steps: Steps) -> None:
        """Learn from a request."""
        self._base += base
        self._offered += base
        for cost, value in steps:
            bin_ = floor(log(value) / WIDTH)
            self._bins[bin_] = self._bins.get(bin_, 0.0) + cost
            self._offered += cost

    def advance(self, limit: Limit, used: int, now_unix_s: float) -> None:
        """Solve for the price again, if the last solution is old enough. `used` is in nano-dollars, by all workers."""
        if self._solved_at <= now_unix_s < self._solved_at + EVERY_S and now_unix_s < self._end:
            return
        amount, before = max(limit.amount, 1), self.used
        if not self._start <= now_unix_s < self._end:
            self._start, self._end = limit.period.window(now_unix_s)
            self._begin_window()
            before = 0.0
        length_s = self._end - self._start
        passed_s = min(max(now_unix_s - self._solved_at, 0.0), length_s) if self._solved_at > -inf else 0.0
        self._solved_at = now_unix_s
        self.used, self.planned = used / amount, (now_unix_s - self._start) / length_s
        allowed = max(amount - used, 0) / (self._end - now_unix_s)
        self._learn(passed_s, (self.used - before) * amount, length_s)
        self._adjust(allowed, passed_s, length_s)
        self._solve(allowed, length_s)

    def _learn(self, passed_s: float, spent: float, length_s: float) -> None:
        """Add the time since the last solution."""
        kept = exp(-passed_s / (RECENT * length_s))
        self._elapsed_s += passed_s
        self._seen_s = self._seen_s * kept + passed_s
        self._recent = self._recent * kept + self._offered
        self._spent = self._spent * kept + spent
        self._offered = 0.0

    def _adjust(self, allowed: float, passed_s: float, length_s: float) -> None:
        """Move the trim towards the spending that is allowed, unless the price can move no further in that
        direction."""
        pace = log(max(self._spent / max(self._seen_s, LEAST * length_s), 1e-9) / max(allowed, 1e-9))
        band = log(TRIM_BAND) * (1.0 - self.planned)
        excess = max(pace - band, 0.0) + min(pace + band, 0.0)
        if (excess > 0 and self.admitted > 0) or (excess < 0 and self.low > 0):
            change = max(min(excess, 1.0), -1.0) * TRIM_GAIN * passed_s / length_s
            self._trim = min(max(self._trim + change, TRIM_LEAST), TRIM_MOST)

    def _solve(self, allowed: float, length_s: float) -> None:
        """Find the price at which the demand is the allowed one, in nano-dollars per second."""
        least_s = LEAST * length_s
        elapsed_s, demand = max(self._elapsed_s, least_s), self._base + sum(self._bins.values())
        rise = self._recent / max(self._seen_s, least_s) * elapsed_s / (RISE_BAND * demand) if demand > 0 else 1.0
        room = allowed * elapsed_s / (max(rise, 1.0) * exp(self._trim)) - self._base
        self.low, self.high, self.admitted = 0.0, 0.0, 1.0
        for bin_ in sorted(self._bins, reverse=True):
            cost = self._bins[bin_]
            if cost > room:
                self.low, self.high, self.admitted = exp(bin_ * WIDTH), exp((bin_ + 1) * WIDTH), max(room, 0.0) / cost
                return
            room -= cost

    def _begin_window(self) -> None:
        """Keep half of what was learned, and no correction: a new window is free until its spending outruns the
        plan."""
        self._trim = self._initial_trim
        self._base /= 2
        self._elapsed_s /= 2
        self._bins = {bin_: cost / 2 for bin_, cost in self._bins.items()}
