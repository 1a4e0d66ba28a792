"""The metrics of control itself."""

from pathlib import Path
from time import time

from fakes.control import ControlPlane, control_plane
from fakes.metrics import samples
from fakes.origin import run
from pointsman.admin.own_metrics import own_page
from pointsman.control.inquiries.limits import LimitInquiry, LimitState
from pointsman.telemetry.metrics import MetricsPage


async def page(plane: ControlPlane, silent: int = 0) -> MetricsPage:
    limits = await plane.services.control.ask(LimitInquiry(100), LimitState)
    return own_page(await plane.services.state(), limits, silent)


def test_unused_limits_are_shown_with_their_whole_amount(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            found = samples(await page(plane))
            labels = '{owner="me",period="day",scope="virtual_key"}'
            assert found[f"pointsman_budget_spent_dollars{labels}"] == 0
            limit = found[f"pointsman_budget_limit_dollars{labels}"]
            assert limit == found[f"pointsman_budget_remaining_dollars{labels}"] > 0

    run(main())


def test_labels_do_not_contain_the_window(tmp_path: Path) -> None:
    """A label that changes with every window would make a new series with each."""

    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            plane.write(1)
            await plane.ingest()
            names = [name for name in samples(await page(plane)) if "limit" in name or "budget" in name]
            assert names
            assert not any("window" in name or str(int(time()))[:4] in name for name in names)

    run(main())


def test_silent_workers_are_counted(tmp_path: Path) -> None:
    async def main() -> None:
        async with control_plane(tmp_path) as plane:
            assert samples(await page(plane, 2))["pointsman_workers_silent"] == 2

    run(main())
