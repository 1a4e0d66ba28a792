"""The composition root of the control process."""

import asyncio
import fcntl
import logging
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

from pointsman.config.snapshot_file import Compiled
from pointsman.control.background import start_work
from pointsman.control.configuration import Configuration
from pointsman.control.ingest import Ingest
from pointsman.control.inquiry_handler import InquiryHandler
from pointsman.control.lease_server import LeaseServer
from pointsman.control.listing import Listing
from pointsman.control.parts import ControlParts
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.ownership import STALE_S, InUseError, gateway_of
from pointsman.control.store.store import Store
from pointsman.control.variants import splits_of
from pointsman.domain.snapshots import counters_of
from pointsman.money.leases import LeaseTable
from pointsman.runtime.tasks import ChildTask, log_to_stderr, notify_ready, stop_event, tune_garbage_collector

FINISH_S = 10.0  # the shutdown waits up to this long until the journals are ingested
STORE_S = 3.0  # the start waits up to this long for the store

_logger = logging.getLogger("pointsman")


async def work(task: ChildTask) -> int:
    """Run the control process until it receives a stop signal. Return the exit code."""
    log_to_stderr(task.log_level, "control: ")
    return await _Control(task).run()


class _Control:
    def __init__(self, task: ChildTask) -> None:
        self._task = task
        self._data_dir = Path(task.data_dir)
        self._lock: int | None = None  # held until the process ends
        self._in_use: InUseError | None = None  # set while another gateway owns the store

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        task = self._task
        stopping = stop_event(task.life_fd)
        parts = self._parts()
        await parts.lease_server.listen(socket.socket(fileno=task.listen_fds[0]))
        ingesting = loop.create_task(parts.ingest.run())
        reloads: set[asyncio.Task[tuple[bool, list[str]]]] = set()

        def on_hangup() -> None:
            reload = loop.create_task(parts.configuration.reload())
            reloads.add(reload)
            reload.add_done_callback(reloads.discard)

        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        if not await self._wait_for_store(parts.ingest, stopping):
            parts.lease_server.close()
            await parts.keys.close()
            await parts.ingest.finish(0.0)
            await ingesting
            return 1
        tune_garbage_collector()
        notify_ready(task.ready_fd)
        # Not earlier, because compiling a large configuration again would delay the start.
        tasks = [loop.create_task(parts.configuration.run())]
        tasks += start_work(parts, self._settings, SystemRandom().random)
        if (listing := self._listing(parts)) is not None:
            tasks.append(loop.create_task(listing.run()))
        await stopping.wait()
        for running in tasks:
            running.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parts.keys.close()
        await parts.ingest.finish(FINISH_S)
        await ingesting
        parts.lease_server.close()
        return 0

    async def _wait_for_store(self, ingest: Ingest, stopping: asyncio.Event) -> bool:
        """Wait briefly for the store. If another gateway owns it, wait until it is clear whether that gateway is alive.
        Return true if control should start."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        beats: set[float] = set()
        while not (ingest.is_ready.is_set() or stopping.is_set()):
            waited_s, in_use = loop.time() - began_at, self._in_use
            if in_use is not None:
                beats.add(in_use.beat)
            if in_use is not None and (len(beats) > 1 or waited_s > STALE_S + STORE_S):
                _logger.error("%s", in_use)
                if self._task.must_own:
                    return False
                break
            if in_use is None and waited_s > STORE_S:
                _logger.warning(
                    "control grants no leases until it has read the store and the journals; "
                    "if this lasts, check that the store responds"
                )
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await ingest.is_ready.wait()
        return True

    def _parts(self) -> ControlParts:
        task = self._task

        async def open_store() -> Store:
            self._lock_journals()
            try:
                gateway = gateway_of(self._data_dir)
            except OSError as error:
                raise StoreError(f"the data folder {self._data_dir} cannot be used: {error.strerror}") from error
            secret = self._settings.store_url
            url = store_url(secret.reveal() if secret is not None else None, self._data_dir)
            try:
                store = await Store.open(url, gateway)
            except InUseError as error:
                self._in_use = error
                raise
            self._in_use = None
            return store

        def on_new(compiled: Compiled) -> None:
            leases.configure(counters_of(compiled.snapshot))
            ingest.splits = splits_of(compiled.snapshot)

        configuration: Configuration
        settings_path = Path(task.snapshot)
        leases = LeaseTable(1, knows_all=False)
        ingest = Ingest(
            self._data_dir / "journal",
            leases,
            open_store,
            on_retired=lambda shares: lease_server.reshare(shares),  # noqa: PLW0108 -- made below
        )
        lease_server = LeaseServer(leases, ingest, lambda: (str(settings_path), configuration.digest))
        configuration = Configuration(
            settings_path,
            Path(task.config) if task.config is not None else None,
            on_new,
            lease_server.distribute,
            public_is_loopback=task.public_is_loopback,
        )
        self._settings = configuration.current.settings
        ingest.is_shared = self._settings.store_url is not None
        leases.size = self._settings.workers
        leases.configure(counters_of(configuration.current.snapshot))
        ingest.splits = splits_of(configuration.current.snapshot)
        parts = ControlParts.of(leases, ingest, lease_server, configuration)
        lease_server.on_inquiry = InquiryHandler(parts).answer
        return parts

    def _lock_journals(self) -> None:
        """Lock the journals, so that no other process ingests them and counts them twice. The control process of a
        killed supervisor may still be shutting down. Raises `StoreError`."""
        if self._lock is not None:
            return
        fd = os.open(self._data_dir / "control.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise StoreError(f"another control process still uses {self._data_dir}; waiting for it to end") from error
        self._lock = fd

    def _listing(self, parts: ControlParts) -> Listing | None:
        """Return the task that lists the models of providers, if the configuration sets a period for it."""
        period_s, configuration = self._settings.list_models_s, parts.configuration
        if period_s is None:
            return None
        return Listing(
            period_s,
            self._settings.data_dir,
            lambda: configuration.current.snapshot,
            configuration.reload,
            SystemRandom().random,
        )
