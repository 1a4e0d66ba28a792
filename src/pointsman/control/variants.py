"""Sums of what the targets of public names did, by hour: for the table that compares them.

Only names with several targets, or with a variant, are counted. A row holds one measure of one target. The measures are
`requests` (those that ended at the target), `attempts` and `failures` (of attempts there), `refusals` (attempts whose
answer was filtered or a refusal), `nano` (their cost), `ttft:N` (times to the first content in bucket N), and
`why:REASON` (requests that got the target, or did not get it, for another reason than the weights).
"""

from collections import defaultdict
from collections.abc import Mapping
from math import log

from pointsman.control.inquiries.variants import TargetState
from pointsman.control.store.tables import HOUR_S, SPLIT_KEYS, Row
from pointsman.domain.failures import CLIENT_GONE, CONTENT_FILTERED, REFUSED, SUPERSEDED
from pointsman.domain.records import RequestRecord
from pointsman.domain.snapshots import Snapshot
from pointsman.routing.explain import NOTED

Splits = Mapping[str, Mapping[str, str]]
"""The variants of the targets of public names: by public name, then by `provider/model`."""

REFUSALS = frozenset({CONTENT_FILTERED.code, REFUSED.code})
_NEUTRAL = frozenset({"ok", CLIENT_GONE.code, SUPERSEDED.code})

# Buckets of the time to the first content: bucket N ends at `_FIRST_S` times `_STEP` to the power of N.
_FIRST_S, _STEP, _BUCKETS = 0.01, 1.2, 64


def splits_of(snapshot: Snapshot) -> Splits:
    """Return the names to count, with their targets."""
    found: dict[str, dict[str, str]] = {}
    for name, model in snapshot.models.items():
        if len(model.targets) > 1 or any(item.variant for item in model.targets):
            found[name] = {item.id: item.variant or "" for item in model.targets}
    return found


def targets_of(snapshot: Snapshot, only: str | None) -> list[TargetState]:
    """Return the targets of the counted names, or of one of them, with the shares of their weights. Strategies that
    choose by other facts than weights have no configured share."""
    found: list[TargetState] = []
    for name in splits_of(snapshot):
        if only is not None and name != only:
            continue
        model = snapshot.models[name]
        strategy = model.strategy or snapshot.routing.strategy
        total = sum(item.weight for item in model.targets)
        for place, item in enumerate(model.targets):
            share: float | None = None
            if strategy.name == "weighted" and total:
                share = item.weight / total
            elif strategy.name == "priority":
                share = float(place == 0)
            found.append(
                TargetState(
                    model=name,
                    target=item.id,
                    variant=item.variant or "",
                    share=share,
                    sticky=getattr(strategy.settings, "sticky", None),
                    is_canary=item.arm is not None and item.arm.guard is not None,
                )
            )
    return found


def bucket_of(seconds: float) -> int:
    """Return the bucket of a time."""
    if seconds <= _FIRST_S:
        return 0
    return min(int(log(seconds / _FIRST_S) / log(_STEP)) + 1, _BUCKETS)


def quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the time in seconds that a share of the counted ones do not exceed, exact to a bucket of 20 percent."""
    total = sum(buckets.values())
    if not total:
        return None
    before, wanted = 0, share * total
    for number, count in sorted(buckets.items()):
        if before + count >= wanted:
            end = _FIRST_S * _STEP**number
            start = end / _STEP if number else 0.0
            return start + (end - start) * (wanted - before) / count
        before += count
    return None


class SplitTally:
    """Counts the requests of one batch."""

    def __init__(self, splits: Splits) -> None:
        self._splits = splits
        self._sums: dict[tuple[int | str, ...], int] = defaultdict(int)

    def add(self, request: RequestRecord) -> None:
        """Count a request, if its model is one of the names."""
        targets = self._splits.get(request.model or "")
        if targets is None:
            return
        hour = int(request.time // HOUR_S) * HOUR_S

        def count(target: str, measure: str, value: int = 1) -> None:
            variant = targets.get(target, "")
            if target == served and request.variant is not None:
                variant = request.variant
            self._sums[hour, request.model or "", variant, target, measure] += value

        tried = [f"{one.provider}/{one.model}" for one in request.attempts]
        served = f"{request.provider}/{request.upstream_model}" if request.provider is not None else ""
        for target, attempt in zip(tried, request.attempts, strict=True):
            count(target, "attempts")
            if attempt.outcome in REFUSALS:
                count(target, "refusals")
            elif attempt.outcome not in _NEUTRAL:
                count(target, "failures")
            if attempt.cost_nano:
                count(target, "nano", attempt.cost_nano)
        if served:
            count(served, "requests")
            if "refused" in request.flags and request.attempts and request.attempts[-1].outcome == "ok":
                count(served, "refusals")
            if request.ttft_us is not None and request.attempts:
                taken_us = max(request.ttft_us - request.attempts[-1].start_us, 0)
                count(served, f"ttft:{bucket_of(taken_us / 1e6)}")
            for reason in _reasons(request, tried, served, targets):
                count(served, f"why:{reason}")
            if tried and tried[0] != served:
                count(tried[0], "why:failed_over")
        for verdict, code in zip(request.verdicts, request.verdict_codes, strict=False):
            target = verdict.partition(": ")[0]
            if target in targets and code not in NOTED:
                count(target, f"why:{code}")

    def rows(self) -> list[Row]:
        """Return the rows to add."""
        return [{**dict(zip(SPLIT_KEYS, key, strict=True)), "value": value} for key, value in self._sums.items()]


def _reasons(request: RequestRecord, tried: list[str], served: str, targets: Mapping[str, str]) -> list[str]:
    """Return the reasons that a request got its target for, other than the weights. There may be several."""
    found = []
    if request.pinned is not None:
        found.append("pinned")
    if request.rule is not None:
        found.append("rule")
    if served not in targets:
        found.append("fallback")
    elif tried and tried[0] != served:
        found.append("took_over")
    elif request.kept_by:
        found.append("sticky")
    return found
