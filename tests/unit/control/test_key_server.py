"""Control waits until every worker has taken a change of keys."""

import asyncio

from integration.gateway import run
from pointsman.control.key_server import KeyServer
from pointsman.link.frames import FromControl, KeyMade, KeysChanged, KeysTaken, MakeKey


class Fixture:
    def __init__(self) -> None:
        self.sent: list[tuple[int, FromControl]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.server = KeyServer(
            lambda epoch, frame: self.sent.append((epoch, frame)),
            lambda coroutine: self.tasks.append(asyncio.get_running_loop().create_task(coroutine)),
        )


def test_change_ends_when_all_workers_have_taken_it() -> None:
    async def main() -> None:
        one = Fixture()
        one.server.connected(1)
        one.server.connected(2)
        changing = asyncio.create_task(one.server.change([b"1"], ["app"], 9.0))
        await asyncio.sleep(0)
        frame = KeysChanged(1, [b"1"], ["app"])
        assert sorted(one.sent, key=lambda sent: sent[0]) == [(1, frame), (2, frame)]
        one.server.received(1, KeysTaken(1))
        one.server.received(2, KeysTaken(99))
        await asyncio.sleep(0)
        assert not changing.done()
        one.server.received(2, KeysTaken(1))
        assert await changing == []

    run(main())


def test_worker_that_does_not_answer_is_named_and_one_that_is_gone_is_not() -> None:
    async def main() -> None:
        one = Fixture()
        for epoch in (1, 2, 3):
            one.server.connected(epoch)
        changing = asyncio.create_task(one.server.change(None, (), 0.01))
        await asyncio.sleep(0)
        one.server.received(1, KeysTaken(1))
        one.server.lost(2)
        assert await changing == [3]

    run(main())


def test_child_key_goes_to_the_worker_that_requested_it() -> None:
    async def main() -> None:
        one = Fixture()

        async def make(frame: MakeKey) -> KeyMade:
            return KeyMade(frame.number, frame.body)

        one.server.on_make_key = make
        one.server.received(5, MakeKey(3, "app", b"{}"))
        await asyncio.gather(*one.tasks)
        assert one.sent == [(5, KeyMade(3, b"{}"))]

    run(main())
