"""The connection of a worker to control: leases, owners of stored resources, and snapshots."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

from pointsman.domain.leases import NO_SHARE, Grant, LeaseUnavailable
from pointsman.link.client import LinkClient
from pointsman.link.frames import PROTOCOL, Hello
from pointsman.routing.shared_view import SharedView
from pointsman.runtime.data_plane import DataPlane
from pointsman.runtime.key_changes import KeyChanges

OnSnapshot = Callable[[str], Awaitable[str]]


class ControlConnection:
    """The connection of a data plane to control. While it is open, limits are shared with other workers.
    `encoded_metrics` returns a page of metrics for control."""

    def __init__(self, plane: DataPlane, encoded_metrics: Callable[[], bytes]) -> None:
        self._plane = plane
        self._encoded_metrics = encoded_metrics

    async def open(self, slot: int, epoch: int, path: str, on_snapshot: OnSnapshot, patience_s: float) -> None:
        """Return when control can grant leases, or after `patience_s`. Without control, the worker serves only the
        requests that need no lease."""
        live, ledger, journal = self._plane.live, self._plane.ledger, self._plane.journal
        ledger.reshare(NO_SHARE)
        live.is_cut_off = True

        def hello() -> Hello:
            share = ledger.share if link.share is not None else None
            name = journal.name if journal is not None else ""
            digest = live.snapshot.digest
            return Hello(
                protocol=PROTOCOL,
                slot=slot,
                epoch=epoch,
                pid=os.getpid(),
                journal=name,
                digest=digest,
                share=share,
                holdings=ledger.holdings(),
                shares_usage=True,
                shares_health=True,
                takes_keys=True,
            )

        connected = asyncio.Event()

        def on_connection(is_up: bool) -> None:
            (connected.set if is_up else connected.clear)()
            live.is_cut_off = not is_up
            if is_up:
                live.is_stale = False

        self.link = link = LinkClient(
            path,
            ledger,
            hello,
            on_snapshot,
            self._encoded_metrics,
            on_connection=on_connection,
            amounts=self._plane.amounts,
        )
        link.share_health(SharedView(live))
        self._keys = KeyChanges(self._plane, link.give_back)
        link.keys.on_changed = self._keys.take
        self._plane.api.key_client = link.keys
        self._plane.billing.lease_client = link
        self._plane.ownership.state_client = link.state
        loop = asyncio.get_running_loop()
        self._running = loop.create_task(link.run())
        self._watch_age(loop)
        answers: asyncio.Queue[Sequence[Grant] | LeaseUnavailable] = asyncio.Queue()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                can_grant = False
                while not can_grant:  # a control process that dies meanwhile is replaced
                    await connected.wait()
                    link.ask((), answers.put_nowait, patience_s)
                    can_grant = not isinstance(await answers.get(), LeaseUnavailable)

    def close(self) -> None:
        """Close the connection."""
        self._running.cancel()
        self._age_timer.cancel()
        self.link.close()

    def _watch_age(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check every second whether control is silent, or has been away for too long. Look for changes of keys."""
        self._keys.look()
        live, now = self._plane.live, monotonic()
        away_since = self.link.away_since(now)
        live.is_cut_off = away_since is not None
        live.is_stale = away_since is not None and now - away_since > self._plane.settings.max_stale_s
        self._age_timer = loop.call_later(1.0, self._watch_age, loop)
