"""Failures of answers that came without an error and are broken: cut off, unreadable, or without a required part."""

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.wire.sse import DamagedStream, EventTooLong

MAX_EVENT_PARTS = 20_000  # lines, or objects, of one event


def malformed(error: Exception) -> Failure:
    """Return the failure of a whole answer that cannot be read."""
    return Failure(failures.MALFORMED_ANSWER, f"the provider's answer is malformed: {error}")


def incomplete(part: str) -> Failure:
    """Return the failure of a whole answer without a required part."""
    return Failure(failures.MALFORMED_ANSWER, f"the provider's answer is incomplete: it has no {part}")


def dense() -> Failure:
    """Return the failure of an event or answer with too many parts."""
    return Failure(
        failures.MALFORMED_ANSWER, f"the provider's answer has too many objects or lines (more than {MAX_EVENT_PARTS})"
    )


def too_long() -> Failure:
    """Return the failure of an event that is longer than the limit."""
    return Failure(failures.MALFORMED_ANSWER, "the provider sent an event longer than the limit routing.event_bytes")


def unsplit(error: EventTooLong | DamagedStream) -> Failure:
    """Return the failure of a stream that cannot be split into events."""
    if isinstance(error, EventTooLong):
        return too_long()
    return Failure(failures.MALFORMED_ANSWER, f"the provider's stream is damaged: {error}")


def unreadable(error: Exception) -> Failure:
    """Return the failure of a second event that is not JSON."""
    return Failure(failures.MALFORMED_ANSWER, f"the provider's stream has more than one invalid event: {error}")


def truncated() -> Failure:
    """Return the failure of a stream that ends too early."""
    return Failure(failures.TRUNCATED, "the provider's stream ended before its answer was complete")
