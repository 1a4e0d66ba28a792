"""The states of health of a target's operation, and of a provider key, as a table.

`TRANSITIONS` has every event that may happen in a state. Another one raises `KeyError`, since it is a bug. `health`
decides which event an outcome is:

    failure     the provider failed, and the breaker stays closed: there were too few failures in a row, the block
                still lasts, this gateway suspects itself, or an operator forced the target in
    trip        the failures in a row reached the limit, the server lacks the operation, or a trial failed; of a key:
                the provider rejected it
    success     the provider answered
    slow        by its learned pace, the target fails too often or is much slower than usual
    steady      the pace is as usual again, and the last attempt did not fail
    due         the block is over, or another worker was served
    warned      the breaker of another worker opened
    cleared     the block is lifted, because this gateway suspects itself or an operator forced the target in
    forgotten   the block of a key ended so long ago that the next rejection counts as the first again
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from pointsman.domain.plans import Health

Event = Literal["failure", "trip", "success", "slow", "steady", "due", "warned", "cleared", "forgotten"]

TRANSITIONS: Final[Mapping[Health, Mapping[Event, Health]]] = {
    "healthy": {
        "failure": "degraded",
        "trip": "failed",
        "success": "healthy",
        "slow": "degraded",
        "steady": "healthy",
        "warned": "degraded",
    },
    "degraded": {
        "failure": "degraded",
        "trip": "failed",
        "success": "healthy",
        "slow": "degraded",
        "steady": "healthy",
        "warned": "degraded",
    },
    "failed": {
        "failure": "failed",
        "trip": "failed",
        "success": "healthy",
        "slow": "failed",
        "steady": "failed",
        "due": "recovering",
        "warned": "failed",
        "cleared": "degraded",
    },
    "recovering": {
        "failure": "recovering",
        "trip": "failed",
        "success": "healthy",
        "slow": "recovering",
        "steady": "recovering",
        "due": "recovering",
        "warned": "failed",
        "cleared": "degraded",
        "forgotten": "healthy",
    },
}


def after(state: Health, event: Event) -> Health:
    """Return the state after an event. Raises `KeyError` if the event cannot happen in this state."""
    return TRANSITIONS[state][event]


class Standing(Struct, frozen=True):
    """The present state of a target's operation or of a key, since when (monotonic seconds), and why."""

    state: Health
    since: float
    reason: str
