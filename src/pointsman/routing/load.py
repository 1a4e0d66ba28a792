"""The learned effect of load: by how much the ratio of a candidate rises with each attempt in progress there.

A small engine gets slower with each request, and a large provider does not. The slope is that of a ridge regression of
the ratios on the attempts in progress at their starts, over about the last 60 s. Its prior is a weak slope, so that a
candidate is not flooded before anything is known.
"""

from math import exp

MEMORY_S, MEMORY_REQUESTS = 60.0, 100.0
USUAL_STEP = 0.02  # of the usual number of attempts in progress: the weight of the newest one
PRIOR_SLOPE, PRIOR_RUNNING = 0.1, 4.0  # the ratio rises by a tenth if `usual + 4` more attempts are in progress
PRIOR_WEIGHT, PRIOR_WIDTH = 20.0, 0.1  # the answers that the prior counts as, and their spread over the usual number


class Load:
    """The knowledge of one candidate. `usual` is the mean number of attempts in progress when one starts."""

    __slots__ = ("_at", "_constant", "_of_ratio", "_products", "_ratios", "_running", "_squares", "_weight", "usual")

    def __init__(self, now: float) -> None:
        self.usual = 0.0
        self._at = now
        self._weight = self._running = self._squares = self._ratios = self._products = 0.0
        self._constant, self._of_ratio = 0.0, PRIOR_SLOPE / PRIOR_RUNNING

    def begin(self, running: int) -> None:
        """Note the start of an attempt, while so many are in progress with it."""
        self.usual += USUAL_STEP * (running - self.usual)

    def learn(self, running: int, ratio: float, now: float, gap_s: float) -> None:
        """Note the ratio of an answer. So many attempts were in progress when its attempt began, with it."""
        kept = exp((self._at - now) / max(MEMORY_S, MEMORY_REQUESTS * gap_s))
        self._at = now
        weight = self._weight = kept * self._weight + 1.0
        runs = self._running = kept * self._running + running
        squares = self._squares = kept * self._squares + running * running
        ratios = self._ratios = kept * self._ratios + ratio
        products = self._products = kept * self._products + running * ratio
        prior = PRIOR_WEIGHT * (1.0 + PRIOR_WIDTH * self.usual) ** 2
        variance = squares - runs * runs / weight + prior
        self._constant = (products - runs * ratios / weight) / variance
        self._of_ratio = prior * PRIOR_SLOPE / (self.usual + PRIOR_RUNNING) / variance

    def slope(self, ratio: float) -> float:
        """Return the rise of the ratio with each attempt in progress, for a candidate with this estimate."""
        return max(self._constant + self._of_ratio * ratio, 0.0)
