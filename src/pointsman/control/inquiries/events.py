"""Events of the gateway."""

from typing import Any

from msgspec import Struct


class EventInquiry(Struct, frozen=True, kw_only=True, tag="events"):
    """Answered by a `LiveEvent` for each event after this number, or from now on without one. Control waits for the
    first event, at most `within_s`."""

    after: int | None = None
    within_s: float = 0.0


class LiveEvent(Struct, frozen=True, kw_only=True):
    """An event. Numbers grow, and `at` is Unix seconds. After `reset`, events may be missing."""

    number: int
    at: float
    kind: str
    data: dict[str, Any]
