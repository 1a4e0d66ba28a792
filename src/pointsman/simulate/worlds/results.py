"""The results of runs: one record for each request, and the measures of a table."""

from collections import deque
from collections.abc import Sequence
from statistics import fmean

from msgspec import Struct

from pointsman.simulate.worlds.world import Scenario

FAILED_S = 30.0  # a request without an answer counts as this
WATCH_S, RETURN_WATCH_S, STEP_S = 3.0, 5.0, 0.25
LEFT, BACK = 0.25, 0.6  # of the share before the fault


class Served(Struct):
    """A request as it was served. `first` is the provider of its first attempt, `key` the key, `provider` the one that
    answered."""

    at: float
    stream: bool = True
    ttft_s: float = FAILED_S
    is_served: bool = False
    first: str = ""
    key: str = ""
    provider: str = ""
    attempts: int = 0
    duplicates: int = 0
    limited: int = 0
    usd: float = 0.0


class Run(Struct, frozen=True):
    """The requests of a run, in the order of their arrival. `decisions` is a hash of every attempt."""

    requests: Sequence[Served]
    decisions: str


class Measures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The measures of one router over some runs. Times are seconds to the first content; a failed request counts as
    `FAILED_S`. `loss_s` is the mean time, with costs as time if the scenario says so. `regret` is `loss_s` over that
    of the oracle, less 1. `attempts`, `duplicates` and `limited` are for each request; `limited` are answers with 429.
    `slo_missed` is the share of requests beyond the objective, and `usd_1000` the cost of 1,000 requests in dollars.
    `divert_s` and `return_s` are the seconds until the watched provider was left and used again: the first attempts of
    some seconds show it. `None` means that it did not happen, or that there is nothing to watch."""

    requests: int
    success: float
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    loss_s: float
    slo_missed: float
    attempts: float
    duplicates: float
    limited: float
    usd_1000: float
    divert_s: float | None = None
    return_s: float | None = None
    regret: float | None = None


def measures_of(runs: Sequence[Run], scenario: Scenario) -> Measures:
    """Return the measures over some runs of a scenario."""
    requests = [one for run in runs for one in run.requests]
    times = sorted(one.ttft_s for one in requests)
    count = len(times)
    mean_s, usd = fmean(times), fmean(one.usd for one in requests)
    return Measures(
        requests=count,
        success=sum(one.is_served for one in requests) / count,
        mean_s=mean_s,
        p50_s=times[count // 2],
        p95_s=times[min(int(count * 0.95), count - 1)],
        p99_s=times[min(int(count * 0.99), count - 1)],
        loss_s=mean_s + scenario.usd_s * usd,
        slo_missed=sum(one > scenario.slo_s for one in times) / count,
        attempts=fmean(one.attempts for one in requests),
        duplicates=fmean(one.duplicates for one in requests),
        limited=fmean(one.limited for one in requests),
        usd_1000=1000 * usd,
        divert_s=_mean([diverted_s(run, scenario) for run in runs]),
        return_s=_mean([returned_s(run, scenario) for run in runs]),
    )


def _mean(found: Sequence[float | None]) -> float | None:
    known = [one for one in found if one is not None]
    return fmean(known) if known and len(known) == len(found) else None


def diverted_s(run: Run, scenario: Scenario) -> float | None:
    """Return the time from the start of the fault until the watched provider gets at most a quarter of its earlier
    share of the first attempts, over three seconds."""
    if scenario.window is None:
        return None
    since, until = scenario.window
    before = _share(run, scenario.watched, since * 0.4, since)
    if not before:
        return None
    return _first(run, scenario.watched, since, until, most=LEFT * before + 0.02)


def returned_s(run: Run, scenario: Scenario) -> float | None:
    """Return the time from the end of the fault until the watched provider gets 60 % of its earlier share."""
    if scenario.window is None or scenario.window[1] >= scenario.duration_s:
        return None
    since, until = scenario.window
    before = _share(run, scenario.watched, since * 0.4, since)
    return _first(run, scenario.watched, until, scenario.duration_s, least=BACK * before) if before else None


def _share(run: Run, provider: str, since: float, until: float) -> float:
    found = [one.first == provider for one in run.requests if since <= one.at < until]
    return sum(found) / len(found) if found else 0.0


def _first(
    run: Run, provider: str, since: float, until: float, *, most: float | None = None, least: float | None = None
) -> float | None:
    """Return the time from `since` to the first moment after which the share of a provider is within a bound."""
    watch_s = WATCH_S if most is not None else RETURN_WATCH_S
    requests = [(one.at, one.first == provider) for one in run.requests if since <= one.at < until + watch_s]
    within: deque[tuple[float, bool]] = deque()
    begin, place, hits = since, 0, 0
    while begin < until:
        while place < len(requests) and requests[place][0] < begin + watch_s:
            within.append(requests[place])
            hits += requests[place][1]
            place += 1
        while within and within[0][0] < begin:
            hits -= within.popleft()[1]
        if within:
            share = hits / len(within)
            if (most is not None and share <= most) or (least is not None and share >= least):
                return begin - since
        begin += STEP_S
    return None
