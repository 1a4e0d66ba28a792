"""The health at all workers that answer."""

from pathlib import Path

from fakes.control import control_plane
from integration.gateway import run
from pointsman.admin.health_view import HealthOfAll, health_of


def test_gateway_without_workers_has_no_states(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert await health_of(plane.services) == HealthOfAll([], 0)

    run(main())
