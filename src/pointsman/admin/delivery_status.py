"""The state of the deliveries to one receiver, for the log, `/readyz` and metrics."""

import logging
from time import monotonic

from msgspec import Struct

_logger = logging.getLogger("pointsman")


class DeliveryStatus(Struct, kw_only=True):
    """The state of the deliveries of some `items` to a `receiver`, in words for the log. `problem` is the reason why
    nothing is accepted at present, since `failing_since` in monotonic seconds. `sent` items were accepted and
    `rejected` ones were not; `rejected_total` is the name of the metric that counts those. `withheld` records were not
    sent, because the receiver does not meet the requirements of their requests. `lag_s` is the age of the oldest stored
    request that was not sent yet, in seconds."""

    receiver: str
    items: str
    rejected_total: str
    problem: str = ""
    failing_since: float = 0.0
    sent: int = 0
    rejected: int = 0
    withheld: int = 0
    failures: int = 0
    lag_s: float = 0.0

    def fail(self, problem: str) -> None:
        """Note a failure. The first one of several is logged."""
        self.failures += 1
        if not self.problem:
            self.failing_since = monotonic()
            _logger.warning("%s takes no %s: %s; retrying", self.receiver, self.items, problem)
        self.problem = problem

    def succeed(self, sent: int, rejected: int, reason: str) -> None:
        """Note the end of a message."""
        if self.problem:
            took_s = monotonic() - self.failing_since
            _logger.info("%s takes %s again, after %.0f s", self.receiver, self.items, took_s)
            self.problem = ""
        self.sent += sent - rejected
        if rejected:
            if not self.rejected:
                _logger.warning(
                    "%s rejects %s, which are lost: %s; %s counts further ones",
                    self.receiver,
                    self.items,
                    reason,
                    self.rejected_total,
                )
            self.rejected += rejected
