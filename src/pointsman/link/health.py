"""A worker's exchange of health with the others, through control. While it is the only worker, it does nothing."""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic, time

import msgspec

from pointsman.link.frames import FromWorker, HealthPeers, Holds, PeerHealth, WorkerHealth
from pointsman.routing.shared_view import HealthNews, SharedView

BEAT_S = 1.0
URGENT_S = 0.02  # several changes of breakers within this time are sent together

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(HealthNews)
_logger = logging.getLogger(__name__)


class HealthConnection:
    """The part of the connection that is about health, and about the orders of operators. `send` takes a frame, and
    drops it if there is no connection."""

    def __init__(self, shared: SharedView, send: Callable[[FromWorker], None]) -> None:
        self._shared = shared
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_sharing = False
        shared.on_urgent = self._urgent

    def received(self, frame: HealthPeers | PeerHealth | Holds) -> None:
        """Handle a frame."""
        if isinstance(frame, PeerHealth):
            self._learn(frame)
        elif isinstance(frame, Holds):
            self._shared.hold(frame.holds, monotonic(), time())
        else:
            self._take_peers(frame)

    def _take_peers(self, frame: HealthPeers) -> None:
        """Begin or end the exchange. Send a worker that has just started all that is known here."""
        self._is_sharing = frame.rank is not None
        self._shared.share(frame.rank)
        if not self._is_sharing:
            self._stop()
        elif self._timer is None:
            self._wait(BEAT_S)
        if frame.newcomer is not None:
            self._send(WorkerHealth(_ENCODER.encode(self._shared.whole(monotonic())), frame.newcomer))

    def _learn(self, frame: PeerHealth) -> None:
        """Take the news of another worker."""
        try:
            news = _DECODER.decode(frame.news)
        except msgspec.DecodeError:  # of another version, which drains
            _logger.debug("the health of a worker of another version is ignored")
            return
        self._shared.learn(news, monotonic())

    def disconnected(self) -> None:
        """Go on alone."""
        self._is_sharing = False
        self._shared.share(None)
        self._stop()

    def _urgent(self) -> None:
        if self._is_sharing:
            self._wait(URGENT_S)

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self._loop.call_later(seconds, self._beat)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        news = self._shared.take(monotonic())
        if news is not None:
            self._send(WorkerHealth(_ENCODER.encode(news)))
        self._wait(BEAT_S)
