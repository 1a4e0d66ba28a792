"""Warnings of settings of failover that defeat each other."""

from collections.abc import Iterator

from pointsman.config.problems import Findings
from pointsman.config.source import Location
from pointsman.domain.snapshots import Routing

SMALL_BUFFER = 64 * 1024


def check_failover(routing: Routing, location: Location, findings: Findings, base: Routing | None = None) -> None:
    """Report settings without effect, or with less than their user expects. `location` is that of `routing` or of a
    public name. `base` are the settings that a name inherits, which are reported once."""
    known = list(_conflicts(base)) if base is not None else ()
    for conflict in _conflicts(routing):
        if conflict not in known:
            place, message = conflict
            findings.warning((*location, *place), message)


def _conflicts(routing: Routing) -> Iterator[tuple[tuple[str, ...], str]]:
    failover, most = routing.failover, routing.max_attempts
    if failover.same_target_retries and failover.same_target_retries >= most - 1:
        message = (
            f"leaves no attempt for another candidate, since max_attempts is {most}; lower it, or raise max_attempts"
        )
        yield ("failover", "same_target_retries"), message
    if failover.first_token_s is not None and failover.first_token_s >= routing.timeouts.commit_s:
        message = f"has no effect, since timeouts.commit_s is {routing.timeouts.commit_s:g}; lower it"
        yield ("failover", "first_token_s"), message
    if failover.stream_recovery == "buffer" and routing.commit_buffer < SMALL_BUFFER:
        message = f"holds only {routing.commit_buffer} bytes back; raise routing.commit_buffer"
        yield ("failover", "stream_recovery"), message
    if failover.stream_recovery == "continue" and most < 2:
        yield ("failover", "stream_recovery"), "has no effect, since max_attempts is 1; raise it"
    if routing.hedging is not None and most < 2:
        yield ("duplicates",), "has no effect, since max_attempts is 1"
