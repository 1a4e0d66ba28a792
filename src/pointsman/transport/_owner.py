"""What a connection to a provider needs of whoever keeps it, and how the loss of one is told."""

from typing import Protocol, TypeVar

from pointsman.transport.deadlines import Deadlines
from pointsman.transport.leg import Leg

C_contra = TypeVar("C_contra", contravariant=True)


class Owner(Protocol[C_contra]):
    """Who keeps the connections to an origin."""

    name: str
    request_line_end: bytes
    idle_timeout_s: float
    deadlines: Deadlines

    def connection_idle(self, connection: C_contra) -> None:
        """Its answer was read to the end: it may carry another request."""

    def connection_gone(self, connection: C_contra, unanswered: Leg | None) -> None:
        """It is closed. `unanswered` is a leg of which nothing was sent, to be sent on a fresh connection."""


def how_lost(error: Exception | None, *, is_told: bool, is_silent: bool, has_head: bool) -> str:
    """What became of a connection, behind its name. `is_told` says that its end was announced."""
    if error is not None:
        how = "reset the connection"
    elif is_told:
        how = "closed the connection"
    else:  # uvloop does not tell an alert of TLS from a missing one
        how = "broke the TLS connection off"
        if is_silent:
            return f"{how} without an answer; perhaps it wants a client certificate"
    if has_head:
        return f"{how} in the middle of the answer"
    return f"{how} without an answer" if is_silent else f"{how} in the middle of the answer's head"
