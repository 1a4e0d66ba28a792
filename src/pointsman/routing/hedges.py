"""The state of hedges and races: the times of recent answers, and the budgets of second attempts."""

from collections.abc import Container

from pointsman.domain.operations import Operation
from pointsman.domain.plans import Hedge, HedgeTerms, Race, Try
from pointsman.domain.snapshots import Hedging, Racing
from pointsman.domain.targets import Candidate
from pointsman.routing.health import subject
from pointsman.routing.retry_budget import RetryBudget

MOST = 1000  # answers that are remembered
FEWEST = 20  # before which no percentile is known
RENEWED = 32  # answers until the order is computed anew
MOST_SUBJECTS = 10_000  # names may come from clients
CAPACITY = 10.0  # hedges that can be saved up
RACES = 3.0  # races that can be saved up


class CommitTimes:
    """Seconds from the start of an attempt to its commit. An attempt that was cancelled before counts with the time it
    had taken: it would have taken longer, so a percentile below its place stays true."""

    __slots__ = ("_next", "_order", "_since", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._order: list[float] = []
        self._next = 0
        self._since = 0

    def add(self, seconds: float) -> None:
        """Remember one answer."""
        if len(self._times) < MOST:
            self._times.append(seconds)
        else:
            self._times[self._next] = seconds
            self._next = (self._next + 1) % MOST
        self._since += 1

    def percentile(self, percent: float) -> float | None:
        """Return the time that this percentage of the answers did not exceed; `None` if there were too few."""
        count = len(self._times)
        if count < FEWEST:
            return None
        if not self._order or self._since >= RENEWED:
            self._order, self._since = sorted(self._times), 0
        order = self._order
        return order[min(int(len(order) * percent / 100), len(order) - 1)]


class Hedges:
    """The state of hedges and races in one worker. Each request that may have a rival earns `share` of one."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, bool], CommitTimes] = {}  # by the subject, and whether the answers were streams
        self._budgets: dict[tuple[str, Hedging | Racing], RetryBudget] = {}  # by requested model

    def keep(self, providers: Container[str]) -> None:
        """Forget everything about other providers, and the budgets, since settings may have changed."""
        self._times = {name: one for name, one in self._times.items() if name[0].partition("/")[0] in providers}
        self._budgets = {}

    def percentile(self, item: Candidate, operation: Operation, percent: float, *, stream: bool) -> float | None:
        """Return the time to the commit that this percentage of a candidate's answers did not exceed, in seconds. A
        stream commits at its first content, another answer at its end. `None` means that there were too few."""
        times = self._times.get((subject(item, operation), stream))
        return times.percentile(percent) if times is not None else None

    def note_commit(self, item: Candidate, operation: Operation, seconds: float, *, stream: bool) -> None:
        """Note how long an attempt took to commit, or until it was cancelled."""
        name = (subject(item, operation), stream)
        times = self._times.get(name)
        if times is None:
            if len(self._times) >= MOST_SUBJECTS:
                del self._times[next(iter(self._times))]
            times = self._times[name] = CommitTimes()
        times.add(seconds)

    def may_start(self, settings: Hedging | Racing, model: str) -> bool:
        """Return whether the requests for a model have earned a rival."""
        budget = self._budgets.get((model, settings))
        return budget is not None and budget.has_token(0.0)

    def count_attempt(self, terms: HedgeTerms, model: str, step: Try, *, is_first: bool) -> None:
        """Note the start of an attempt of a request that may have a rival."""
        if isinstance(step, Hedge):
            spent = terms.racing if isinstance(step, Race) else terms.settings
            if spent is not None:
                self.count(spent, model, is_rival=True)
        elif is_first:
            for settings in (terms.settings, terms.racing):
                if settings is not None:
                    self.count(settings, model, is_rival=False)

    def count(self, settings: Hedging | Racing, model: str, *, is_rival: bool) -> None:
        """Note a request that may have a rival, or the start of the rival."""
        name = (model, settings)
        budget = self._budgets.get(name)
        if budget is None:
            if len(self._budgets) >= MOST_SUBJECTS:
                self._budgets.clear()
            capacity = RACES if isinstance(settings, Racing) else CAPACITY
            budget = RetryBudget(1.0, per_request=settings.share, floor_per_s=0.0, capacity=capacity)
            self._budgets[name] = budget
        if is_rival:
            budget.spend()
        else:
            budget.earn()
