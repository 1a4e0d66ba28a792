// Charts over time, by uPlot. Colours come from the theme, and change with it.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { clock } from "../format";
import { theme } from "../theme";

export interface Line {
  label: string;
  values: readonly (number | null)[];
  /** A name of a colour of the theme, such as `accent`. */
  color: string;
  isFilled?: boolean;
}

interface ChartProps {
  label: string;
  times: readonly number[];
  lines: readonly Line[];
  height?: number;
  unit?: (value: number) => string;
  isStacked?: boolean;
  isBars?: boolean;
}

function colorOf(name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function faded(color: string, share: number): string {
  const parts = color.match(/[\d.]+/g);
  return parts ? `rgba(${parts.slice(0, 3).join(",")},${share})` : color;
}

/** An opaque colour between two, so that areas which lie over each other keep their own colours. */
function mixed(color: string, ground: string, share: number): string {
  const [above = [], below = []] = [color, ground].map((one) => (one.match(/[\d.]+/g) ?? []).map(Number));
  return `rgb(${[0, 1, 2].map((part) => Math.round((above[part] ?? 0) * share + (below[part] ?? 0) * (1 - share))).join(",")})`;
}

/** Adds up lines from the last to the first, so that the first one is the whole. */
function stacked(lines: readonly Line[]): (number | null)[][] {
  const sums: number[] = [];
  const found: (number | null)[][] = [];
  for (const line of [...lines].reverse()) {
    found.unshift(line.values.map((value, index) => (sums[index] = (sums[index] ?? 0) + (value ?? 0))));
  }
  return found;
}

export function Chart({ label, times, lines, height = 170, unit = String, isStacked, isBars }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = lines.map((line) => `${line.label}:${line.color}`).join() + theme.value + height;
  useEffect(() => {
    const host = box.current;
    if (!host) return;
    const soft = colorOf("soft");
    const grid = { stroke: faded(colorOf("soft"), 0.16), width: 1 };
    const made = new uPlot(
      {
        width: host.clientWidth || 300,
        height,
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { live: true },
        padding: [10, 8, 0, 0],
        scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] } },
        axes: [
          {
            stroke: soft,
            grid: { show: false },
            ticks: { show: false },
            font: "11px system-ui",
            size: 26,
            space: 80,
            values: (_, at) => at.map((one) => clock(one).slice(0, 5)),
          },
          {
            stroke: soft,
            grid,
            ticks: { show: false },
            font: "11px system-ui",
            size: 62,
            space: 34,
            values: (_, values) => values.map((one) => unit(one)),
          },
        ],
        series: [
          { value: (_, at) => (at === null ? "" : clock(at)) },
          ...lines.map((line, place): uPlot.Series => {
            const color = colorOf(line.color);
            return {
              label: line.label,
              stroke: color,
              width: isBars ? 0 : 1.6,
              points: { show: false },
              ...(line.isFilled || isStacked || isBars ? { fill: isStacked ? mixed(color, colorOf("card"), 0.5) : faded(color, isBars ? 0.6 : 0.12) } : {}),
              ...(isBars && uPlot.paths.bars ? { paths: uPlot.paths.bars({ size: [0.8, 24] }) } : {}),
              value: (_, __, ___, index) => {
                const value = index === null ? null : latest.current[place]?.values[index];
                return value === null || value === undefined ? "–" : unit(value);
              },
            };
          }),
        ],
      },
      [[...times], ...lines.map((line) => [...line.values])],
      host,
    );
    plot.current = made;
    const watcher = new ResizeObserver(() => {
      if (host.clientWidth && host.clientWidth !== made.width) made.setSize({ width: host.clientWidth, height });
    });
    watcher.observe(host);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  const latest = useRef(lines);
  latest.current = lines;
  useEffect(() => {
    const rows = isStacked ? stacked(lines) : lines.map((line) => [...line.values]);
    plot.current?.setData([[...times], ...rows]);
  });
  return <div class="chart" ref={box} role="img" aria-label={label} />;
}

/** A small line without axes, as text says the value beside it. */
export function Spark({ values, tone = "accent" }: { values: readonly (number | null)[]; tone?: string }) {
  const known = values.map((value) => value ?? 0);
  if (known.length < 2) return <svg class="spark" aria-hidden="true" />;
  const most = Math.max(...known) || 1;
  const points = known.map((value, index) => `${((index / (known.length - 1)) * 100).toFixed(1)},${(23 - (value / most) * 21).toFixed(1)}`);
  return (
    <svg class={`spark ${tone}`} viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <path class="area" d={`M0,24 L${points.join(" L")} L100,24 Z`} />
      <path class="line" d={`M${points.join(" L")}`} />
    </svg>
  );
}
