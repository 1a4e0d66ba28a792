"""The log of a request: pauses count as waiting only while no attempt runs."""

import asyncio
from typing import Any, cast

from fakes.clock import PATIENCE_S
from pointsman.domain.records import RequestRecord
from pointsman.engine.request_log import RequestLog
from pointsman.engine.tasks import EagerTask

RECORD = RequestRecord(time=0.0, request_id="", method="POST", path="/v1/chat/completions", status=0)


def waited(running: list[Any]) -> float:
    """Return the seconds that a log counts for a pause of a hundredth of a second."""
    log = RequestLog(request_id="r", received_at=0.0, key=None, record=RECORD, running=running)

    async def main() -> None:
        ended = asyncio.Event()

        async def pause() -> None:
            assert not await log.pause(0.01)
            ended.set()

        EagerTask(cast("Any", pause()), Exception).resume()
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()

    asyncio.run(main())
    return log.waited_s


def test_pause_counts_as_waiting_without_an_attempt() -> None:
    assert waited([]) >= 0.009
    assert waited([object()]) == 0.0
