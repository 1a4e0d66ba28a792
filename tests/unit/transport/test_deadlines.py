"""One timer for the deadlines of many objects."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from fakes.clock import Clock
from pointsman.transport.deadlines import NEVER, Deadlines

RESOLUTION_S = 0.005


class Item:
    def __init__(self, on_expired: Callable[["Item", float], None] = lambda item, now: None) -> None:
        self.deadline = NEVER
        self.watched_until = NEVER
        self.on_expired = on_expired
        self.expirations: list[float] = []

    def expired(self, now: float) -> None:
        self.expirations.append(now)
        self.on_expired(self, now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(clock: Clock, steps: Callable[[Deadlines], object], *ticks_s: float) -> None:
    """Run `steps`, and then a tick of the timer after each of these pauses."""

    async def case() -> None:
        deadlines = Deadlines(asyncio.get_running_loop(), RESOLUTION_S, clock)
        steps(deadlines)
        for pause_s in ticks_s:
            clock.now += pause_s
            timer = deadlines._timer
            while timer is deadlines._timer is not None:
                await asyncio.sleep(0.001)
        deadlines.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(case())


def watch(clock: Clock, deadlines: Deadlines, item: Item, after_s: float) -> None:
    item.deadline = clock.now + after_s
    deadlines.watch(item)


def test_each_object_expires_once_at_the_first_tick_after_its_deadline(clock: Clock) -> None:
    items = [Item() for _ in range(20)]
    began = clock.now

    def steps(deadlines: Deadlines) -> None:
        for number, item in enumerate(items):
            watch(clock, deadlines, item, 20 - number)

    run(clock, steps, 0.5, *[1.0] * 21)
    assert [item.expirations for item in items] == [[began + 20.5 - number] for number in range(20)]


def test_deadline_may_move_earlier_and_later(clock: Clock) -> None:
    later, earlier, given_up = Item(), Item(), Item()

    def steps(deadlines: Deadlines) -> None:
        for item in (later, earlier, given_up):
            watch(clock, deadlines, item, 5)
        later.deadline += 10  # needs no call of `watch`
        watch(clock, deadlines, earlier, 1)
        given_up.deadline = NEVER

    run(clock, steps, 2)
    assert (len(later.expirations), len(earlier.expirations), len(given_up.expirations)) == (0, 1, 0)
    later, earlier, given_up = Item(), Item(), Item()
    run(clock, steps, 2, 8)
    assert (len(later.expirations), len(earlier.expirations), len(given_up.expirations)) == (0, 1, 0)
    later, earlier, given_up = Item(), Item(), Item()
    run(clock, steps, 2, 8, 6)
    assert (len(later.expirations), len(earlier.expirations), len(given_up.expirations)) == (1, 1, 0)


def test_expired_object_may_set_a_new_deadline(clock: Clock) -> None:
    def again(item: Item, now: float) -> None:
        item.deadline = now + 2 if len(item.expirations) < 3 else NEVER

    item = Item(again)
    run(clock, lambda deadlines: watch(clock, deadlines, item, 1), *[2.5] * 5)
    assert len(item.expirations) == 3


def test_object_that_raises_does_not_affect_others(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    def boom(item: Item, now: float) -> None:
        raise ValueError("broken")

    def boom_again(item: Item, now: float) -> None:
        item.deadline = now + 2
        raise ValueError("broken")

    items = [Item(boom), Item(), Item(boom_again), Item()]

    def steps(deadlines: Deadlines) -> None:
        for number, item in enumerate(items):
            watch(clock, deadlines, item, number + 1)

    run(clock, steps, *[1.0] * 8)
    assert [len(item.expirations) for item in items[:2]] == [1, 1]
    assert len(items[2].expirations) > 1, "the object set a new deadline before it raised"
    assert len(items[3].expirations) == 1
    assert "broken" in caplog.text


def test_object_without_a_new_deadline_is_not_checked_again(clock: Clock) -> None:
    item = Item()
    run(clock, lambda deadlines: watch(clock, deadlines, item, 0), 1, 1)
    assert len(item.expirations) == 1


def test_expired_object_may_watch_another(clock: Clock) -> None:
    second = Item()
    deadlines_: list[Deadlines] = []
    first = Item(lambda item, now: watch(clock, deadlines_[0], second, 2))

    def steps(deadlines: Deadlines) -> None:
        deadlines_.append(deadlines)
        watch(clock, deadlines, first, 1)

    run(clock, steps, 1, 2)
    assert len(second.expirations) == 1


def test_nothing_expires_after_closing(clock: Clock) -> None:
    item, closer = Item(), Item()

    def steps(deadlines: Deadlines) -> None:
        closer.on_expired = lambda _item, _now: deadlines.close()
        watch(clock, deadlines, closer, 1)
        watch(clock, deadlines, item, 3)

    run(clock, steps, 1, 3)
    assert (len(closer.expirations), len(item.expirations)) == (1, 0)
