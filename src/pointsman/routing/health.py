"""Health: from outcomes to the condition of a provider's model, and of a key.

**The breaker** is passive. It is kept for each provider, model and operation, since a server that fails at embeddings
may well chat. A condition exists only during a fault, so that healthy traffic costs nothing here.

    consecutive provider failures < failures       degraded    still in its normal place
    that many                                      failed      last resort until `blocked_until`
    block over                                     recovering  one trial request at a time; races come sooner
    trial succeeds                                 healthy     the condition is forgotten
    trial fails                                    failed      blocked twice as long, up to a limit

`health_states` has the table of states and events; the functions here decide which event an outcome is.

The limit is lower for a cheap failure (a refused connection, a 503 at once) than for a slow one. A failed candidate is
never dropped from a plan, only moved behind the others. So an attempt is made even if every candidate seems to have
failed.

**Blocks of keys** are kept for each key and model, since most providers limit by model. A block covers the whole key if
the provider's words or several rejected models show that the key is at fault. A blocked key is avoided while another is
usable. If no other is left, it is retried from time to time (`retry_at`), so that a key which works again is soon in
use.
"""

from collections.abc import Mapping
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain.failures import (
    DEADLINE_EXCEEDED,
    UPSTREAM_MODEL_DENIED,
    UPSTREAM_UNSUPPORTED,
    Failure,
    Fault,
    Scope,
)
from pointsman.domain.operations import Operation
from pointsman.domain.plans import Health
from pointsman.domain.snapshots import HealthLimits
from pointsman.domain.targets import Candidate
from pointsman.routing.health_states import Event, after

LIMITS = HealthLimits()
FIRST_BLOCK_S = 1.0
MAX_DOUBLINGS = 10  # far past every limit, far below an overflow of a float
HANGING_S = 5.0  # a failure that took this long kept its request waiting
TRIAL_S = 30.0  # a trial without a result by then no longer excludes other requests
RACE_S = 4.0  # from a failure to a race with a blocked candidate
OTHERS_TRIAL_S = 5.0  # the same for a trial at another worker, which may have ended
UNSUPPORTED_S = 60.0  # the pause after a server lacks an operation; doubled each time
MAX_UNSUPPORTED_S = 600.0

QUOTA_BLOCK_S = 1.0  # for a 429 without a time to wait; doubled each time
MAX_QUOTA_BLOCK_S = 60.0
MAX_RETRY_AFTER_S = 3600.0
CREDENTIAL_BLOCK_S = 10.0
MAX_CREDENTIAL_BLOCK_S = 600.0
PROBE_S = 2.0  # from a rejection to a retry of a blocked key by a request that has no other key; doubled each time
MAX_PROBE_S = 60.0
MODELS_OF_A_KEY = 3  # with this many models rejected within `EVIDENCE_S` and none served, the key is at fault
EVIDENCE_S = 60.0

FORGOTTEN_QUOTA_S = MAX_QUOTA_BLOCK_S
FORGOTTEN_CREDENTIAL_S = MAX_CREDENTIAL_BLOCK_S

KeyName = tuple[str, str, str | None]  # provider, key and model; without a model, all of them


class Condition(Struct, frozen=True):
    """The fault of one operation of a provider's model. Times are monotonic seconds, and `failed_at` is that of the
    last failure, or of a race during the block. `is_lacking` says that the server does not have the operation. With
    `is_slow`, its learned pace is poor, which alone blocks nothing. If the last failure ended a stream that had begun,
    `cut_at` is its time, else 0. After it only a whole answer is a success."""

    failures: int = 0
    blocks: int = 0
    blocked_until: float = 0.0
    trial_until: float = 0.0
    is_lacking: bool = False
    is_slow: bool = False
    cut_at: float = 0.0
    failed_at: float = 0.0

    def health(self, now: float) -> Health:
        if not self.blocks:
            return "degraded" if self.failures or self.is_slow else "healthy"
        return "failed" if now < self.blocked_until else "recovering"

    def is_blocked(self, now: float) -> bool:
        """Return whether a plan should use this candidate only if no other is left."""
        return self.blocks > 0 and (now < self.blocked_until or now < self.trial_until)

    def may_race(self, now: float) -> bool:
        """Return whether a race may try this candidate. Its request has another answer, so it need not wait for the end
        of a long block."""
        if self.is_lacking or not self.blocks:
            return False
        return now >= self.trial_until and now >= min(self.blocked_until, self.failed_at + RACE_S)


def subject(item: Candidate, operation: Operation) -> str:
    """Return the name for the health of an operation. For a chat it is the candidate's id. No model has a tab in its
    name."""
    return item.id if operation == "chat" else f"{item.id}\t{operation}"


