"""A chart of runs as SVG: the share of each provider over time, and percentiles of the time to the first content."""

from collections import Counter
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from pointsman.simulate.worlds.results import Run, Served
from pointsman.simulate.worlds.world import Scenario

WIDTH, ROW, LEFT, SHARES, TIMES, GAP = 1000, 130, 150, 560, 210, 40
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")  # Paul Tol's bright scheme
FAILED = "#bbbbbb"
BUCKETS = 60
PERCENTILES = (50, 95, 99)


def chart(scenario: Scenario, runs: Mapping[str, Sequence[Run]]) -> str:
    """Return the chart, with a row for each router. The time of the watched provider's fault is shaded."""
    names = [one.name for one in scenario.providers]
    height = 70 + (ROW + 20) * len(runs)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
            f'font-size="12" role="img">'
        ),
        f"<title>{escape(scenario.name)}: shares of providers, and times to the first content</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        *_legend(names),
    ]
    longest = max([_percentile(_times(every), 99) for every in runs.values()], default=1.0)
    for number, (name, every) in enumerate(runs.items()):
        top = 50 + number * (ROW + 20)
        requests = [one for run in every for one in run.requests]
        lines.append(f'<text x="8" y="{top + ROW / 2}">{escape(name)}</text>')
        lines += _shares(requests, names, scenario, top)
        lines += _percentiles(requests, longest, top)
    axis = 50 + len(runs) * (ROW + 20)
    lines += [
        f'<text x="{LEFT}" y="{axis}">0 s</text>',
        f'<text x="{LEFT + SHARES}" y="{axis}" text-anchor="end">{scenario.duration_s:.0f} s</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _legend(names: Sequence[str]) -> list[str]:
    lines, x = [], float(LEFT)
    for name, colour in [*zip(names, _colours(names), strict=True), ("failed", FAILED)]:
        lines.append(f'<rect x="{x:.0f}" y="14" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 16:.0f}" y="25">{escape(name)}</text>')
        x += 36 + 7.5 * len(name)
    return lines


def _colours(names: Sequence[str]) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(names))]


def _shares(requests: Sequence[Served], names: Sequence[str], scenario: Scenario, top: float) -> list[str]:
    """Return the areas of the providers, one above the other."""
    length_s = scenario.duration_s / BUCKETS
    buckets: list[Counter[str]] = [Counter() for _ in range(BUCKETS)]
    for one in requests:
        buckets[min(int(one.at / length_s), BUCKETS - 1)][one.provider if one.is_served else ""] += 1
    lines = []
    below = [0.0] * BUCKETS
    for name, colour in [*zip(names, _colours(names), strict=True), ("", FAILED)]:
        above = [
            start + (bucket[name] / bucket.total() if bucket else 0.0)
            for start, bucket in zip(below, buckets, strict=True)
        ]
        if above != below:
            edge = [*_steps(above), *reversed(_steps(below))]
            points = " ".join(f"{x:.1f},{top + ROW * (1 - share):.1f}" for x, share in edge)
            lines.append(f'<polygon points="{points}" fill="{colour}"/>')
        below = above
    if scenario.window is not None:
        since, until = [LEFT + SHARES * at / scenario.duration_s for at in scenario.window]
        lines.append(
            f'<rect x="{since:.1f}" y="{top}" width="{until - since:.1f}" height="{ROW}" fill="black" '
            f'fill-opacity="0.08" stroke="black" stroke-dasharray="4"/>'
        )
    return lines


def _steps(shares: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of an edge, with two for each bucket."""
    width = SHARES / BUCKETS
    return [(LEFT + (place + more) * width, share) for place, share in enumerate(shares) for more in (0, 1)]


def _percentiles(requests: Sequence[Served], longest: float, top: float) -> list[str]:
    """Return a bar for each percentile."""
    times, lines, left = sorted(one.ttft_s for one in requests), [], LEFT + SHARES + GAP
    for place, percent in enumerate(PERCENTILES):
        value = _percentile(times, percent)
        y = top + 12 + place * 38
        lines += [
            (
                f'<rect x="{left + 34}" y="{y}" width="{max((TIMES - 70) * value / longest, 1):.1f}" height="20" '
                f'fill="{COLOURS[0]}"/>'
            ),
            f'<text x="{left}" y="{y + 15}">p{percent}</text>',
            f'<text x="{left + 40 + (TIMES - 70) * value / longest:.1f}" y="{y + 15}">{value:.2f} s</text>',
        ]
    return lines


def _times(runs: Sequence[Run]) -> list[float]:
    return sorted(one.ttft_s for run in runs for one in run.requests)


def _percentile(times: Sequence[float], percent: int) -> float:
    return max(times[min(len(times) * percent // 100, len(times) - 1)], 0.001) if times else 0.001
