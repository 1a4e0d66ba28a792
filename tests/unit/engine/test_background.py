"""Long work runs in a thread, and its result arrives in the event loop."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from fakes.lag import LongestTurn
from pointsman.engine.background import BackgroundThread
from pointsman.engine.tasks import EagerTask


class Stopped(Exception):  # noqa: N818
    """The exception that cancels a task."""


async def _outcome(background: BackgroundThread, function: Callable[[int], object]) -> object:
    """Return the result of a call, as an eager coroutine gets it."""
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        try:
            told.set_result((await background.call(function, 7), threading.current_thread().name))
        except ValueError as error:
            told.set_result(error)

    EagerTask(ask(), Stopped).resume()
    return await told


def test_call_runs_in_a_thread_and_returns_in_the_event_loop() -> None:
    async def main() -> None:
        background = BackgroundThread()
        here = threading.current_thread().name
        assert await _outcome(background, lambda number: (number, threading.current_thread().name != here)) == (
            (7, True),
            here,
        )
        background.close()

    asyncio.run(main())


def test_exception_of_a_call_is_raised_in_the_request() -> None:
    def fail(number: int) -> None:
        raise ValueError(number)

    async def main() -> None:
        background = BackgroundThread()
        assert repr(await _outcome(background, fail)) == "ValueError(7)"
        background.close()

    asyncio.run(main())


def test_event_loop_runs_during_a_call() -> None:
    def work(_: int) -> int:
        return sum(number % 7 for number in range(3_000_000))

    async def main() -> None:
        background, turn = BackgroundThread(), LongestTurn()
        watching = asyncio.create_task(turn.watch())
        await _outcome(background, work)
        watching.cancel()
        assert turn.longest_s < 0.05
        background.close()

    asyncio.run(main())


@pytest.mark.parametrize("is_closed", [False, True])
def test_result_for_a_cancelled_request_is_dropped(is_closed: bool) -> None:
    async def main() -> None:
        background, ends, seen = BackgroundThread(), threading.Event(), list[bool | None]()

        async def ask() -> None:
            try:
                seen.append(await background.call(ends.wait, 10.0))
            except Stopped:
                seen.append(None)

        task = EagerTask(ask(), Stopped)
        task.resume()
        task.cancel()
        if is_closed:
            background.close()
        ends.set()
        await asyncio.sleep(0.02)
        assert seen == [None]
        assert task.is_done
        background.close()

    asyncio.run(main())
