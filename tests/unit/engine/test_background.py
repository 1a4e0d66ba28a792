"""What takes long is done beside the loop, and told in it."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from fakes.lag import LongestTurn
from pointsman.engine.background import BackgroundThread
from pointsman.engine.tasks import EagerTask


class Stopped(Exception):  # noqa: N818
    """Thrown into what waits."""


async def _outcome(background: BackgroundThread, function: Callable[[int], object]) -> object:
    """What came of a call, as an eager coroutine sees it."""
    told: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        try:
            told.set_result((await background.call(function, 7), threading.current_thread().name))
        except ValueError as error:
            told.set_result(error)

    EagerTask(ask(), Stopped).resume()
    return await told


def test_it_is_done_in_a_thread_and_told_in_the_loop() -> None:
    async def main() -> None:
        background = BackgroundThread()
        here = threading.current_thread().name
        assert await _outcome(background, lambda number: (number, threading.current_thread().name != here)) == (
            (7, True),
            here,
        )
        background.close()

    asyncio.run(main())


def test_what_it_raises_is_raised_in_the_request() -> None:
    def fail(number: int) -> None:
        raise ValueError(number)

    async def main() -> None:
        background = BackgroundThread()
        assert repr(await _outcome(background, fail)) == "ValueError(7)"
        background.close()

    asyncio.run(main())


def test_the_loop_goes_on_meanwhile() -> None:
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
def test_a_request_that_is_cancelled_is_not_told(is_closed: bool) -> None:
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
