"""The exchange of breakers and key blocks between workers."""

import pytest

from fakes.routing import NOW, endpoint, failure, snapshot
from pointsman.domain import failures
from pointsman.domain.failures import Kind
from pointsman.domain.holds import Hold
from pointsman.domain.plans import Health
from pointsman.domain.targets import Candidate, candidate
from pointsman.engine.live import Live
from pointsman.routing.health import FIRST_BLOCK_S, LIMITS, OTHERS_TRIAL_S, state_of
from pointsman.routing.pace_news import STALE_S
from pointsman.routing.shared_view import SharedView

ALPHA = endpoint("alpha", "k1", "k2")
A = candidate(ALPHA, "m")


class Worker:
    def __init__(self, rank: int) -> None:
        self.live = Live(snapshot([ALPHA]))
        self.shared = SharedView(self.live)
        self.shared.share(rank)

    def attempt(self, kind: Kind | None, now: float = NOW, item: Candidate = A) -> None:
        self.live.begin(item, now, is_retry=False, key=ALPHA.keys[0])
        self.live.finish(item, ALPHA.keys[0], None if kind is None else failure(kind), now)

    def fail(self, now: float = NOW) -> None:
        self.attempt(failures.UPSTREAM_ERROR, now)

    def trip(self, now: float = NOW) -> None:
        for _ in range(LIMITS.failures):
            self.fail(now)

    def state(self, now: float = NOW) -> Health:
        return state_of(self.live.conditions.get("alpha/m"), now)


def workers(count: int = 2) -> list[Worker]:
    return [Worker(rank) for rank in range(count)]


def exchange(found: list[Worker], now: float = NOW) -> None:
    news = [one.shared.take(now) for one in found]
    for worker in found:
        for other, told in zip(found, news, strict=True):
            if other is not worker and told is not None:
                worker.shared.learn(told, now)


def test_open_breaker_of_another_worker_is_advice() -> None:
    """The fault may be that worker's. So this one tries once more, and believes its own failure."""
    first, second = workers()
    first.trip()
    exchange([first, second])
    assert second.state() == "degraded"
    second.fail()
    assert second.state() == "failed"


def test_warned_worker_is_healthy_after_an_answer() -> None:
    first, second = workers()
    first.trip()
    exchange([first, second])
    second.attempt(None)
    assert second.state() == "healthy"


def test_only_one_of_several_workers_tries_a_failed_target() -> None:
    found = workers(3)
    for one in found:
        one.trip()
    exchange(found)
    later = max(one.live.conditions["alpha/m"].blocked_until for one in found)
    assert {one.state(later) for one in found} == {"recovering"}
    found[0].live.begin(A, later, is_retry=False)
    exchange(found, later)
    assert [one.live.conditions["alpha/m"].is_blocked(later) for one in found] == [True, True, True]
    assert not found[1].live.conditions["alpha/m"].is_blocked(later + OTHERS_TRIAL_S), "that worker may have ended"
    found[0].live.finish(A, ALPHA.keys[0], failure(), later)
    exchange(found, later)
    assert {one.state(later) for one in found} == {"failed"}, "the trial of one is that of all"


def test_success_of_a_trial_makes_the_others_try_at_once() -> None:
    first, second = workers()
    for one in (first, second):
        one.trip()
    second.live.begin(A, NOW + FIRST_BLOCK_S, is_retry=False)
    second.live.finish(A, ALPHA.keys[0], failure(), NOW + FIRST_BLOCK_S)  # blocked for longer now
    exchange([first, second], NOW + FIRST_BLOCK_S)
    later = NOW + FIRST_BLOCK_S + 0.1
    first.attempt(None, later)
    exchange([first, second], later)
    assert (first.state(later), second.state(later)) == ("healthy", "recovering")
    second.attempt(None, later)
    assert second.state(later) == "healthy"


@pytest.mark.parametrize("kind", [failures.UPSTREAM_RATE_LIMITED, failures.CREDENTIAL_REJECTED])
def test_rejected_key_is_blocked_at_all_workers_and_freed_at_all(kind: Kind) -> None:
    first, second = workers()
    first.attempt(kind)
    exchange([first, second])
    assert second.live.key_blocks.keys() == first.live.key_blocks.keys()
    (mine,), (told,) = first.live.key_blocks.values(), second.live.key_blocks.values()
    assert (told.until, told.count, told.failure.kind, told.probe_at) == (mine.until, mine.count, kind, mine.probe_at)
    assert second.shared.take(NOW) is None, "news of others is not told again"
    first.attempt(None, NOW + 0.5)
    exchange([first, second], NOW + 0.5)
    assert second.live.key_blocks == {}


def test_old_news_is_ignored() -> None:
    first, second = workers()
    first.trip()
    news = first.shared.take(NOW)
    assert news is not None
    second.shared.learn(news, NOW + STALE_S + 0.1)
    assert second.state() == "healthy"


def test_worker_that_starts_learns_all_present_faults() -> None:
    old, new = workers()
    old.trip()
    old.attempt(failures.CREDENTIAL_REJECTED, NOW, candidate(ALPHA, "n"))
    new.shared.learn(old.shared.whole(NOW), NOW)
    assert new.state() == "degraded"
    assert new.live.key_blocks.keys() == old.live.key_blocks.keys()


def test_forced_target_takes_no_advice() -> None:
    first, second = workers()
    second.shared.hold([Hold("alpha", "in")], NOW, 0.0)
    first.trip()
    exchange([first, second])
    assert second.state() == "healthy"


def test_news_is_urgent_only_if_somebody_listens() -> None:
    worker, urgent = Worker(0), list[int]()
    worker.shared.on_urgent = lambda: urgent.append(1)
    worker.trip()
    worker.trip(NOW + 60)
    assert urgent == [1], "once until the news is taken"
    worker.shared.share(None)
    worker.trip(NOW + 600)
    assert urgent == [1]
    assert worker.shared.take(NOW) is None
