"""A limit below the load, under a virtual clock: the production core, and a bucket as the provider's limiter."""

import heapq
from collections.abc import Callable
from random import Random

import pytest

from fakes.routing import attempt, call, endpoint, failure, snapshot_of
from pointsman.domain import failures
from pointsman.domain.calls import Facts
from pointsman.domain.outcomes import PastAttempt
from pointsman.domain.plans import Await, Plan, Progress, Try
from pointsman.engine.live import Live
from pointsman.providers import PROVIDERS
from pointsman.routing.decide import decide
from pointsman.routing.failover import next_step
from pointsman.simulate.answers import Answer
from pointsman.simulate.limits import Limiter
from pointsman.simulate.settings import RateLimits, Settings

BEGIN, RATE = 1000.0, 8.0


class Storm:
    """Requests that arrive at random, at a limited provider and another one."""

    def __init__(self, limits: RateLimits, workers: int, seconds: float) -> None:
        self.rng, self.now, self.until = Random(1), BEGIN, BEGIN + seconds
        snapshot = snapshot_of(endpoint("a"), endpoint("b"))
        self.workers = [Live(snapshot) for _ in range(workers)]
        self.limiter = Limiter(Settings(limits=limits), lambda: self.now)
        self.requests = self.served = self.rejected = self.lost = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._later(0.0, self._arrive)
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _later(self, delay_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, self.requests * 1000 + len(self._events), event))

    def _arrive(self) -> None:
        self.requests += 1
        live = self.rng.choice(self.workers)
        plan = decide(Facts(call()), live, self.rng, self.now)
        assert isinstance(plan, Plan)
        self._step(live, plan, ())
        if self.now < self.until:
            self._later(self.rng.expovariate(RATE), self._arrive)

    def _step(self, live: Live, plan: Plan, history: tuple[PastAttempt, ...]) -> None:
        step = next_step(plan, Progress(history), live, self.now)
        if isinstance(step, Await):
            self._later(step.delay_s, lambda: self._step(live, plan, history))
        elif isinstance(step, Try):
            self._try(live, plan, history, step)
        else:
            self.lost += 1

    def _try(self, live: Live, plan: Plan, history: tuple[PastAttempt, ...], step: Try) -> None:
        item, key, began_at = step.choice.candidate, step.key, self.now
        live.begin(item, began_at, is_retry=step.is_repeat, key=key, call=call())
        answer = Answer(tokens_in=10, tokens_out=10)
        if item.endpoint.name == "a":
            answer = self.limiter.limited(answer, key.name, item.model, "openai")
            self.served += answer.status == 200
            self.rejected += answer.status == 429

        def end() -> None:
            quota = PROVIDERS["openai"].quota({name.encode(): text.encode() for name, text in answer.headers}, 0.0)
            if quota is not None:
                live.note_quota(item, key, quota, began_at, at=self.now)
            problem = failure(failures.UPSTREAM_RATE_LIMITED) if answer.status == 429 else None
            live.finish(item, key, problem, self.now, began_at=began_at, tokens_out=10)
            if problem is not None:
                self._step(live, plan, (*history, attempt(step, problem, began_at, self.now - began_at)))

        self._later(0.05 if answer.status == 429 else 0.5 * self.rng.lognormvariate(0.0, 0.3), end)


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("limit", [60, 240])
def test_workers_that_share_a_limit_use_it_without_a_storm_of_rejections(workers: int, limit: int) -> None:
    storm = Storm(RateLimits(requests=limit), workers, 200.0)
    assert storm.lost == 0
    assert storm.rejected <= (0.005 if workers == 1 else 0.012) * storm.requests, (storm.rejected, storm.requests)
    assert storm.served >= 0.95 * limit * (1 + 200 / 60), "the limit is used"


def test_limit_without_headers_is_learned() -> None:
    storm = Storm(RateLimits(requests=60, headers="none", retry_after=False), 1, 600.0)
    assert storm.rejected <= 0.005 * storm.requests, (storm.rejected, storm.requests)
    assert storm.served >= 0.9 * 60 * 11
