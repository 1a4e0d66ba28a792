"""The states of providers' models and keys, merged over workers."""

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from pointsman.domain.plans import Health
from pointsman.telemetry.metrics import HealthRow

_WORST_FIRST: tuple[Health, ...] = ("failed", "recovering", "degraded", "healthy")


class HealthAtWorkers(Struct, kw_only=True, omit_defaults=True):
    """The state of an operation of a provider's model, or of a provider key for a model or for all (`*`). `state` is
    that of the worker where it is worst, with the time (Unix seconds) and the reason of its last transition. `workers`
    are their numbers by state; other workers saw no fault."""

    provider: str
    model: str
    operation: str = ""
    key: str = ""
    state: str
    since: float
    reason: str
    workers: dict[str, int]


def merged_rows(pages: Iterable[Iterable[HealthRow]]) -> list[HealthAtWorkers]:
    """Return one row for each operation of a target and for each key."""
    found: dict[tuple[str, str, str, str], list[HealthRow]] = defaultdict(list)
    for page in pages:
        worst: dict[tuple[str, str, str, str], HealthRow] = {}  # models that are unknown share a name
        for row in page:
            name = row.provider, row.model, row.operation, row.key
            worst[name] = min(worst.get(name, row), row, key=_worst_first)
        for name, row in worst.items():
            found[name].append(row)
    merged = [_merged(rows) for rows in found.values()]
    return sorted(merged, key=lambda one: (_rank(one.state), one.provider, one.model, one.operation, one.key))


def _merged(rows: list[HealthRow]) -> HealthAtWorkers:
    worst = min(rows, key=_worst_first)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row.state] += 1
    return HealthAtWorkers(
        provider=worst.provider,
        model=worst.model,
        operation=worst.operation,
        key=worst.key,
        state=worst.state,
        since=worst.since,
        reason=worst.reason,
        workers=dict(counts),
    )


def _worst_first(row: HealthRow) -> tuple[int, float]:
    return _rank(row.state), -row.since


def _rank(state: str) -> int:
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else len(_WORST_FIRST)
