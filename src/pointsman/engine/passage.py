"""Passes an answer from its provider's connection to its client, at the client's pace and within the time limits."""

from collections.abc import Callable
from time import monotonic

from pointsman.domain import failures
from pointsman.domain.failures import Failure, Kind
from pointsman.domain.snapshots import Routing
from pointsman.engine.sink import Sink
from pointsman.engine.tasks import Bell
from pointsman.transport.deadlines import NEVER
from pointsman.transport.leg import Leg

AFTER_FINISH_S = 2.0  # after the finish: the time for the provider to report its usage, or to send [DONE]
AFTER_DONE_S = 2.0  # after [DONE]: the time for the provider's connection to end the answer

# Begins the client's answer with that of a passage. The number is the length of its body, if that is known.
Claim = Callable[["AnswerPassage", int | None], Sink]


class AnswerPassage:
    """An answer on its way to the client. It claims a sink when it commits, and rings a bell when it `is_over`.
    `failure` is the reason if it failed. `leg` is the provider's connection. The subclass sets the fields that have no
    value here."""

    leg: Leg | None
    committed_at: float | None
    failure: Failure | None
    is_over: bool
    _claim: Claim | None
    _bell: Bell
    _routing: Routing
    _sink: Sink | None = None  # from the commit of a streamed answer on
    _ends_at = NEVER
    _stall_s = 0.0  # from the commit on
    _is_ending = False
    content_by = NEVER  # the deadline of the first content of a stream
    commit_by: float | None  # the deadline of an answer that is not a stream, if that of its head is earlier
    is_beaten = False  # another attempt answers the client, and only the time to the first content is of interest
    content_at: float | None = None  # the time of the first content, if the stream committed later

    def cancel(self, failure: Failure) -> None:
        """End the attempt without ringing the bell. `failure` is the reason, unless it has failed already."""
        if self.failure is None:
            self.failure = failure
        if not self.is_over:
            self.is_over = True
            self._claim = None
            if self.leg is not None:
                self.leg.cancel()

    def run_on(self, until: float) -> None:
        """Go on to the first content, though another attempt answers the client. At that content, or at `until` in
        monotonic seconds, the attempt ends as superseded."""
        self.is_beaten = True
        leg = self.leg
        if leg is not None:
            leg.timeout_kind = failures.SUPERSEDED
            self.content_by, self.commit_by = min(self.content_by, until), until
            leg.deadline = min(leg.deadline, until)
            leg.watch()

    def on_drain(self) -> None:
        """Resume reading from the provider: the client has caught up."""
        leg = self.leg
        if leg is not None and not self.is_over:
            if self._is_ending:
                self._ends_at = monotonic() + AFTER_FINISH_S
            self._expect_more(leg)
            leg.watch()
            leg.resume()

    def _commit(self, length: int | None) -> None:
        now = monotonic()
        self.committed_at = now
        self._ends_at = now + self._routing.timeouts.stream_s
        self._stall_s = self._routing.timeouts.stall_s
        if self.leg is not None:
            self.leg.timeout_kind = failures.STALLED
            self._expect_more(self.leg)
            self.leg.watch()
        if self._claim is not None:
            self._sink = self._claim(self, length)

    def _write(self, data: bytes) -> None:
        leg, sink = self.leg, self._sink
        if leg is None or sink is None:
            return
        if sink.write(data):  # the lines below are `_expect_more`, inlined for every event of every stream
            stalled_at = monotonic() + self._stall_s
            if stalled_at < self._ends_at:
                leg.deadline = stalled_at
            else:
                self._expect_more(leg)
        else:
            # A slow client suspends the stall timer: it never counts against the provider.
            leg.pause()
            leg.deadline = NEVER

    def _expect_more(self, leg: Leg) -> None:
        stalled_at = monotonic() + self._stall_s
        if stalled_at >= self._ends_at:
            leg.timeout_kind = failures.STREAM_TOO_LONG
            stalled_at = self._ends_at
        leg.deadline = stalled_at

    def _expect_rest(self, whole_by: float, late: Kind) -> None:
        """Wait for the next piece of a stream that is held back until it is complete. It is `late` after `whole_by`."""
        now, leg = monotonic(), self.leg
        if self.content_at is None:
            self.content_at = now
        if leg is not None:
            stalled_at = now + self._routing.timeouts.stall_s
            leg.timeout_kind = failures.STALLED if stalled_at < whole_by else late
            leg.deadline = min(stalled_at, whole_by)
            leg.watch()

    def _expect_end(self) -> None:
        """Wait only for the end from here on. Data that keeps the connection alive does not extend the wait."""
        self._is_ending = True
        self._ends_at = monotonic() + AFTER_FINISH_S
        leg = self.leg
        if leg is not None and not leg.is_paused:
            leg.deadline = self._ends_at
            leg.watch()

    def _read_rest(self) -> None:
        """Give the provider's connection the time to end a stream whose last event has come."""
        if self.leg is not None:
            self.leg.deadline = monotonic() + AFTER_DONE_S
            self.leg.watch()

    def _complete(self) -> None:
        """Finish an answer that the client has received completely."""
        if self._sink is not None:
            self._sink.end()
        self._finish()

    def _finish(self) -> None:
        self.is_over = True
        self._claim = None  # no claim follows, and the reference would form a cycle
        self._bell.ring()
