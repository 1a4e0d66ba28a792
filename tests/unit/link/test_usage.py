"""A worker's exchange of used amounts with control."""

import asyncio

import pytest

from fakes.money import limit
from integration.gateway import run
from pointsman.domain.leases import NO_SHARE, UsedElsewhere, UsedHere
from pointsman.link import usage as module
from pointsman.link.frames import FromWorker, SharedUsage, WorkerUsage
from pointsman.link.usage import UsageConnection
from pointsman.money.ledger import Ledger
from pointsman.money.usage import SILENT_TICKS, UsedAmounts

NOW = 1_764_000_000.0
DAY = int(NOW // 86_400) * 86_400
USD, OTHER = limit("usd", 1000), limit("usd", 1000, name="other")
WATCH = WorkerUsage([(USD.counter, DAY)], [], [])


class Worker:
    def __init__(self) -> None:
        self.amounts = UsedAmounts(Ledger(NO_SHARE))
        self.sent: list[FromWorker] = []
        self.connection = UsageConnection(self.amounts, self.sent.append)


def test_nothing_is_sent_while_no_decision_reads_an_amount() -> None:
    async def main() -> None:
        worker = Worker()
        worker.connection.connected()
        worker.connection.send_changes()
        assert worker.sent == []
        assert worker.connection._timer is None

    run(main())


def test_counters_of_one_decision_are_asked_for_together() -> None:
    async def main() -> None:
        worker = Worker()
        worker.connection.connected()
        worker.amounts.used(USD, NOW)
        worker.amounts.used(OTHER, NOW)
        assert worker.sent == []
        await asyncio.sleep(0)
        assert worker.sent == [WorkerUsage([(USD.counter, DAY), (OTHER.counter, DAY)], [], [])]
        worker.connection.close()

    run(main())


def test_wanted_amounts_are_reported_at_once() -> None:
    async def main() -> None:
        worker = Worker()
        worker.connection.connected()
        worker.connection.received(SharedUsage([USD.counter], [], []))
        assert worker.sent == [WorkerUsage([], [], [UsedHere(USD.counter, 0, 0)])]
        worker.connection.close()

    run(main())


def test_counters_are_asked_for_again_on_a_new_connection() -> None:
    async def main() -> None:
        worker = Worker()
        worker.amounts.used(USD, NOW)
        await asyncio.sleep(0)
        assert worker.sent == [], "there is no connection"
        worker.connection.connected()
        assert worker.sent == [WATCH]
        worker.connection.disconnected()
        worker.connection.send_changes()
        worker.connection.connected()
        assert worker.sent == [WATCH] * 2
        worker.connection.close()

    run(main())


def test_amounts_are_unknown_after_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.001)

    async def main() -> None:
        worker = Worker()
        worker.connection.connected()
        worker.amounts.used(USD, NOW)
        worker.connection.received(SharedUsage([], [], [UsedElsewhere(USD.counter, DAY, 5)]))
        assert worker.amounts.used(USD, NOW) == 5
        while worker.amounts.used(USD, NOW) is not None:
            await asyncio.sleep(0.001)
        assert worker.amounts._silent >= SILENT_TICKS
        worker.connection.close()

    run(main())
