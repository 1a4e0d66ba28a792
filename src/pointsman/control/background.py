"""The work of control beside ingestion, leases and configuration: old data, batches, and files of bodies."""

import asyncio
from collections.abc import Callable

from pointsman.config.settings import Settings
from pointsman.control.batches import BatchFollower
from pointsman.control.bodies import BodyReader
from pointsman.control.members import end_lost_keys
from pointsman.control.parts import ControlParts
from pointsman.control.retention import Retention
from pointsman.control.store.tables import DAY_S


def start_work(parts: ControlParts, settings: Settings, random: Callable[[], float]) -> list[asyncio.Task[None]]:
    """Start the tasks, which run until they are cancelled."""
    configuration = parts.configuration

    async def prune_keys() -> None:
        await parts.keys.prune()
        await end_lost_keys(parts.ingest.store, parts.keys)

    retention = Retention(
        parts.ingest,
        requests_s=settings.keep_requests_days * DAY_S,
        requests_bytes=settings.keep_requests_bytes,
        minutes_s=settings.keep_minutes_days * DAY_S,
        state_s=lambda: configuration.current.snapshot.routing.state_days * DAY_S,
        prune_keys=prune_keys,
    )
    follower = BatchFollower(parts.ingest, lambda: configuration.current.snapshot, random)
    bodies = BodyReader(
        settings.data_dir, lambda: parts.ingest.store, lambda: configuration.current.telemetry.keep_bodies_days
    )
    return [asyncio.create_task(one.run()) for one in (retention, follower, bodies)]
