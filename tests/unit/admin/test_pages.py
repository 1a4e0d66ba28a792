"""The metrics of a gateway without workers."""

from pathlib import Path

from fakes.control import control_plane
from integration.gateway import run
from pointsman.admin.metrics import WorkerPages
from pointsman.admin.pages import whole_page, worker_pages
from pointsman.telemetry.metrics import MetricsPage, counter


def test_page_has_the_metrics_of_control_and_of_parts_of_admin(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            own = [MetricsPage([counter("own_total", "", 7)])]
            page = await whole_page(plane.services.control, WorkerPages(), own)
            assert {"own_total", "pointsman_config_reloads_total"} <= {one.name for one in page.counters}
            assert await worker_pages(plane.services.control) == []

    run(main())
