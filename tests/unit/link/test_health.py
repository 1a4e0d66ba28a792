"""A worker's exchange of health with the others."""

import asyncio
from time import monotonic

import pytest

from fakes.routing import endpoint, failure, snapshot
from fakes.serving import until
from integration.gateway import run
from pointsman.domain import failures
from pointsman.domain.holds import Hold
from pointsman.domain.targets import candidate
from pointsman.engine.live import Live
from pointsman.link import health as module
from pointsman.link.frames import FromWorker, HealthPeers, Holds, PeerHealth, WorkerHealth
from pointsman.link.health import HealthConnection
from pointsman.routing.health import LIMITS
from pointsman.routing.shared_view import SharedView

ENDPOINT = endpoint("alpha", "k")
A = candidate(ENDPOINT, "m")


class Worker:
    def __init__(self) -> None:
        self.live = Live(snapshot([ENDPOINT]))
        self.sent: list[FromWorker] = []
        shared = SharedView(self.live)
        self.connection = HealthConnection(shared, self.sent.append)

    def fails(self) -> None:
        now = monotonic()
        for _ in range(LIMITS.failures):
            self.live.begin(A, now, is_retry=False)
            self.live.finish(A, ENDPOINT.keys[0], failure(failures.UPSTREAM_ERROR), now)

    def news(self) -> list[WorkerHealth]:
        return [frame for frame in self.sent if isinstance(frame, WorkerHealth)]


def test_only_worker_collects_and_sends_nothing() -> None:
    async def main() -> None:
        worker = Worker()
        worker.connection.received(HealthPeers(None))
        worker.fails()
        await asyncio.sleep(3 * module.URGENT_S)
        assert worker.sent == []
        assert worker.connection._timer is None

    run(main())


def test_breaker_that_opens_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 3600.0)

    async def main() -> None:
        first, second = Worker(), Worker()
        first.connection.received(HealthPeers(0))
        first.fails()
        await until(lambda: bool(first.news()))
        second.connection.received(PeerHealth(first.news()[0].news))
        assert second.live.conditions["alpha/m"].health(monotonic()) == "degraded"
        first.connection.disconnected()

    run(main())


def test_newcomer_gets_the_whole_view() -> None:
    async def main() -> None:
        old, new = Worker(), Worker()
        old.fails()
        old.connection.received(HealthPeers(0, newcomer=7))
        (frame,) = old.news()
        assert frame.to == 7
        new.connection.received(PeerHealth(frame.news))
        assert new.live.conditions["alpha/m"].failures == LIMITS.failures - 1
        old.connection.disconnected()

    run(main())


def test_exchange_ends_with_the_connection_and_begins_anew() -> None:
    async def main() -> None:
        worker = Worker()
        worker.connection.received(HealthPeers(0))
        worker.connection.disconnected()
        assert worker.connection._timer is None
        worker.fails()
        worker.connection.received(HealthPeers(1))
        worker.connection._beat()
        assert worker.news() == [], "changes from before are part of the whole view only"
        worker.connection.disconnected()

    run(main())


def test_news_of_another_version_is_ignored() -> None:
    async def main() -> None:
        worker = Worker()
        worker.connection.received(PeerHealth(b"\xc1"))
        assert worker.live.conditions == {}

    run(main())


def test_orders_of_operators_come_into_force_without_a_reload() -> None:
    async def main() -> None:
        worker = Worker()
        version = worker.live.version
        worker.connection.received(Holds([Hold("alpha"), Hold("alpha:k", until=1.0)]))
        assert list(worker.live.holds) == ["alpha"], "one of them has ended"
        assert worker.live.version is not version
        worker.connection.received(Holds([]))
        assert worker.live.holds == {}

    run(main())
