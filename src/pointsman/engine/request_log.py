"""The log of one request: the progress of its plan, and the facts for its record."""

from collections.abc import Mapping
from time import monotonic
from typing import Generic, TypeVar

from msgspec import field

from pointsman.domain.identity import VirtualKey
from pointsman.domain.plans import Plan, Progress, Running
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.domain.rules import RuleTrace
from pointsman.domain.tracing import TraceContext, Tracing, context_in, lines_for_provider
from pointsman.domain.verdicts import Reason, Verdict
from pointsman.engine.continuation import Continuation
from pointsman.engine.tasks import Bell

A = TypeVar("A", bound=Running)  # an attempt


class RequestLog(Progress, Generic[A], kw_only=True):
    """The progress of one request's plan, and the facts that its record needs. `served_by` is the attempt that
    answers. Before one does, it is the last attempt that began. `refused` is the last attempt whose answer is held
    back. `waited_s` is the time that attempts and pauses took, up to `busy_since` while an attempt is in progress.
    `verdicts` explain shortened answers, and `hedges` counts the attempts that ran beside a slow one. `record` has
    the fields of the request's record that its head determines, and `rules` is the evaluation of the routing rules.
    `continuation` is set while attempts go on with a stream that broke off, and
    `has_fetched` once the gateway has fetched media for a plan that had failed so far. `trace` is the client's trace
    context."""

    request_id: str
    received_at: float
    key: VirtualKey | None
    record: RequestRecord
    bell: Bell = field(default_factory=Bell)
    plan: Plan | None = None
    rules: RuleTrace | None = None
    running: list[A] = field(default_factory=list)
    records: tuple[AttemptRecord, ...] = ()
    served_by: A | None = None
    refused: A | None = None
    verdicts: tuple[Verdict, ...] = ()
    busy_since: float = 0.0
    waited_s: float = 0.0
    hedges: int = 0
    continuation: Continuation[A] | None = None
    has_fetched: bool = False
    trace: TraceContext | None = None

    async def pause(self, delay_s: float) -> bool:
        """Wait until an attempt has ended, or for `delay_s` seconds. Return whether one has ended."""
        if self.running:
            return await self.bell.within(delay_s)
        began_at = monotonic()
        try:
            return await self.bell.within(delay_s)
        finally:
            self.waited_s += monotonic() - began_at

    def join_trace(self, headers: Mapping[bytes, bytes]) -> None:
        """Join the trace that a client's headers name."""
        self.trace = context_in(headers)

    def trace_lines(self, ordinal: int, tracing: Tracing) -> bytes:
        """Return the header lines that tell a provider the trace and the span of an attempt."""
        return lines_for_provider(self.request_id, ordinal, self.trace, tracing)

    def note_shortened(self, candidate: str, reason: Reason) -> None:
        """Note that the answer of a candidate was shortened to fit in a limit."""
        self.verdicts += (Verdict(candidate, "billing", reason),)
