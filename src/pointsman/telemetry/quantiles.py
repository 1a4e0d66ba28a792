"""Quantiles of histograms, with linear interpolation inside a bucket, as Prometheus' `histogram_quantile` does it."""

from collections.abc import Sequence


def quantile(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float | None:
    """Return a quantile, `None` without observations. `counts` are those of each bucket, with one more for values
    beyond the last bound; a quantile among those is the last bound."""
    total = sum(counts)
    if not total or not bounds:
        return None
    wanted, lower, below = share * total, 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        lower, below = bound, below + count
    return lower