def begin(condition: Condition, now: float) -> Condition:
    """Return the condition after the start of an attempt. On a recovering candidate it is the trial that excludes
    others. On a blocked one it excludes other races for a while."""
    if condition.health(now) == "recovering":
        return replace(condition, trial_until=now + TRIAL_S)
    return replace(condition, failed_at=now) if condition.blocks and condition.may_race(now) else condition


def state_of(condition: Condition | None, now: float) -> Health:
    """Return the state of a condition; without one it is healthy."""
    return "healthy" if condition is None else condition.health(now)


def event_of(
    condition: Condition | None, failure: Failure | None, now: float, limits: HealthLimits = LIMITS
) -> Event | None:
    """Return the event that an outcome is, or `None` if it says nothing about the health. Only successes and failures
    of the provider count. An attempt that ran out of the time a client allowed does not."""
    if failure is None:
        return "success"
    is_lacking = failure.kind is UPSTREAM_UNSUPPORTED
    counts = (failure.kind.fault is Fault.PROVIDER or is_lacking) and failure.kind is not DEADLINE_EXCEEDED
    if not counts or failure.scope is Scope.ATTEMPT:
        return None
    state, failures = state_of(condition, now), 1 if condition is None else condition.failures + 1
    if state == "failed":
        return "failure"  # of an older attempt, or of the last resort
    is_certain = is_lacking and failure.scope is Scope.OPERATION
    return "trip" if state == "recovering" or failures >= limits.failures or is_certain else "failure"


def observe(
    condition: Condition | None,
    failure: Failure | None,
    now: float,
    took_s: float = 0.0,
    limits: HealthLimits = LIMITS,
    *,
    may_trip: bool = True,
    is_cut: bool = False,
) -> Condition | None:
    """Return the condition after an outcome that took `took_s`; `None` means healthy. An outcome that says nothing only
    ends a trial. Without `may_trip`, the breaker stays as it is. A failure `is_cut` if it ended a stream that had
    begun."""
    event = event_of(condition, failure, now, limits)
    if event is None or failure is None:
        if event is None:
            return None if condition is None else replace(condition, trial_until=0.0)
        return None if condition is None or not condition.is_slow else changed(Condition(), "slow", now)
    if event == "trip" and not may_trip:
        event = "failure"
    before = condition or Condition()
    failures = before.failures + 1
    if after(before.health(now), event) != "failed" or event == "failure":
        trial_until = before.trial_until if before.blocks == 0 else 0.0
        return replace(before, failures=failures, trial_until=trial_until, cut_at=now if is_cut else 0.0, failed_at=now)
    is_lacking = failure.kind is UPSTREAM_UNSUPPORTED
    if is_lacking:
        block_s = min(_doubled(UNSUPPORTED_S, before.blocks), MAX_UNSUPPORTED_S)
    else:
        is_hanging = took_s >= HANGING_S or failure.kind.status == 504
        longest_s = limits.max_block_hanging_s if is_hanging else limits.max_block_s
        block_s = min(_doubled(FIRST_BLOCK_S, before.blocks), longest_s)
    return Condition(
        failures,
        before.blocks + 1,
        now + block_s,
        is_lacking=is_lacking,
        is_slow=before.is_slow,
        cut_at=now if is_cut else 0.0,
        failed_at=now,
    )


def changed(
    condition: Condition, event: Event, now: float, limits: HealthLimits = LIMITS, until: float = 0.0
) -> Condition | None:
    """Return the condition after an event that is no outcome of an attempt here. `until` is the end of the block at
    another worker that warns of it."""
    state = after(condition.health(now), event)
    if event in ("slow", "steady"):
        found = replace(condition, is_slow=event == "slow")
        return found if found.blocks or found.failures or found.is_slow else None
    if event == "warned" and state == "degraded":
        # The next failure opens the breaker: the other worker may see a fault that this one does not have.
        return replace(condition, failures=max(condition.failures, limits.failures - 1, 1))
    if event == "warned":
        return replace(condition, blocked_until=max(condition.blocked_until, until), trial_until=0.0)
    if event == "due":
        return replace(condition, blocked_until=min(condition.blocked_until, now), trial_until=0.0)
    if event == "cleared":
        return Condition(max(limits.failures - 1, 1), is_slow=condition.is_slow)
    raise KeyError(event)


class KeyBlock(Struct, frozen=True, kw_only=True):
    """A rejected key, for one model or for all: blocked until `until`, for `failure`, the `count`th time in a row.
    `since` is the time of the last rejection. From `probe_at` on, a request without another key may still use it.
    Until `trial_until`, another request tests whether it works again."""

    until: float
    failure: Failure
    count: int = 1
    since: float = 0.0
    probe_at: float = inf
    trial_until: float = 0.0

    def health(self, now: float) -> Health:
        return "failed" if now < self.until else "recovering"

    def is_blocked(self, now: float) -> bool:
        """Return whether a request should use another key if there is one."""
        return now < self.until or now < self.trial_until

    @property
    def retry_at(self) -> float:
        """The time from which a request without another key may use this one."""
        return min(self.until, self.probe_at)


