"""`python -m bench.routing.report`: writes RESULTS.md and the charts beside it from the measurements.

The simulated part comes from `docs/measurements/routing.json`, the part by the clock from
`docs/measurements/live_routing.json`. Neither is measured here, except for one run of each chart.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from bench.routing.tables import markdown, regret_rows, scenario_rows, world_rows

from pointsman.simulate.worlds.chart import chart
from pointsman.simulate.worlds.compare import CONTENDERS, Regrets, play
from pointsman.simulate.worlds.results import Measures
from pointsman.simulate.worlds.scenarios import SCENARIOS

HERE = Path(__file__).parent
MEASUREMENTS = HERE.parents[1] / "docs" / "measurements"
CHARTS = {"latency x4": "latency-x4.svg", "outage": "outage.svg", "black hole": "black-hole.svg"}
CHARTED = ("oracle", "adaptive", "litellm-latency", "bifrost", "prequal")
CHART_SEED = 100


def report(simulated: Mapping[str, Any], live: Mapping[str, Any] | None) -> str:
    """Return the page for the contents of the two files."""
    scenarios = msgspec.convert(simulated["scenarios"], dict[str, dict[str, Measures]])
    worlds = msgspec.convert(simulated["random_worlds"], dict[str, Regrets])
    parts = msgspec.convert(simulated["without"], dict[str, Regrets])
    lines = [
        "# Routing: results",
        "",
        "This page is written by `python -m bench.routing.report`. The regret is the mean time to the first content",
        "above that of an oracle, in percent; a request that fails counts as 30 s. The method and its reasons:",
        "[simulation](../../docs/guides/simulation.md) and",
        "[decision 53](../../docs/decisions/0053-a-simulator-over-the-production-core.md).",
        "",
        f"Measured on {simulated['date']} with Python {simulated['python']}. Arrivals: {simulated['arrivals']}.",
        f"{_span('Seeds', simulated['seeds'])} {_span('Random worlds', simulated['worlds'])}",
        f"Seeds of the baselines: the first {simulated['baseline_seeds']}.",
    ]
    if scenarios:
        lines += ["", "## Regret by scenario", "", markdown(regret_rows(scenarios)), *_charts()]
    if worlds:
        lines += ["", "## Random worlds", "", markdown(world_rows(worlds))]
    if parts:
        lines += ["", "## Without one part of adaptive", "", markdown(world_rows(parts))]
    lines += ["", "## By the clock", ""]
    lines += _live(live) if live is not None else ["Not measured yet: see `bench/live_routing.py`."]
    for name, found in scenarios.items():
        lines += ["", f"## {name[0].upper()}{name[1:]}", "", markdown(scenario_rows(found))]
    return "\n".join(lines) + "\n"


def _span(name: str, found: Sequence[int]) -> str:
    return f"{name}: {found[0]} to {found[-1]}." if found else f"{name}: none."


def _charts() -> list[str]:
    lines = ["", "Shares of the providers over time, and times to the first content:"]
    for name, file in CHARTS.items():
        lines += ["", f"![{name}]({file})"]
    return lines


def _live(found: Mapping[str, Any]) -> list[str]:
    """Return the tables of the real gateways. Each measure becomes a column, whatever its name."""
    about = [f"{name} {value}" for name, value in found.items() if isinstance(value, str)]
    lines = [f"Measured with real sockets: {', '.join(about)}."]
    for fault, gateways in found["faults"].items():
        columns = list(dict.fromkeys(name for row in gateways.values() for name in row))
        rows: list[tuple[str, ...]] = [("gateway", *[name.replace("_", " ") for name in columns])]
        for gateway, row in gateways.items():
            rows.append((gateway, *["-" if row.get(name) is None else f"{row[name]:g}" for name in columns]))
        lines += ["", f"### {fault[0].upper()}{fault[1:]}, by the clock", "", markdown(rows)]
    return lines


def write_charts(folder: Path) -> None:
    """Draw one run of each chart."""
    for name, file in CHARTS.items():
        runs = play(SCENARIOS[name], [CONTENDERS[one] for one in CHARTED], [CHART_SEED])
        (folder / file).write_text(chart(SCENARIOS[name], runs), encoding="utf-8")


def main() -> int:
    """Read the measurements, and write the page and its charts."""
    live = MEASUREMENTS / "live_routing.json"
    simulated = json.loads((MEASUREMENTS / "routing.json").read_text())
    page = report(simulated, json.loads(live.read_text()) if live.exists() else None)
    (HERE / "RESULTS.md").write_text(page, encoding="utf-8")
    write_charts(HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
