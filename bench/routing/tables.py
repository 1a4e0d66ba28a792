"""Tables of measures as text."""

from collections.abc import Mapping

from pointsman.simulate.worlds.compare import Regrets
from pointsman.simulate.worlds.results import Measures

COLUMNS = (
    "router", "regret %", "success %", "mean s", "p50 s", "p95 s", "p99 s", "SLO missed %", "attempts", "duplicates",
    "429s", "$ per 1,000", "divert s", "return s",
)  # fmt: skip
WORLD_COLUMNS = ("router", "mean regret %", "median", "worst", "success %", "attempts", "429s")


def _row(name: str, one: Measures) -> tuple[str, ...]:
    return (
        name,
        f"{100 * (one.regret or 0.0):.1f}",
        f"{100 * one.success:.2f}",
        f"{one.mean_s:.3f}",
        f"{one.p50_s:.2f}",
        f"{one.p95_s:.2f}",
        f"{one.p99_s:.2f}",
        f"{100 * one.slo_missed:.2f}",
        f"{one.attempts:.3f}",
        f"{one.duplicates:.3f}",
        f"{one.limited:.4f}",
        f"{one.usd_1000:.2f}",
        _seconds(one.divert_s),
        _seconds(one.return_s),
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def scenario_rows(found: Mapping[str, Measures]) -> list[tuple[str, ...]]:
    """Return the table of one scenario, with its header."""
    return [COLUMNS, *[_row(name, one) for name, one in found.items()]]


def world_rows(found: Mapping[str, Regrets]) -> list[tuple[str, ...]]:
    """Return the table of random worlds, with its header."""
    rows: list[tuple[str, ...]] = [WORLD_COLUMNS]
    for name, one in found.items():
        rows.append(
            (
                name or "(whole)",
                f"{100 * one.mean:.1f}",
                f"{100 * one.median:.1f}",
                f"{100 * one.worst:.1f}",
                f"{100 * one.success:.2f}",
                f"{one.attempts:.3f}",
                f"{one.limited:.4f}",
            )
        )
    return rows


def regret_rows(every: Mapping[str, Mapping[str, Measures]]) -> list[tuple[str, ...]]:
    """Return the regrets of all routers in all scenarios in percent, with the mean over the scenarios. The cell of a
    scenario that a router was not measured in is empty."""
    names = list(dict.fromkeys(name for found in every.values() for name in found))
    rows: list[tuple[str, ...]] = [("router", *every, "mean")]
    for name in names:
        regrets = [100 * (found[name].regret or 0.0) if name in found else None for found in every.values()]
        known = [one for one in regrets if one is not None]
        cells = ["" if one is None else f"{one:.0f}" for one in regrets]
        rows.append((name, *cells, f"{sum(known) / len(known):.1f}"))
    return rows


def aligned(rows: list[tuple[str, ...]]) -> str:
    """Return a table with aligned columns."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = row[0].ljust(widths[0])
        lines.append("  ".join([first, *[cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]]))
    return "\n".join(lines)


def markdown(rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    head, *rest = rows
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *[f"| {' | '.join(row)} |" for row in rest]])
