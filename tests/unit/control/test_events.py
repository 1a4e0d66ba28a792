"""Events are kept for a while, and their followers learn of gaps."""

import asyncio

from integration.gateway import run
from pointsman.control.events import KEPT, EventLog


def test_follower_gets_the_events_after_its_number() -> None:
    async def main() -> None:
        log = EventLog()
        log.publish("a", {"x": 1})
        (first,) = [one for one in await log.after(0, 0.0) if one.kind != "reset"]
        log.publish("b", {})
        (second,) = await log.after(first.number, 0.0)
        assert (first.kind, first.data, second.kind) == ("a", {"x": 1}, "b")
        assert second.number > first.number
        assert await log.after(second.number, 0.0) == []

    run(main())


def test_follower_without_a_number_waits_for_the_next_event() -> None:
    async def main() -> None:
        log = EventLog()
        log.publish("old", {})
        waiting = asyncio.create_task(log.after(None, 60.0))
        await asyncio.sleep(0)
        log.publish("new", {})
        assert [one.kind for one in await waiting] == ["new"]

    run(main())


def test_lost_events_are_reported() -> None:
    async def main() -> None:
        log = EventLog()
        log.publish("first", {})
        number = (await log.after(0, 0.0))[-1].number
        for _ in range(KEPT + 1):
            log.publish("more", {})
        found = await log.after(number, 0.0)
        assert (found[0].kind, len(found)) == ("reset", KEPT + 1)

    run(main())
