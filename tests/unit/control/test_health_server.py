"""Control forwards the news of each worker to the others."""

from pointsman.control.health_server import HealthServer
from pointsman.link.frames import FromControl, HealthPeers, PeerHealth, WorkerHealth


class Control:
    def __init__(self) -> None:
        self.sent: list[tuple[int, FromControl]] = []
        self.server = HealthServer(lambda *one: self.sent.append(one))

    def taken(self) -> list[tuple[int, FromControl]]:
        taken, self.sent = self.sent, []
        return taken


def test_single_worker_has_no_rank_and_two_have_one_each() -> None:
    control = Control()
    control.server.connected(5)
    assert control.taken() == [(5, HealthPeers(None))]
    control.server.connected(7)
    assert control.taken() == [(5, HealthPeers(0, newcomer=7)), (7, HealthPeers(1))]
    control.server.lost(5)
    assert control.taken() == [(7, HealthPeers(None))]
    control.server.lost(5)
    assert control.taken() == []


def test_worker_that_reconnects_gets_the_view_of_another() -> None:
    control = Control()
    for epoch in (1, 2, 1):
        control.server.connected(epoch)
    assert control.taken()[-2:] == [(2, HealthPeers(0, newcomer=1)), (1, HealthPeers(1))]


def test_news_goes_to_all_others_or_to_the_newcomer() -> None:
    control = Control()
    for epoch in (1, 2, 3):
        control.server.connected(epoch)
    control.taken()
    control.server.received(2, WorkerHealth(b"news"))
    assert control.taken() == [(1, PeerHealth(b"news")), (3, PeerHealth(b"news"))]
    control.server.received(1, WorkerHealth(b"all", to=3))
    assert control.taken() == [(3, PeerHealth(b"all"))]
    control.server.received(1, WorkerHealth(b"all", to=9))
    assert control.taken() == []
