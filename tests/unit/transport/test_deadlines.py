"""One timer for many objects."""

import asyncio
from collections.abc import Callable
from time import monotonic

import pytest
import uvloop

from pointsman.transport.deadlines import NEVER, Deadlines


class Item:
    def __init__(self, on_expired: Callable[["Item", float], None] = lambda item, now: None) -> None:
        self.deadline = NEVER
        self.watched_until = NEVER
        self.on_expired = on_expired
        self.expirations: list[float] = []

    def expired(self, now: float) -> None:
        self.expirations.append(now)
        self.on_expired(self, now)


def run(steps: Callable[[Deadlines], object], wait_s: float) -> None:
    async def case() -> None:
        deadlines = Deadlines(asyncio.get_running_loop(), resolution_s=0.01)
        steps(deadlines)
        await asyncio.sleep(wait_s)
        deadlines.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(case())


def watch(deadlines: Deadlines, item: Item, after_s: float) -> None:
    item.deadline = monotonic() + after_s
    deadlines.watch(item)


def test_each_object_expires_once_at_its_deadline() -> None:
    items = [Item() for _ in range(20)]

    def steps(deadlines: Deadlines) -> None:
        for number, item in enumerate(items):
            watch(deadlines, item, 0.005 * (20 - number))

    run(steps, 0.2)
    for item in items:
        assert len(item.expirations) == 1
        assert 0 <= item.expirations[0] - item.deadline < 0.04


def test_a_deadline_may_move_both_ways() -> None:
    later, earlier, given_up = Item(), Item(), Item()

    def steps(deadlines: Deadlines) -> None:
        for item in (later, earlier, given_up):
            watch(deadlines, item, 0.05)
        later.deadline += 0.1  # no need to tell
        watch(deadlines, earlier, 0.01)
        given_up.deadline = NEVER

    run(steps, 0.1)
    assert (len(later.expirations), len(earlier.expirations), len(given_up.expirations)) == (0, 1, 0)


def test_an_expired_object_may_set_a_new_deadline() -> None:
    def again(item: Item, now: float) -> None:
        item.deadline = now + 0.02 if len(item.expirations) < 3 else NEVER

    item = Item(again)
    run(lambda deadlines: watch(deadlines, item, 0.01), 0.2)
    assert len(item.expirations) == 3


def test_one_that_raises_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def boom(item: Item, now: float) -> None:
        raise ValueError("oh dear")

    def boom_again(item: Item, now: float) -> None:
        item.deadline = now + 0.02
        raise ValueError("oh dear")

    items = [Item(boom), Item(), Item(boom_again), Item()]

    def steps(deadlines: Deadlines) -> None:
        for number, item in enumerate(items):
            watch(deadlines, item, 0.01 * (number + 1))

    run(steps, 0.15)
    assert [len(item.expirations) for item in items[:2]] == [1, 1]
    assert len(items[2].expirations) > 1, "it set a new deadline before it raised"
    assert len(items[3].expirations) == 1
    assert "oh dear" in caplog.text


def test_one_that_sets_no_new_deadline_does_not_keep_the_loop() -> None:
    item = Item()
    run(lambda deadlines: watch(deadlines, item, 0.0), 0.05)
    assert len(item.expirations) == 1


def test_one_may_be_watched_from_within_another() -> None:
    second = Item()
    deadlines_: list[Deadlines] = []
    first = Item(lambda item, now: watch(deadlines_[0], second, 0.02))

    def steps(deadlines: Deadlines) -> None:
        deadlines_.append(deadlines)
        watch(deadlines, first, 0.01)

    run(steps, 0.1)
    assert len(second.expirations) == 1


def test_nothing_expires_after_closing() -> None:
    item, closer = Item(), Item()

    def steps(deadlines: Deadlines) -> None:
        closer.on_expired = lambda _item, _now: deadlines.close()
        watch(deadlines, closer, 0.01)
        watch(deadlines, item, 0.03)

    run(steps, 0.08)
    assert (len(closer.expirations), len(item.expirations)) == (1, 0)
