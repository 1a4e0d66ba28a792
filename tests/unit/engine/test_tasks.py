"""Eager tasks start at once, and resume inside the callback that wakes them."""

import asyncio
import gc
import logging

import pytest

from pointsman.engine.tasks import Bell, EagerTask, Waiter


class Stop(Exception):  # noqa: N818
    """The exception that `cancel` throws."""


class Script:
    """A coroutine that logs its steps."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.waiters: list[Waiter[str]] = [Waiter() for _ in range(3)]

    async def run(self) -> None:
        self.log.append("start")
        for waiter in self.waiters:
            try:
                self.log.append(await waiter)
            except Stop:
                self.log.append("stopped")
                return
        self.log.append("end")


def test_task_starts_at_once_and_resumes_inside_set() -> None:
    script = Script()
    task = EagerTask(script.run(), Stop)
    assert script.log == []
    task.resume()
    assert script.log == ["start"]
    script.waiters[0].set("a")
    assert script.log == ["start", "a"]
    script.waiters[1].set("b")
    assert not task.is_done
    script.waiters[2].set("c")
    assert script.log == ["start", "a", "b", "c", "end"]
    assert task.is_done


def test_value_set_before_the_wait_needs_no_wait() -> None:
    script = Script()
    for waiter in script.waiters:
        waiter.set("x")
    task = EagerTask(script.run(), Stop)
    task.resume()
    assert script.log == ["start", "x", "x", "x", "end"]
    assert task.is_done


def test_later_values_are_ignored() -> None:
    script = Script()
    task = EagerTask(script.run(), Stop)
    task.resume()
    script.waiters[0].set("a")
    script.waiters[0].set("b")
    assert script.log == ["start", "a"]
    task.cancel()


def test_cancel_throws_at_once_into_a_waiting_task() -> None:
    script = Script()
    task = EagerTask(script.run(), Stop)
    task.resume()
    task.cancel()
    assert script.log == ["start", "stopped"]
    assert task.is_done
    script.waiters[0].set("late")
    task.cancel()
    assert script.log == ["start", "stopped"]


def test_cancel_of_a_running_task_throws_at_its_next_wait() -> None:
    log: list[str] = []
    waiter: Waiter[None] = Waiter()

    async def run() -> None:
        task.cancel()
        log.append("still running")
        try:
            await waiter
        except Stop:
            log.append("stopped")

    task = EagerTask(run(), Stop)
    task.resume()
    assert log == ["still running", "stopped"]
    assert task.is_done


def test_cancel_of_a_task_that_runs_to_its_end_has_no_effect() -> None:
    log: list[str] = []

    async def run() -> None:
        task.cancel()
        log.append("end")

    task = EagerTask(run(), Stop)
    task.resume()
    assert log == ["end"]
    assert task.is_done


def test_cancelled_task_may_wait_again() -> None:
    log: list[str] = []
    first: Waiter[str] = Waiter()
    second: Waiter[str] = Waiter()

    async def run() -> None:
        try:
            await first
        except Stop:
            log.append("stopped")
            log.append(await second)

    task = EagerTask(run(), Stop)
    task.resume()
    task.cancel()
    first.set("too late for the first")
    assert log == ["stopped"]
    second.set("cleaned up")
    assert log == ["stopped", "cleaned up"]
    assert task.is_done


def test_cleanup_runs_before_cancel_returns() -> None:
    log: list[str] = []
    waiter: Waiter[None] = Waiter()

    async def inner() -> None:
        try:
            await waiter
        finally:
            log.append("inner")

    async def run() -> None:
        try:
            await inner()
        except Stop:
            log.append("outer")

    task = EagerTask(run(), Stop)
    task.resume()
    task.cancel()
    assert log == ["inner", "outer"]


@pytest.mark.parametrize("is_first_waiting", [True, False])
def test_uncaught_error_of_a_task_is_logged_and_not_raised(
    is_first_waiting: bool, caplog: pytest.LogCaptureFixture
) -> None:
    waiter: Waiter[None] = Waiter()

    async def run() -> None:
        if is_first_waiting:
            await waiter
        raise KeyError("lost")

    task = EagerTask(run(), Stop)
    with caplog.at_level(logging.ERROR):
        task.resume()
        waiter.set(None)
    assert task.is_done
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is KeyError


def test_uncaught_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    waiter: Waiter[None] = Waiter()

    async def run() -> None:
        await waiter

    task = EagerTask(run(), Stop)
    task.resume()
    with caplog.at_level(logging.ERROR):
        task.cancel()
    assert task.is_done
    assert len(caplog.records) == 1


def test_keyboard_interrupt_is_not_swallowed() -> None:
    async def run() -> None:
        raise KeyboardInterrupt

    task = EagerTask(run(), Stop)
    with pytest.raises(KeyboardInterrupt):
        task.resume()
    assert task.is_done


def test_waiting_for_a_foreign_awaitable_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    class Foreign:
        def __await__(self):  # type: ignore[no-untyped-def]
            yield object()

    async def run() -> None:
        await Foreign()

    task = EagerTask(run(), Stop)
    with caplog.at_level(logging.ERROR):
        task.resume()
    assert task.is_done
    assert len(caplog.records) == 1
    del task
    gc.collect()


def test_tasks_that_wake_each_other_take_turns() -> None:
    log: list[str] = []
    to_a: list[Waiter[str]] = [Waiter(), Waiter()]
    to_b: list[Waiter[str]] = [Waiter(), Waiter()]

    async def a() -> None:
        to_b[0].set("a to b")
        log.append(await to_a[0])
        to_b[1].set("a to b again")
        log.append(await to_a[1])

    async def b() -> None:
        log.append(await to_b[0])
        to_a[0].set("b to a")
        log.append(await to_b[1])
        to_a[1].set("b to a again")

    task_b, task_a = EagerTask(b(), Stop), EagerTask(a(), Stop)
    task_b.resume()
    task_a.resume()
    assert log == ["a to b", "b to a", "a to b again", "b to a again"]
    assert task_a.is_done
    assert task_b.is_done


def test_task_may_cancel_another_that_is_waking_it() -> None:
    log: list[str] = []
    to_a: Waiter[None] = Waiter()
    never: Waiter[None] = Waiter()

    async def a() -> None:
        await to_a
        task_b.cancel()
        log.append("a")

    async def b() -> None:
        to_a.set(None)
        log.append("b")
        try:
            await never
        except Stop:
            log.append("b stopped")

    task_a = EagerTask(a(), Stop)
    task_b = EagerTask(b(), Stop)
    task_a.resume()
    task_b.resume()
    assert log == ["a", "b", "b stopped"]
    assert task_b.is_done


def test_bell_wakes_its_coroutine_repeatedly() -> None:
    bell = Bell()
    log: list[bool] = []

    async def run() -> None:
        while len(log) < 3:
            log.append(await bell)

    task = EagerTask(run(), Stop)
    bell.ring()
    task.resume()
    assert log == [True], "a ring before the wait is kept"
    bell.ring()
    bell.ring()
    assert log == [True] * 3
    assert task.is_done


@pytest.mark.parametrize("rings", [True, False])
def test_wait_for_a_bell_can_time_out(rings: bool) -> None:
    async def main() -> None:
        bell, log = Bell(), []

        async def run() -> None:
            log.append(await bell.within(60.0 if rings else 0.001))

        EagerTask(run(), Stop).resume()
        if rings:
            bell.ring()
        while not log:
            await asyncio.sleep(0.001)
        assert log == [rings]

    asyncio.run(main())
