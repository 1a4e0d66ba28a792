"""The metrics of workers."""

from msgspec import Struct


class PageInquiry(Struct, frozen=True, tag="pages"):
    """Answered by a `WorkerPage` of each worker that sends it in time."""

    within_s: float


class WorkerPage(Struct, frozen=True):
    """The metrics of one worker as `telemetry.metrics` encodes them."""

    epoch: int
    page: bytes
