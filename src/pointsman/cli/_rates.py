"""The rates of traffic between two readings of a gateway's metrics page."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise

from msgspec import Struct

Labels = tuple[tuple[str, str], ...]
Samples = dict[str, dict[Labels, float]]  # by name of the sample
Target = tuple[str, str]  # provider and model


class TargetRates(Struct, kw_only=True):
    """One model of a provider in the time between two readings. Times are seconds; `None` without a new answer. `ttft`
    is the time from the arrival of a request to the first content of its stream."""

    provider: str
    model: str
    per_s: float
    failed: float
    in_progress: int
    first_byte_p50_s: float | None
    ttft_p50_s: float | None
    ttft_p95_s: float | None
    tokens_out_per_s: float
    usd_per_h: float


class Traffic(Struct, kw_only=True):
    """The whole gateway. `failed` are shares of 1: of all requests and of a target's attempts."""

    requests_per_s: float
    failed: float
    in_progress: int
    tokens_per_s: float
    usd_per_h: float
    targets: list[TargetRates]


def read(text: str) -> Samples:
    """Parse a page in the text format of Prometheus. Raises `ValueError`."""
    from prometheus_client.parser import text_string_to_metric_families

    found: Samples = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    return found


def rates(before: Samples, now: Samples, seconds: float) -> Traffic:
    """Return the rates of the `seconds` between two readings; the busiest targets come first."""

    def grown(name: str) -> dict[Labels, float]:
        old = before.get(name, {})
        return {labels: max(0.0, value - old.get(labels, 0.0)) for labels, value in now.get(name, {}).items()}

    requests = grown("pointsman_requests_total")
    total = sum(requests.values())
    failed = sum(value for labels, value in requests.items() if not dict(labels)["status"].startswith("2"))
    targets = _targets(grown, now, seconds)
    return Traffic(
        requests_per_s=total / seconds,
        failed=failed / total if total else 0.0,
        in_progress=int(sum(now.get("pointsman_requests_in_progress", {}).values())),
        tokens_per_s=sum(grown("pointsman_tokens_total").values()) / seconds,
        usd_per_h=sum(grown("pointsman_cost_dollars_total").values()) * 3600 / seconds,
        targets=sorted(targets, key=lambda one: (-one.per_s, -one.in_progress, one.provider, one.model)),
    )


def _targets(grown: Callable[[str], dict[Labels, float]], now: Samples, seconds: float) -> list[TargetRates]:
    attempts: dict[Target, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for labels, value in grown("pointsman_attempts_total").items():
        attempts[_target(labels)]["ok" if dict(labels)["outcome"] == "ok" else "failed"] += value
    first_bytes, first_tokens = (
        _buckets(grown(f"pointsman_{name}_seconds_bucket")) for name in ("first_byte", "time_to_first_token")
    )
    tokens: dict[Target, float] = defaultdict(float)
    for labels, value in grown("pointsman_tokens_total").items():
        tokens[_target(labels)] += value if dict(labels)["direction"] == "out" else 0.0
    costs: dict[Target, float] = defaultdict(float)
    for labels, value in grown("pointsman_cost_dollars_total").items():
        costs[_target(labels)] += value
    running: dict[Target, float] = defaultdict(float)
    for labels, value in now.get("pointsman_attempts_in_progress", {}).items():
        running[_target(labels)] += value
    found = []
    for target in attempts.keys() | running.keys():
        ended = sum(attempts[target].values())
        found.append(
            TargetRates(
                provider=target[0],
                model=target[1],
                per_s=ended / seconds,
                failed=attempts[target]["failed"] / ended if ended else 0.0,
                in_progress=int(running[target]),
                first_byte_p50_s=quantile(0.5, first_bytes[target]),
                ttft_p50_s=quantile(0.5, first_tokens[target]),
                ttft_p95_s=quantile(0.95, first_tokens[target]),
                tokens_out_per_s=tokens[target] / seconds,
                usd_per_h=costs[target] * 3600 / seconds,
            )
        )
    return [one for one in found if one.per_s or one.in_progress]


def _buckets(series: Mapping[Labels, float]) -> dict[Target, dict[float, float]]:
    """Return the cumulative counts by upper bound, for each target."""
    found: dict[Target, dict[float, float]] = defaultdict(dict)
    for labels, value in series.items():
        found[_target(labels)][float(dict(labels)["le"])] = value
    return found


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Return a quantile of a histogram, given its cumulative counts by upper bound; `None` if it is empty."""
    from pointsman.telemetry.quantiles import quantile as quantile_of

    bounds = sorted(buckets)
    totals = [0.0, *(buckets[bound] for bound in bounds)]
    counts = [total - below for below, total in pairwise(totals)]
    return quantile_of(share, bounds[:-1], counts)


def _target(labels: Labels) -> Target:
    named = dict(labels)
    return named["provider"], named["model"]
