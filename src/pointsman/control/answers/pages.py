"""The metrics of workers."""

from pointsman.control.inquiries.pages import PageInquiry, WorkerPage
from pointsman.control.parts import Answers, ControlParts


async def _pages(inquiry: PageInquiry, parts: ControlParts) -> list[WorkerPage]:
    pages = await parts.lease_server.metrics(inquiry.within_s)
    return [WorkerPage(epoch, page) for epoch, page in pages.items()]


ANSWERS: Answers = {PageInquiry: _pages}
