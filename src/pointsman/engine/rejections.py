"""Limits the cost of requests that are not admitted: the records kept of them, and the unknown keys from one address.

All such requests are counted. `RECORDS_PER_S` of their records are kept each second. The next record that is kept has
the number of records left out.
"""

from collections.abc import Callable
from math import ceil
from time import monotonic

from pointsman.domain import failures
from pointsman.domain.access import Access
from pointsman.domain.failures import Failure
from pointsman.wire.callers import is_trusted, subscriber

RECORDS_PER_S = 10
FAILURES = 20  # of an address in one window, before it has to wait
WINDOW_S = 60.0
MAX_ADDRESSES = 10_000


class RejectionThrottle:
    """The counts of one worker. `clock` returns seconds that never decrease."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._second = 0.0
        self._kept = 0
        self._left_out = 0
        self._failures: dict[str, tuple[float, int]] = {}  # by address: the start of its window, and the count

    def throttle(self, address: str, failure: Failure, access: Access) -> Failure:
        """Return the failure for an unknown key. After too many of them, it requires the address to wait. A trusted
        proxy is exempt, since it stands for many clients."""
        if not address or is_trusted(address, access):
            return failure
        now, client = self._clock(), subscriber(address)
        began_at, count = self._failures.pop(client, (now, 0))
        if now - began_at >= WINDOW_S:
            began_at, count = now, 0
        if len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]  # the client whose last failure is the oldest
        self._failures[client] = (began_at, count + 1)
        if count < FAILURES:
            return failure
        wait_s = max(WINDOW_S - (now - began_at), 1.0)
        message = (
            f"more than {FAILURES} requests from {address} presented an unknown key within {WINDOW_S:.0f} seconds; "
            f"wait {ceil(wait_s)} seconds, or present a valid key"
        )
        return Failure(failures.TOO_MANY_WRONG_KEYS, message, retry_after_s=wait_s)

    def should_keep(self) -> bool:
        """Return whether to keep the record of another request that was not admitted."""
        now = self._clock()
        if now - self._second >= 1.0:
            self._second, self._kept = now, 0
        if self._kept >= RECORDS_PER_S:
            self._left_out += 1
            return False
        self._kept += 1
        return True

    def take_left_out(self) -> int:
        """Return the number of records left out since the last call, and reset it."""
        count, self._left_out = self._left_out, 0
        return count
