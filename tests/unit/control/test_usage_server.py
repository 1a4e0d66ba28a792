"""Control's exchange of used amounts with the workers."""

import asyncio

from fakes.money import limit
from integration.gateway import run
from pointsman.control.usage_server import UsageServer
from pointsman.domain.leases import UsedElsewhere, UsedHere
from pointsman.link.frames import FromControl, SharedUsage, WorkerUsage
from pointsman.money.leases import LeaseTable

USD = limit("usd", 1000)
NAME, DAY = USD.counter, 1_763_942_400
WATCH = WorkerUsage([(NAME, DAY)], [], [])


class Control:
    def __init__(self) -> None:
        self.leases = LeaseTable(2)
        self.leases.configure({NAME: USD})
        self.sent: list[tuple[int, FromControl]] = []
        self.knows_all = True
        self.server = UsageServer(self.leases, lambda *one: self.sent.append(one), lambda: self.knows_all)
        for epoch in (1, 2):
            self.leases.join(epoch, epoch, 0.0)
            self.server.connected(epoch)

    def report(self, epoch: int, amount: int) -> None:
        self.server.received(epoch, WorkerUsage([], [], [UsedHere(NAME, DAY, amount)]))

    def taken(self) -> list[tuple[int, FromControl]]:
        taken, self.sent = self.sent, []
        return taken


def amount(value: int) -> SharedUsage:
    return SharedUsage([], [], [UsedElsewhere(NAME, DAY, value)])


def test_reader_is_answered_with_the_last_report() -> None:
    async def main() -> None:
        control = Control()
        control.server.received(1, WATCH)
        assert sorted(control.taken(), key=lambda one: one[0]) == [
            (epoch, SharedUsage([NAME], [], [])) for epoch in (1, 2)
        ]
        control.report(1, 3)
        await asyncio.sleep(0)
        assert control.taken() == []
        control.report(2, 7)
        await asyncio.sleep(0)
        assert control.taken() == [(1, amount(7))]
        control.report(2, 9)
        while not (sent := control.taken()):
            await asyncio.sleep(0.01)
        assert sent == [(1, amount(9))]
        control.server.close()

    run(main())


def test_nothing_is_sent_before_control_knows_all() -> None:
    async def main() -> None:
        control = Control()
        control.knows_all = False
        control.server.received(1, WATCH)
        control.report(1, 0)
        control.report(2, 7)
        control.taken()
        control.server._tick()
        await asyncio.sleep(0)
        assert control.taken() == []
        control.knows_all = True
        control.server._tick()
        assert control.taken() == [(1, amount(7))]
        control.server.close()

    run(main())


def test_reports_end_with_the_last_reader() -> None:
    async def main() -> None:
        control = Control()
        control.server.received(1, WATCH)
        control.taken()
        control.server.received(1, WorkerUsage([], [NAME], []))
        assert sorted(control.taken(), key=lambda one: one[0]) == [
            (epoch, SharedUsage([], [NAME], [])) for epoch in (1, 2)
        ]
        control.server._tick()
        assert control.server._timer is None

    run(main())


def test_amount_is_sent_before_a_grant() -> None:
    async def main() -> None:
        control = Control()
        control.server.send_amounts(1, [NAME])
        control.server.received(1, WATCH)
        control.report(1, 0)
        control.report(2, 7)
        await asyncio.sleep(0)
        control.report(2, 4)
        control.taken()
        control.server.send_amounts(1, [NAME])
        assert control.taken() == [(1, amount(4))]
        control.server.close()

    run(main())
