"""The metrics of all processes, which control collects from the workers."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from pointsman.admin.metrics import WorkerPages, merged
from pointsman.admin.own_metrics import MAX_LIMITS, own_page
from pointsman.control.inquiries.limits import LimitInquiry, LimitState
from pointsman.control.inquiries.pages import PageInquiry, WorkerPage
from pointsman.control.inquiries.state import ControlState, StateInquiry
from pointsman.link.inquirer import Inquirer
from pointsman.telemetry.metrics import MetricsPage, decode_page

WORKERS_S = 1.0  # longest wait for workers


async def whole_page(control: Inquirer, workers: WorkerPages, own: Iterable[MetricsPage]) -> MetricsPage:
    """Return the metrics of all workers, of control, and of parts of admin, each series once. Raises `AwayError`."""
    (state,), limits, found = await asyncio.gather(
        control.ask(StateInquiry(), ControlState),
        control.ask(LimitInquiry(MAX_LIMITS), LimitState),
        control.ask(PageInquiry(WORKERS_S), WorkerPage),
    )
    pages = {one.epoch: one.page for one in found}
    alive = [worker.epoch for worker in state.workers]
    of_control = own_page(state, limits, len(set(alive) - pages.keys()))
    return await asyncio.to_thread(workers.page, pages, alive, merged([of_control, *own]))


async def worker_pages(control: Inquirer) -> list[MetricsPage]:
    """Return the metrics of all workers that answer in time. Raises `AwayError`."""
    found: list[MetricsPage] = []
    for page in await control.ask(PageInquiry(WORKERS_S), WorkerPage):
        with suppress(msgspec.DecodeError):  # of another version, which drains
            found.append(decode_page(page.page))
    return found
