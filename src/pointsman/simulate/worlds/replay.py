"""A world from the gateway's own log: its arrivals, lengths, and the observed speed and failures of each target.

The log is one JSON object for each line, as `domain.records` describes it. From each attempt at a target the ratio of
its time to the usual one is taken (`routing.paces`), so that a long prompt does not make a target slow. The median
over the log is the speed of the target. For each minute with enough attempts, its own median and its share of failures
become a fault of that minute. A rejection by a rate limit counts as a failure: the log does not tell the limit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from statistics import fmean, median, pstdev

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pointsman.domain import failures
from pointsman.domain.failures import Fault as FaultOf
from pointsman.domain.operations import GENERATING
from pointsman.domain.records import AttemptRecord, RequestRecord
from pointsman.routing.paces import FIRST_TOKEN_S, PROMPT_TOKEN_S
from pointsman.simulate.worlds.world import Arrival, Fault, Provider

WINDOW_S = 60.0
FEWEST = 3  # attempts of a minute that tell something
BYTES_PER_TOKEN = 4
USUAL_TOKENS_OUT = 150
LEAST_FACTOR, MOST_FACTOR = 0.2, 50.0
LEAST_SIGMA, MOST_SIGMA = 0.1, 1.0


class ReplayError(Exception):
    """A log holds no request that can be replayed."""


class Observed(Struct, frozen=True):
    """One attempt at a target: its start in seconds, the ratio of its time to the usual one, and the time for each
    token of its answer, if they are known. `failed` says that the target was at fault."""

    at: float
    ratio: float | None
    token_s: float | None
    failed: bool
    hung: bool


class Recorded(Struct, frozen=True):
    """The requests of a log for one public name, and the attempts by target."""

    arrivals: Sequence[Arrival]
    observed: Mapping[str, Sequence[Observed]]

    @property
    def duration_s(self) -> float:
        """The time from the first request to a second after the last."""
        return self.arrivals[-1].at + 1.0


def read_log(path: Path, model: str) -> Recorded:
    """Read the requests for a public name. Raises `ReplayError` if there are none, `OSError` if the file cannot be
    read."""
    with path.open("rb") as file:
        records = [one for line in file if (one := _record(line)) is not None]
    found = [one for one in records if one.model == model and one.operation in GENERATING and one.attempts]
    if not found:
        raise ReplayError(f"{path} has no request for {model!r} with an attempt")
    return recorded(found)


def _record(line: bytes) -> RequestRecord | None:
    try:
        return msgspec.json.decode(line, type=RequestRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # another event of the log, or no JSON


def recorded(records: Iterable[RequestRecord]) -> Recorded:
    """Return the arrivals and observations of some records."""
    ordered = sorted(records, key=lambda one: one.time)
    start, arrivals = ordered[0].time, list[Arrival]()
    observed: dict[str, list[Observed]] = defaultdict(list)
    for record in ordered:
        at, tokens_in = record.time - start, record.tokens_in or max(record.bytes_in // BYTES_PER_TOKEN, 1)
        arrivals.append(Arrival(at, tokens_in, record.tokens_out or USUAL_TOKENS_OUT, stream=record.stream))
        for attempt in record.attempts:
            if attempt.provider is not None and attempt.model is not None:
                found = _observation(record, attempt, at, tokens_in)
                if found is not None:
                    observed[f"{attempt.provider}/{attempt.model}"].append(found)
    return Recorded(arrivals, observed)


def _observation(record: RequestRecord, attempt: AttemptRecord, at: float, tokens_in: int) -> Observed | None:
    """Return what an attempt says about its target, or nothing if it ended for another reason."""
    at += attempt.start_us / 1e6
    if attempt.outcome != "ok":
        kind = failures.KINDS.get(attempt.outcome)
        if kind is None or kind.fault not in (FaultOf.PROVIDER, FaultOf.QUOTA, FaultOf.CREDENTIAL):
            return None
        return Observed(at, None, None, failed=True, hung=kind.status == 504)
    content_us = record.ttft_us if record.stream else attempt.first_byte_us
    content_s = ((content_us or attempt.first_byte_us or 0) - attempt.start_us) / 1e6
    took_s, tokens = attempt.duration_us / 1e6, attempt.tokens_out
    ratio = content_s / (FIRST_TOKEN_S + PROMPT_TOKEN_S * tokens_in) if content_s > 0 else None
    token_s = (took_s - content_s) / tokens if record.stream and tokens > 1 and took_s > content_s > 0 else None
    if not record.stream:
        # The whole took as long as its tokens, so its first content is not known.
        ratio, token_s = None, took_s / tokens if tokens > 1 else None
    return Observed(at, ratio, token_s, failed=False, hung=False)


def as_observed(providers: Sequence[Provider], found: Recorded) -> tuple[tuple[Provider, ...], tuple[Fault, ...]]:
    """Return the providers with their observed speeds, and the faults of single minutes. Targets without attempts in
    the log keep their assumed speeds."""
    changed, faults = list[Provider](), list[Fault]()
    for one in providers:
        attempts = found.observed.get(one.name, ())
        ratios = [attempt.ratio for attempt in attempts if attempt.ratio is not None]
        usual = median(ratios) if ratios else None
        token_times = [attempt.token_s for attempt in attempts if attempt.token_s is not None]
        if attempts:
            one = replace(one, errors=0.0, tail=0.0)  # noqa: PLW2901 -- the same provider, better known
            faults += _faults(one.name, attempts, usual)
        if usual is not None:
            spread = pstdev([log(ratio / usual) for ratio in ratios if 0.2 < ratio / usual < 5])
            one = replace(  # noqa: PLW2901
                one,
                first_s=FIRST_TOKEN_S * usual,
                prompt_token_s=PROMPT_TOKEN_S * usual,
                sigma=min(max(spread, LEAST_SIGMA), MOST_SIGMA),
            )
        if token_times:
            one = replace(one, token_s=fmean(token_times))  # noqa: PLW2901
        changed.append(one)
    return tuple(changed), tuple(faults)


def _faults(name: str, attempts: Sequence[Observed], usual: float | None) -> list[Fault]:
    """Return a fault for each minute in which a target was slower or less reliable than usual. `usual` is its median
    ratio; without any streamed success its speed is not known, but its failures are."""
    windows: dict[int, list[Observed]] = defaultdict(list)
    for one in attempts:
        windows[int(one.at // WINDOW_S)].append(one)
    found = []
    for number, within in sorted(windows.items()):
        if len(within) < FEWEST:
            continue
        ratios = [one.ratio for one in within if one.ratio is not None]
        factor = 1.0
        if usual is not None and len(ratios) >= FEWEST:
            factor = min(max(median(ratios) / usual, LEAST_FACTOR), MOST_FACTOR)
        failed = [one for one in within if one.failed]
        hangs = len(failed) == len(within) and all(one.hung for one in failed)
        errors = 0.0 if hangs else len(failed) / len(within)
        if hangs or errors or factor != 1.0:
            since = number * WINDOW_S
            found.append(
                Fault(
                    provider=name, since=since, until=since + WINDOW_S, factor=factor, errors=min(errors, 0.999),
                    hangs=hangs,
                )
            )  # fmt: skip
    return found
