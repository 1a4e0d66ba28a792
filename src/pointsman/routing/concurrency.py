"""The most attempts in progress at a candidate: a configured number, or one that is learned from its answers.

An engine on few accelerators gets slower, or queues requests, beyond its batch, and reports that to nobody. The limit
is learned as in Gradient2 (https://github.com/Netflix/concurrency-limits, `Gradient2Limit`), after each answer:

    limit' = clamp(TOLERANCE · usual / recent, 0.5, 1) · limit + sqrt(limit)

The limit moves to it by one part in `limit`, since about so many answers come in the time of one, and twice as fast if
it shrinks. So it grows by a small queue, its square root, until answers take longer than usual. It changes only while
at least half of it is in use: otherwise the answers show nothing about it. Times are ratios to the usual time of such
an answer (`routing.paces.usual_s`), so that a long prompt does not look like a queue. For a stream, that is the time to
the first content, else the whole time for that length.

The usual ratio differs from Gradient2's long average, which follows a queue that lasts, so that the limit would grow
with it. Here it falls at once with the recent ratio. It rises with answers under little load, and hardly otherwise.
"""

from collections.abc import Container
from math import sqrt

from pointsman.domain.calls import Call
from pointsman.domain.failures import Failure, Fault
from pointsman.domain.operations import GENERATING
from pointsman.domain.targets import Candidate
from pointsman.routing.paces import usual_s

FIRST, LEAST, MOST = 20.0, 4.0, 1000.0  # of the limit; 4 is its fixed point at the least gradient
TOLERANCE, LEAST_GRADIENT, SHRINKING = 1.5, 0.5, 2.0
RECENT_ANSWERS = 10.0  # the memory of the recent ratio
RISE_IDLE, RISE_BUSY = 200.0, 20_000.0  # the memory of the usual ratio, in answers under little and under much load
IN_USE, LITTLE = 0.5, 0.25  # of the limit: below the first part it does not change, and the second is little load
MOST_RISE = 2.0  # the ratio that the usual one rises towards at most, in units of it
MOST_RATIO = 4.0  # of one answer, in units of the usual ratio: an outlier must not count as many
MOST_LIMITS = 10_000


def next_limit(limit: float, usual: float, recent: float) -> float:
    """Return the limit after an answer under load. `usual` and `recent` are positive ratios."""
    gradient = max(LEAST_GRADIENT, min(1.0, TOLERANCE * usual / recent))
    step = (gradient * limit + sqrt(limit) - limit) / limit
    return min(max(limit + (step if step > 0.0 else SHRINKING * step), LEAST), MOST)


def ratio_of(
    call: Call, failure: Failure | None, took_s: float, content_s: float | None, tokens_out: int
) -> tuple[float, bool] | None:
    """Return the ratio that an attempt shows, and whether the true one may be larger; `None` if it shows none.
    `content_s` is the time to the first content of a stream, if any came."""
    if call.operation not in GENERATING:
        return None
    if call.stream and content_s is not None:
        return content_s / usual_s(call), False
    if failure is not None:
        return (took_s / usual_s(call), True) if failure.kind.fault is Fault.PROVIDER else None
    return None if call.stream else (took_s / usual_s(call, tokens_out or None), False)


class LearnedLimit:
    """The learned limit of one candidate in one worker. `limit` is in attempts."""

    __slots__ = ("_answers", "_recent", "_usual", "limit")

    def __init__(self) -> None:
        self.limit = FIRST
        self._answers = 0
        self._recent = self._usual = 1.0

    def note(self, ratio: float, running: int, *, is_at_least: bool = False) -> None:
        """Note an attempt that ended while `running` ones were in progress, including itself. With `is_at_least` its
        ratio is only known to be no smaller, so it counts only if that is more than the recent one."""
        if ratio <= 0.0 or (is_at_least and (not self._answers or ratio <= self._recent)):
            return
        self._answers += 1
        if self._answers > 1:
            ratio = min(ratio, MOST_RATIO * self._usual)
        is_in_use = running >= IN_USE * self.limit
        self._recent += (ratio - self._recent) / min(self._answers, RECENT_ANSWERS)
        if self._answers == 1:
            self._usual = ratio
        elif self._recent < self._usual:
            self._usual += (self._recent - self._usual) / RECENT_ANSWERS
        elif running <= max(LEAST, LITTLE * self.limit):
            self._usual += (min(ratio, MOST_RISE * self._usual) - self._usual) / RISE_IDLE
        else:
            self._usual += (min(self._recent, MOST_RISE * self._usual) - self._usual) / RISE_BUSY
        if is_in_use:
            self.limit = next_limit(self.limit, self._usual, self._recent)


class Concurrency:
    """The limits of all candidates in one worker. A configured number is divided among the workers; a learned limit is
    already that of the worker alone, since it learns from its own attempts in progress."""

    def __init__(self) -> None:
        self.learned: dict[str, LearnedLimit] = {}  # by the ids of candidates

    def most(self, item: Candidate, workers: int) -> int | None:
        """Return the most attempts in progress at a candidate in this worker; `None` if nothing bounds them."""
        setting = item.endpoint.max_concurrency
        if setting is None:
            return None
        if setting == "auto":
            found = self.learned.get(item.id)
            return int(FIRST if found is None else found.limit)
        return -(-setting // workers)

    def note(self, item: Candidate, shown: tuple[float, bool] | None, running: int) -> None:
        """Note the end of an attempt at a candidate with a learned limit. `shown` is from `ratio_of`."""
        if shown is None:
            return
        found = self.learned.get(item.id)
        if found is None:
            if len(self.learned) >= MOST_LIMITS:
                del self.learned[next(iter(self.learned))]
            found = self.learned[item.id] = LearnedLimit()
        found.note(shown[0], running, is_at_least=shown[1])

    def keep(self, providers: Container[str]) -> None:
        """Forget other providers."""
        self.learned = {name: one for name, one in self.learned.items() if name.partition("/")[0] in providers}