def block_of(blocks: Mapping[KeyName, KeyBlock], item: Candidate, key: str, now: float) -> KeyBlock | None:
    """Return the block of a candidate's key, for this model or for all: the one that a request must wait for longer.
    `None` means usable."""
    if not blocks:
        return None
    found: KeyBlock | None = None
    provider = item.endpoint.name
    for model in (item.model, None):
        block = blocks.get((provider, key, model))
        if block is not None and block.is_blocked(now) and (found is None or block.retry_at > found.retry_at):
            found = block
    return found


def block_after_start(block: KeyBlock, now: float) -> KeyBlock:
    """Return the block after the start of an attempt with a key that was rejected before. Others wait for the result. A
    limit that is over is over for all, so no request waits for the first."""
    if now < block.until:
        return replace(block, probe_at=probe_at(now, block.count))
    if block.failure.kind.fault is Fault.CREDENTIAL:
        return replace(block, trial_until=now + TRIAL_S)
    return block


def block_key(
    block: KeyBlock | None, failure: Failure | None, now: float, began_at: float | None = None
) -> KeyBlock | None:
    """Return the block of a key after an attempt that began at `began_at` (absent: just now); `None` means usable.
    Quota blocks last until the provider's reset. Credentials are blocked with growing back-off, so that a repaired key
    is used again by itself.

    An attempt that began before the block has no new information. Its rejection may lengthen the block but is not
    counted again, and its success does not end it.
    """
    is_older = block is not None and began_at is not None and began_at < block.since
    if failure is None:
        return block if is_older else None
    if not blocks_key(failure):
        return replace(block, trial_until=0.0) if block is not None and block.trial_until else block
    is_quota = failure.kind.fault is Fault.QUOTA
    first_s, longest_s = (
        (QUOTA_BLOCK_S, MAX_QUOTA_BLOCK_S) if is_quota else (CREDENTIAL_BLOCK_S, MAX_CREDENTIAL_BLOCK_S)
    )
    count = 1
    if block is not None:
        count = block.count if is_older else block.count + 1
    block_s = min(_doubled(first_s, count - 1), longest_s)
    if failure.retry_after_s is not None and failure.retry_after_s > 0:
        block_s = min(failure.retry_after_s, MAX_RETRY_AFTER_S)
    until = now + block_s
    if block is not None and is_older and block.until >= until:
        return block  # the answer to an older request must not shorten a newer block
    return KeyBlock(until=until, failure=failure, count=count, since=now, probe_at=probe_at(now, count))


def probe_at(since: float, count: int) -> float:
    """Return when a request without another key may use a key that was rejected at `since`, the `count`th time."""
    return since + min(_doubled(PROBE_S, count - 1), MAX_PROBE_S)


def blocks_key(failure: Failure) -> bool:
    """Return whether a key is blocked after this failure: the provider rejected it, or its quota is exhausted."""
    return failure.kind.fault in (Fault.QUOTA, Fault.CREDENTIAL) and failure.scope is not Scope.ATTEMPT


def covers_whole_key(failure: Failure) -> bool:
    """Return whether a rejection covers every model with this key."""
    if failure.scope is None:
        return failure.kind.fault is Fault.CREDENTIAL and failure.kind is not UPSTREAM_MODEL_DENIED
    return failure.scope is Scope.KEY


def block_of_whole_key(
    blocks: Mapping[KeyName, KeyBlock], provider: str, key: str, now: float, served_at: float
) -> KeyBlock | None:
    """Return the block of a whole key, if its rejected models show that the key is at fault, else `None`. It lasts
    until the first of their blocks ends. It is a guess, so a request without another key may use it at once.
    `served_at` is the last time that the key served any model."""
    rejected = [
        block
        for (its_provider, its_key, model), block in blocks.items()
        if model is not None
        and block.failure.kind.fault is Fault.QUOTA
        and (its_provider, its_key) == (provider, key)
        and block.until > now
        and block.since > max(now - EVIDENCE_S, served_at)
    ]
    if len(rejected) < MODELS_OF_A_KEY:
        return None
    return replace(min(rejected, key=lambda block: block.until), probe_at=now)


def is_forgotten(block: KeyBlock, now: float) -> bool:
    """Return whether a block ended so long ago that the next rejection counts as the first again."""
    kept_s = FORGOTTEN_QUOTA_S if block.failure.kind.fault is Fault.QUOTA else FORGOTTEN_CREDENTIAL_S
    return block.until + kept_s < now


def _doubled(first_s: float, times: int) -> float:
    return first_s * 2.0 ** min(times, MAX_DOUBLINGS)
