"""The expectations of several candidates at one moment, apart from the request.

An estimate costs microseconds for each candidate. If a model has hundreds of requests a second, estimates hardly change
from one request to the next. So under heavy traffic (`HEAVY_S`) they are used for up to `KEPT_S` seconds, and with them
a few of the orders that they led to.
"""

from collections.abc import Hashable, Sequence
from math import inf, sqrt

from msgspec import Struct

from pointsman.routing.pace import FIRST_PROBE_S, K, Memory, Pace

HEAVY_S = 0.01  # the mean time between the requests for a model, below which estimates are kept
KEPT_S = 0.1
RESERVE_S = 0.1  # that the change to the next target takes
NOISE = 0.25  # of the ratio of a target with little evidence


class Estimate(Struct, frozen=True, gc=False):
    """The expectations of one candidate. `pace` is `None` if it has neither answered nor failed yet. `ratio` is that of
    an answer while no more attempts than `usual` are in progress, and `slope` its rise with each further one.
    `failures_s` is the time lost by failures. `weight` is that of the evidence, in answers. `noise` is the standard
    deviation of the noise, in units of the ratio. `text` describes time lost and evidence for people, in two parts:
    under heavy traffic, many requests share it."""

    pace: Pace | None
    ratio: float
    slope: float = 0.0
    usual: float = 0.0
    failures_s: float = 0.0
    weight: float = 0.0
    noise: float = 0.0
    text: tuple[str, str] = ("0 s for failures", "no recent answers")


class Query(Struct, frozen=True, gc=False):
    """The candidates that estimates are asked for: the names of their paces, the factors for their weights, and a key
    that is the same for the same candidates of a snapshot."""

    names: Sequence[tuple[str, bool]]
    priors: Sequence[float]
    key: Hashable


class Estimates(Struct, frozen=True, gc=False):
    """The estimates of several candidates in their order, at the monotonic time `at`. `peers` is the mean usual ratio
    of all of them. None of them needs a probe before `probe_from`. If later requests use them too, `orders` has a few
    orders by these estimates for each kind of request."""

    each: Sequence[Estimate]
    peers: float
    memory: Memory
    at: float
    probe_from: float
    orders: dict[Hashable, list[object]] | None = None


def probe_from(each: Sequence[Estimate]) -> float:
    """Return the earliest time at which one of the candidates may need a probe."""
    times = [max(one.pace.probe_from, one.pace.recent_at + FIRST_PROBE_S) for one in each if one.pace is not None]
    return min(times, default=inf)


def estimate(pace: Pace | None, memory: Memory, peers: float, prior: float, now: float) -> Estimate:
    """Return the estimate of a candidate. A new one is expected to be as fast as all of them. `prior` is the factor for
    its weight."""
    if pace is None or pace.is_new:
        return Estimate(None, peers)
    ratio, weight = pace.estimate(now, memory, peers * prior)
    load, share = pace.load, pace.failure_share()
    failures_s = share / (1.0 - share) * (pace.lost_s + RESERVE_S)
    evidence = f"from {weight:.1f} recent answers" if weight >= 0.05 else "no recent answers"
    return Estimate(
        pace,
        ratio,
        load.slope(ratio),
        load.usual,
        failures_s=failures_s,
        weight=weight,
        noise=NOISE / sqrt(weight + K + 2.0) if weight > 1.0 else 0.0,
        text=(f"{failures_s:.2g} s for failures", evidence),
    )
