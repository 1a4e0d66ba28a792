"""The state of the export of one signal, for the log, `/readyz` and metrics."""

import logging
from time import monotonic

from msgspec import Struct

_logger = logging.getLogger("pointsman")


class SignalStatus(Struct, kw_only=True):
    """The state of one signal. `problem` is the reason why nothing is accepted at present, since `failing_since` in
    monotonic seconds. `sent` items were accepted and `rejected` ones were not. `lag_s` is the age of the oldest stored
    request that was not sent yet, in seconds."""

    signal: str
    problem: str = ""
    failing_since: float = 0.0
    sent: int = 0
    rejected: int = 0
    failures: int = 0
    lag_s: float = 0.0

    def fail(self, problem: str) -> None:
        """Note a failure. The first one of several is logged."""
        self.failures += 1
        if not self.problem:
            self.failing_since = monotonic()
            _logger.warning("the OpenTelemetry collector takes no %s: %s; retrying", self.signal, problem)
        self.problem = problem

    def succeed(self, sent: int, rejected: int, reason: str) -> None:
        """Note the end of a message."""
        if self.problem:
            took_s = monotonic() - self.failing_since
            _logger.info("the OpenTelemetry collector takes %s again, after %.0f s", self.signal, took_s)
            self.problem = ""
        self.sent += sent - rejected
        if rejected:
            if not self.rejected:
                _logger.warning(
                    "the OpenTelemetry collector rejects %s, which are lost: %s; "
                    "pointsman_otlp_rejected_total counts further ones",
                    self.signal,
                    reason,
                )
            self.rejected += rejected
