"""The passive circuit breaker: how outcomes turn into the condition of a provider and model, and of a key.

A condition exists only while something is wrong, so that healthy traffic costs nothing here.

    consecutive provider failures < THRESHOLD      degraded    still in its normal place
    THRESHOLD reached                              failed      last resort until `blocked_until`
    block over                                     recovering  one trial request at a time
    trial succeeds                                 healthy     the condition is forgotten
    trial fails                                    failed      blocked twice as long, up to MAX_BLOCK_S

A failed candidate is never dropped from a plan, only moved behind the others: when everything looks dead, something
is still tried.
"""

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.failures import DEADLINE_EXCEEDED, Failure, Fault
from pointsman.domain.plans import Health

THRESHOLD = 3  # consecutive failures
FIRST_BLOCK_S = 1.0
MAX_BLOCK_S = 60.0
MAX_DOUBLINGS = 10  # far past every limit, far below what overflows a float
TRIAL_S = 30.0  # a trial that has not reported by then no longer keeps others away

QUOTA_BLOCK_S = 1.0  # a 429 that does not say for how long; doubled each time
MAX_QUOTA_BLOCK_S = 60.0
MAX_RETRY_AFTER_S = 3600.0
CREDENTIAL_BLOCK_S = 10.0
MAX_CREDENTIAL_BLOCK_S = 600.0


class Condition(Struct, frozen=True):
    """What is wrong with one provider and model. Times are monotonic seconds."""

    failures: int = 0
    blocks: int = 0
    blocked_until: float = 0.0
    trial_until: float = 0.0

    def health(self, now: float) -> Health:
        if self.failures < THRESHOLD:
            return Health.DEGRADED if self.failures else Health.HEALTHY
        return Health.FAILED if now < self.blocked_until else Health.RECOVERING

    def is_blocked(self, now: float) -> bool:
        """Whether a plan should use this candidate only when nothing else is left."""
        return self.failures >= THRESHOLD and (now < self.blocked_until or now < self.trial_until)


class KeyBlock(Struct, frozen=True):
    """A provider key that was refused: left alone until `until`, for `failure`, the `count`th time in a row."""

    until: float
    failure: Failure
    count: int = 1


def begin(condition: Condition, now: float) -> Condition:
    """An attempt starts: on a recovering candidate it is the trial that keeps others away."""
    if condition.health(now) is Health.RECOVERING:
        return replace(condition, trial_until=now + TRIAL_S)
    return condition


def observe(condition: Condition | None, failure: Failure | None, now: float) -> Condition | None:
    """The condition after an outcome. Only successes and provider failures count; anything else says nothing
    about the provider's health, but ends a trial; so does an attempt that ran out of the time a client allowed.
    `None` means healthy."""
    if failure is None:
        return None
    if failure.kind.fault is not Fault.PROVIDER or failure.kind is DEADLINE_EXCEEDED:
        return None if condition is None else replace(condition, trial_until=0.0)
    condition = condition or Condition()
    failures = condition.failures + 1
    if failures < THRESHOLD or now < condition.blocked_until:
        return replace(condition, failures=failures)
    block_s = min(_doubled(FIRST_BLOCK_S, condition.blocks), MAX_BLOCK_S)
    return Condition(failures, condition.blocks + 1, now + block_s)


def block_key(block: KeyBlock | None, failure: Failure | None, now: float) -> KeyBlock | None:
    """The block of a key after an attempt with it: quota until the provider's reset, credentials with growing
    back-off, so that a mended key comes back by itself. `None` means usable.

    Refusals that arrive while the key is blocked belong to attempts begun before: they may lengthen the block but
    do not count as refused once more, and a success among them does not end it.
    """
    is_blocked = block is not None and now < block.until
    if failure is None:
        return block if is_blocked else None
    if failure.kind.fault is Fault.QUOTA:
        first, longest = QUOTA_BLOCK_S, MAX_QUOTA_BLOCK_S
    elif failure.kind.fault is Fault.CREDENTIAL:
        first, longest = CREDENTIAL_BLOCK_S, MAX_CREDENTIAL_BLOCK_S
    else:
        return block
    count = 1
    if block is not None:
        count = block.count if is_blocked else block.count + 1
    block_s = min(_doubled(first, count - 1), longest)
    if failure.retry_after_s is not None and failure.retry_after_s > 0:
        block_s = min(failure.retry_after_s, MAX_RETRY_AFTER_S)
    until = now + block_s
    if block is not None and block.until >= until:
        return block  # an answer to an older request must not shorten what a newer one was told
    return KeyBlock(until, failure, count)


def _doubled(first_s: float, times: int) -> float:
    return first_s * 2.0 ** min(times, MAX_DOUBLINGS)
