"""Arrivals of requests: synthetic ones, and those of recorded traces.

The lengths of synthetic requests are lognormal, with the medians and spreads of Azure's traces of 2023
(https://github.com/Azure/AzurePublicDataset, AzureLLMInferenceTrace). Two formats of traces are recognised: Azure's CSV
with the columns `TIMESTAMP,ContextTokens,GeneratedTokens`, and Mooncake's JSON lines with `timestamp` in milliseconds,
`input_length` and `output_length` (https://github.com/kvcache-ai/Mooncake, FAST25-release).
"""

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import log
from pathlib import Path
from random import Random

from pointsman.simulate.worlds.world import Arrival, Profile, Trace, Traffic

# The median and the spread of the logarithm, of the tokens of prompts and of answers, and the most tokens of a prompt.
_LENGTHS: dict[Profile, tuple[float, float, float, float]] = {
    "conversation": (1020.0, 0.6, 129.0, 0.75),
    "code": (1500.0, 0.85, 13.0, 0.8),
}
MOST_IN, MOST_OUT = 7500, 1500


class TraceError(Exception):
    """A trace is of no known format, or empty."""


def synthetic(traffic: Traffic, duration_s: float, seed: int) -> list[Arrival]:
    """Return the requests of some time, as a Poisson process with bursts."""
    rng, found, at = Random(seed * 7919 + 13), list[Arrival](), 0.0
    highest = max([1.0, *[burst.factor for burst in traffic.bursts]])
    prompt, prompt_spread, answer, answer_spread = _LENGTHS[traffic.profile]
    while (at := at + rng.expovariate(traffic.rate * highest)) < duration_s:
        factor = max([1.0, *[one.factor for one in traffic.bursts if one.since <= at < one.until]])
        tokens_in = min(int(rng.lognormvariate(log(prompt), prompt_spread)) + 1, MOST_IN)
        tokens_out = min(int(rng.lognormvariate(log(answer), answer_spread)) + 1, MOST_OUT)
        is_whole = rng.random() < traffic.whole
        if rng.random() * highest < factor:
            found.append(Arrival(at, tokens_in, tokens_out, stream=not is_whole))
    return found


def from_trace(trace: Trace, traffic: Traffic, duration_s: float, seed: int) -> list[Arrival]:
    """Return a part of a trace, compressed or stretched to the rate of the traffic. The seed selects the part. Bursts
    repeat the trace more often."""
    every = trace.arrivals
    length_s = every[-1].at - every[0].at
    scale = (len(every) / length_s) / traffic.rate if length_s > 0 else 1.0  # simulated seconds for one of the trace
    span_s = duration_s / scale
    rng = Random(seed * 7919 + 17)
    found = _part(every, rng.random() * max(length_s - span_s, 0.0), span_s, scale, 0.0)
    for burst in traffic.bursts:
        lasts_s, more = burst.until - burst.since, burst.factor - 1.0
        found += _part(every, rng.random() * length_s * 0.5, lasts_s * more / scale, scale / more, burst.since)
    found.sort(key=lambda one: one.at)
    if traffic.whole:
        found = [Arrival(one.at, one.tokens_in, one.tokens_out, stream=rng.random() >= traffic.whole) for one in found]
    return [one for one in found if one.at < duration_s]


def _part(every: Sequence[Arrival], offset_s: float, span_s: float, scale: float, since: float) -> list[Arrival]:
    first = every[0].at + offset_s
    return [
        Arrival(since + (one.at - first) * scale, one.tokens_in, one.tokens_out)
        for one in every
        if first <= one.at < first + span_s
    ]


def read_trace(path: Path) -> Trace:
    """Read a trace of either format. Raises `TraceError` if it is of neither, `OSError` if it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline()
            file.seek(0)
            if first.startswith("TIMESTAMP,"):
                rows = _azure(csv.DictReader(file))
            elif first.lstrip().startswith("{"):
                rows = _mooncake(file)
            else:
                raise TraceError(f"{path} is neither a CSV of Azure nor JSON lines of Mooncake")
            arrivals = sorted(rows, key=lambda one: one.at)
    except (KeyError, ValueError, TypeError, csv.Error) as error:  # text that is not UTF-8 is a `ValueError`
        raise TraceError(f"{path} is not a trace: {error!r}") from error
    if len(arrivals) < 2:
        raise TraceError(f"{path} has fewer than two requests")
    start = arrivals[0].at
    return Trace(path.name, [Arrival(one.at - start, one.tokens_in, one.tokens_out) for one in arrivals])


def _azure(rows: "csv.DictReader[str]") -> Iterator[Arrival]:
    for row in rows:
        at = datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp()
        yield Arrival(at, int(row["ContextTokens"]), max(int(row["GeneratedTokens"]), 1))


def _mooncake(lines: Iterator[str]) -> Iterator[Arrival]:
    for line in lines:
        if line.strip():
            row = json.loads(line)
            yield Arrival(row["timestamp"] / 1000, int(row["input_length"]), max(int(row["output_length"]), 1))
