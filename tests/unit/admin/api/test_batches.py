"""GET /api/v1/batches: open batches, and the amounts that limits hold for them."""

import time
from pathlib import Path

from fakes.batches import MOST, write_batch
from fakes.control import DAY_COUNTER, control_plane, request_id, scope
from integration.gateway import run


def test_open_batches_are_listed_with_their_reservation(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert await plane.data("/api/v1/batches") == []
            attempt = write_batch(plane.writer, scope(model=""), request_id(1, time.time()))
            await plane.ingest()
            [found] = await plane.data("/api/v1/batches")
            assert (found["attempt_id"], found["state"], found["held_nano"]) == (attempt, "made", MOST.nano)
            assert DAY_COUNTER in found["limits"]
            assert found["problem"] == ""
            assert "work" not in found

    run(main())
