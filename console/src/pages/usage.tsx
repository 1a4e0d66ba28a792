// Who spent what: sums by any dimension, over a span of time, with their course.

import { useMemo } from "preact/hooks";

import { get, query } from "../api";
import { dollars, many, micro, percent, short, shortDollars } from "../format";
import { useLoad } from "../hooks";
import { Chart } from "../parts/chart";
import { Filters, chosen, type Filter } from "../parts/filters";
import { Table } from "../parts/table";
import { Card, Empty, Figure, Head, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";
import { Cost, Download } from "./requests";

export const page: Page = {
  path: "usage",
  title: "Usage",
  group: "Spend",
  order: 10,
  key: "u",
  icon: "M5 20V10M12 20V4M19 20v-7",
  needs: ["usage:read"],
  view: Usage,
};

interface Row {
  [name: string]: unknown;
  requests?: number;
  attempts?: number;
  failures?: number;
  tokens_in: number;
  tokens_out: number;
  tokens_cached?: number;
  cost_nano: number;
  estimated_nano: number;
  reserved_nano: number;
  streams?: number;
  ttft_us?: number;
  hour?: number;
  day?: number;
}

interface Answer {
  rows: Row[];
  more: boolean;
  total?: Row;
}

/** Sums by tag are over requests, and all others over attempts. */
function countOf(row: Row): number {
  return row.attempts ?? row.requests ?? 0;
}

function failedShare(row: Row): number {
  return countOf(row) ? (row.failures ?? 0) / countOf(row) : 0;
}

function ttft(row: Row): number | null {
  return row.streams ? (row.ttft_us ?? 0) / row.streams : null;
}

const SPANS: Record<string, number> = { "24h": 86_400, "7d": 604_800, "30d": 2_592_000, "90d": 7_776_000 };
const FILTERS: readonly Filter[] = [
  { name: "by", label: "By", isMain: true, choices: [["key", "key"], ["team", "team"], ["customer", "customer"], ["model", "model"], ["provider", "provider"], ["variant", "variant"], ["tag", "tag"]] },
  { name: "span", label: "Time", isMain: true, choices: [["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"], ["90d", "90 days"]] },
  { name: "key", label: "Key" },
  { name: "team", label: "Team" },
  { name: "customer", label: "Customer" },
  { name: "provider", label: "Provider" },
  { name: "model", label: "Model" },
  { name: "tag", label: "Tag (name=value)" },
];

function Usage() {
  const { by = "key", span = "24h", ...filters } = chosen(FILTERS);
  const length = SPANS[span] ?? 86_400;
  const step = length <= 604_800 ? "hour" : "day";
  const size = step === "hour" ? 3600 : 86_400;
  const since = Math.floor(Date.now() / 1000 / size) * size - length;
  const key = JSON.stringify([by, span, filters]);
  const sums = useLoad(() => get<Answer>("usage", { group_by: by, since, ...filters, limit: 500 }), [key], 15_000);
  const course = useLoad(() => get<Answer>("usage", { group_by: step, since, ...filters, limit: 2000 }), [key], 60_000);
  const series = useMemo(() => {
    const rows = new Map((course.data?.rows ?? []).map((row) => [row[step] as number, row]));
    const times = Array.from({ length: Math.round(length / size) + 1 }, (_, index) => since + index * size);
    return { times, cost: times.map((at) => (rows.get(at)?.cost_nano ?? 0) / 1e9), attempts: times.map((at) => rows.get(at)?.attempts ?? 0) };
  }, [course.data, since]);
  const rows = [...(sums.data?.rows ?? [])].sort((a, b) => b.cost_nano - a.cost_nano);
  const total = sums.data?.total;
  const whole = rows.reduce((sum, row) => sum + row.cost_nano, 0) || 1;
  return (
    <>
      <Head title="Usage" note="Who spent what, to the nano-dollar.">
        <Download address={`/api/v1/usage${query({ group_by: by, since, ...filters, limit: 10_000, format: "csv" })}`} name="usage.csv">
          Export CSV
        </Download>
      </Head>
      <Trouble text={sums.error} retry={sums.reload} />
      {total && (
        <div class="figures">
          <Figure label="Spent" value={dollars(total.cost_nano)} note={total.estimated_nano || total.reserved_nano ? `${dollars(total.estimated_nano + total.reserved_nano)} of it not reported` : "all of it reported"} />
          <Figure label="Attempts" value={many(countOf(total))} note={`${percent(failedShare(total))} failed`} />
          <Figure label="Tokens in" value={short(total.tokens_in)} note={`${short(total.tokens_cached ?? 0)} from caches`} />
          <Figure label="Tokens out" value={short(total.tokens_out)} />
          {total.streams ? <Figure label="First token, mean" value={micro(ttft(total))} note={`${many(total.streams ?? 0)} streams`} /> : null}
        </div>
      )}
      <div class="columns">
        <Card title="Spend" note={`per ${step}`}>
          <Chart label={`Spend per ${step}`} times={series.times} isBars lines={[{ label: "spend", values: series.cost, color: "good" }]} unit={shortDollars} />
        </Card>
        <Card title="Attempts" note={`per ${step}`}>
          <Chart label={`Attempts per ${step}`} times={series.times} isBars lines={[{ label: "attempts", values: series.attempts, color: "accent" }]} unit={short} />
        </Card>
      </div>
      <Card>
        <Filters filters={FILTERS} />
        {sums.data && rows.length === 0 ? (
          <Empty title="No usage in this time.">Choose a longer time, or clear a filter.</Empty>
        ) : (
          <Table
            label="Usage"
            rows={rows}
            id={(row) => String(row[by] ?? "")}
            columns={[
              { title: by.charAt(0).toUpperCase() + by.slice(1), cell: (row) => <Name by={by} value={row[by]} /> },
              { title: "Spent", isNumber: true, cell: (row) => <Cost row={row} /> },
              { title: "Share", isNumber: true, cell: (row) => percent(row.cost_nano / whole) },
              { title: "Attempts", isNumber: true, cell: (row) => many(countOf(row)) },
              { title: "Failed", isNumber: true, isMinor: true, cell: (row) => percent(failedShare(row)) },
              { title: "Tokens in", isNumber: true, isMinor: true, cell: (row) => many(row.tokens_in) },
              { title: "Tokens out", isNumber: true, isMinor: true, cell: (row) => many(row.tokens_out) },
            ]}
          />
        )}
      </Card>
    </>
  );
}

function Name({ by, value }: { by: string; value: unknown }) {
  if (typeof value !== "string" || !value) return <span class="soft">none</span>;
  const params: Record<string, string> = { [by]: value };
  return by === "variant" || by === "model" ? <>{value}</> : <a href={link("requests", "", params)}>{value}</a>;
}
