"""Readings: the recent speed and reliability of each candidate, for strategies that order by them.

Health and readings are separate: failures in a row open a breaker, while a reading moves a little with every attempt.
"""

from msgspec import Struct

from pointsman.domain.failures import Failure, Fault

WEIGHT = 0.1  # of the newest attempt in each average
FORGOTTEN = 0.001  # an error rate
GAP_S = 0.01  # at least between two good attempts that are read: more would cost time and add no information


class Reading(Struct, frozen=True, gc=False):
    """Moving averages over the attempts at one operation of a candidate. The last attempt ended at `at` in monotonic
    seconds. `error_rate` is the share that failed by the provider's fault. The times cover the others. `duration_s` is
    the time to the end of the answer, `first_byte_s` that to its first byte. `content_s` is the time to the first
    content of a stream. `token_s` is the duration divided by the output tokens. A time is 0 while it is unknown."""

    at: float
    samples: int = 0
    error_rate: float = 0.0
    duration_s: float = 0.0
    first_byte_s: float = 0.0
    token_s: float = 0.0
    content_s: float = 0.0


_NOTHING = Reading(0.0)


def observe(
    before: Reading | None,
    failure: Failure | None,
    began_at: float,
    first_byte_at: float | None,
    *,
    ended_at: float,
    tokens: int,
    content_at: float | None = None,
) -> Reading | None:
    """Return the reading after an attempt. Of good attempts that end within `GAP_S` of each other, only the first is
    read, unless there is a failure to forget. A failure without the provider's fault does not change the reading."""
    if failure is None:
        if before is not None and ended_at - before.at < GAP_S and before.error_rate < FORGOTTEN:
            return before
    elif failure.kind.fault is not Fault.PROVIDER:
        return before
    if before is None:
        before, weight = _NOTHING, 1.0
    else:
        weight = WEIGHT
    rate, took_s, first_s, token_s = before.error_rate, before.duration_s, before.first_byte_s, before.token_s
    content_s = before.content_s
    samples = before.samples + 1
    if failure is not None:
        return Reading(
            ended_at, samples, rate + (1.0 - rate) * weight, took_s, first_s, token_s=token_s, content_s=content_s
        )
    now_s = ended_at - began_at
    took_s += (now_s - took_s) * (WEIGHT if took_s else 1.0)
    if first_byte_at is not None:
        first_s += (first_byte_at - began_at - first_s) * (WEIGHT if first_s else 1.0)
    if tokens:
        token_s += (now_s / tokens - token_s) * (WEIGHT if token_s else 1.0)
    if content_at is not None:
        content_s += (content_at - began_at - content_s) * (WEIGHT if content_s else 1.0)
    return Reading(ended_at, samples, rate - rate * WEIGHT, took_s, first_s, token_s=token_s, content_s=content_s)
