"""Control's part in the exchange of health: it forwards the news of each worker to the others, unread."""

from collections.abc import Callable

from pointsman.link.frames import FromControl, HealthPeers, PeerHealth, WorkerHealth


class HealthServer:
    """Knows the workers that share their health. `send` drops frames to workers that are not connected, or that do not
    read."""

    def __init__(self, send: Callable[[int, FromControl], None]) -> None:
        self._send = send
        self._sharing: list[int] = []  # epochs, in the order of their connections

    def connected(self, epoch: int) -> None:
        """Handle a new connection. The longest connected worker tells the new one all that it knows."""
        others = [one for one in self._sharing if one != epoch]
        self._sharing = [*others, epoch]
        self._rank(epoch if others else None)

    def lost(self, epoch: int) -> None:
        """Handle the loss of a connection."""
        if epoch in self._sharing:
            self._sharing.remove(epoch)
            self._rank(None)

    def received(self, epoch: int, frame: WorkerHealth) -> None:
        """Forward the news of a worker."""
        for other in self._sharing:
            if other != epoch and frame.to in (None, other):
                self._send(other, PeerHealth(frame.news))

    def _rank(self, newcomer: int | None) -> None:
        """Send each worker its rank among the others. A single worker has none, and shares nothing."""
        is_alone = len(self._sharing) == 1
        for rank, epoch in enumerate(self._sharing):
            self._send(epoch, HealthPeers(None if is_alone else rank, newcomer if rank == 0 else None))
