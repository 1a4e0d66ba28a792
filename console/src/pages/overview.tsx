// What happens now: the rates of the last ten seconds, the last hour, and the state of every provider.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { get } from "../api";
import { ago, clock, dollars, many, percent, seconds, short, shortDollars } from "../format";
import type { Health, TargetState } from "../health";
import { useLoad } from "../hooks";
import { events, followMetrics, readings, trouble, type Reading } from "../live";
import { Chart, Spark } from "../parts/chart";
import { Table } from "../parts/table";
import { Card, Empty, Figure, Head, HealthPill, Pill, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";
import { may } from "../session";

export const page: Page = {
  path: "overview",
  title: "Overview",
  group: "Watch",
  order: 1,
  key: "o",
  icon: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-4H4zM14 8h6V4h-6z",
  needs: ["usage:read"],
  view: Overview,
};

interface Status {
  digest: string;
  config_refused: string[];
  workers: { slot: number; draining: boolean }[];
  store: string;
}

interface Minute {
  minute: number;
  requests: number;
  failures: number;
  tokens_in: number;
  tokens_out: number;
  cost_nano: number;
  streams: number;
  ttft_us: number;
}

const HOUR_S = 3600;

function Overview() {
  const isWhole = may("status:read", true);
  const sees = may("metrics:read", true);
  useEffect(() => (sees ? followMetrics() : undefined), [sees]);
  const status = useLoad(() => (isWhole ? get<Status>("status") : Promise.resolve(undefined)), [isWhole], 5000);
  return (
    <>
      <Head title="Overview" note={status.data && <Fitness status={status.data} />} />
      <Trouble text={status.error} />
      {status.data && status.data.config_refused.length > 0 && (
        <Trouble text={`The configuration on disk was rejected, and the one before stays in force:\n${status.data.config_refused.join("\n")}`} />
      )}
      {sees && <Now />}
      <LastHour />
      {isWhole && <Providers />}
    </>
  );
}

function Fitness({ status }: { status: Status }) {
  const isWell = status.store === "ok" && status.workers.length > 0 && status.config_refused.length === 0;
  return (
    <span role="status">
      <Pill tone={isWell ? "good" : "bad"}>{isWell ? "running" : "needs attention"}</Pill> {status.workers.length === 1 ? "1 worker" : `${status.workers.length} workers`},
      configuration {status.digest.slice(0, 12)}
      {status.store !== "ok" && `; the store is unavailable, and spending stays in the journals: ${status.store}`}
    </span>
  );
}

function Now() {
  const all = readings.value;
  const last = all.at(-1);
  const of = (pick: (one: Reading) => number | null) => all.map(pick);
  if (trouble.value) return <Trouble text={trouble.value} />;
  return (
    <div class="figures" aria-label="Now">
      <Figure label="Requests per second" value={last ? short(last.requestsPerS) : "–"} note={last && `${many(last.inProgress)} in progress`}>
        <Spark values={of((one) => one.requestsPerS)} />
      </Figure>
      <Figure label="Failed" value={last ? percent(last.errorShare) : "–"} note={last && `${short(last.errorsPerS)} per second`} tone={last && last.errorShare > 0.05 ? "bad" : undefined}>
        <Spark values={of((one) => one.errorsPerS)} tone="bad" />
      </Figure>
      <Figure label="First token, median" value={last ? seconds(last.ttftP50) : "–"} note={last && `95 %: ${seconds(last.ttftP95)} · 99 %: ${seconds(last.ttftP99)}`}>
        <Spark values={of((one) => one.ttftP95)} tone="violet" />
      </Figure>
      <Figure label="Tokens per second" value={last ? short(last.tokensPerS) : "–"} note="in and out">
        <Spark values={of((one) => one.tokensPerS)} tone="teal" />
      </Figure>
      <Figure label="Spend per second" value={last ? shortDollars(last.usdPerS) : "–"} note={last && `${shortDollars(last.usdPerS * 3600)} per hour`}>
        <Spark values={of((one) => one.usdPerS)} tone="good" />
      </Figure>
    </div>
  );
}

function LastHour() {
  const found = useLoad(
    () => {
      const since = Math.floor(Date.now() / 1000 / 60) * 60 - HOUR_S;
      return get<{ rows: Minute[] }>("usage", { group_by: "minute", since, limit: 100 });
    },
    [],
    15_000,
  );
  const series = useMemo(() => {
    const first = Math.floor(Date.now() / 1000 / 60) * 60 - HOUR_S;
    const byMinute = new Map((found.data?.rows ?? []).map((row) => [row.minute, row]));
    const times = Array.from({ length: 61 }, (_, index) => first + index * 60);
    const of = (pick: (row: Minute) => number | null) => times.map((at) => (byMinute.has(at) ? pick(byMinute.get(at) as Minute) : 0));
    return {
      times,
      good: of((row) => row.requests - Math.min(row.failures, row.requests)),
      failed: of((row) => Math.min(row.failures, row.requests)),
      tokensIn: of((row) => row.tokens_in),
      tokensOut: of((row) => row.tokens_out),
      cost: of((row) => row.cost_nano / 1e9),
      ttft: times.map((at) => {
        const row = byMinute.get(at);
        return row?.streams ? row.ttft_us / row.streams / 1e6 : null;
      }),
    };
  }, [found.data]);
  if (found.error) return <Trouble text={found.error} retry={found.reload} />;
  if (found.data && found.data.rows.length === 0) {
    return (
      <Card title="The last hour">
        <Empty title="No requests yet.">
          {may("config:write", true) ? (
            <>
              Point a client at the gateway, or <a href={link("start")}>begin with a provider key and a first request</a>.
            </>
          ) : (
            "Requests appear here by themselves."
          )}
        </Empty>
      </Card>
    );
  }
  return (
    <div class="columns">
      <Card title="Requests" note="per minute">
        <Chart
          label="Requests per minute in the last hour"
          times={series.times}
          isStacked
          lines={[
            { label: "failed", values: series.failed, color: "bad" },
            { label: "served", values: series.good, color: "accent" },
          ]}
          unit={short}
        />
      </Card>
      <Card title="First token" note="mean per minute">
        <Chart label="Mean time to the first token in the last hour" times={series.times} lines={[{ label: "mean", values: series.ttft, color: "violet", isFilled: true }]} unit={seconds} />
      </Card>
      <Card title="Tokens" note="per minute">
        <Chart
          label="Tokens per minute in the last hour"
          times={series.times}
          isStacked
          lines={[
            { label: "out", values: series.tokensOut, color: "teal" },
            { label: "in", values: series.tokensIn, color: "accent" },
          ]}
          unit={short}
        />
      </Card>
      <Card title="Spend" note={`per minute; ${dollars((found.data?.rows ?? []).reduce((total, row) => total + row.cost_nano, 0))} in the hour`}>
        <Chart label="Spend per minute in the last hour" times={series.times} lines={[{ label: "spend", values: series.cost, color: "good", isFilled: true }]} unit={shortDollars} />
      </Card>
    </div>
  );
}

interface Row {
  provider: string;
  model: string;
  state: TargetState | undefined;
  rate: Reading["targets"][number] | undefined;
  out: boolean;
}

interface Transition {
  at: number;
  text: string;
  state: string;
}

function Providers() {
  const health = useLoad(() => get<Health>("health"), [], 3000);
  const transitions = useTransitions(health.data);
  const rates = readings.value.at(-1)?.targets ?? [];
  const rows = rowsOf(health.data, rates);
  const keys = (health.data?.states ?? []).filter((one) => one.key);
  return (
    <>
      <Card title="Providers" note="targets with traffic or a fault since the workers started">
        <Trouble text={health.error} retry={health.reload} />
        {health.data && health.data.suspecting_workers > 0 && (
          <Trouble text="Most providers failed together, so workers suspect the network of this gateway. Check its connection." />
        )}
        {rows.length === 0 ? (
          <Empty title="No provider has been used since the workers started." />
        ) : (
          <Table
            label="Providers"
            rows={rows}
            id={(row) => `${row.provider}/${row.model}`}
            columns={[
              { title: "Target", cell: (row) => <span class="nowrap">{row.provider}/{row.model}</span> },
              { title: "State", cell: (row) => <><HealthPill state={row.state?.state ?? "healthy"} />{row.out && <Pill tone="warm">on hold</Pill>}</> },
              { title: "Per second", isNumber: true, cell: (row) => (row.rate ? short(row.rate.perS) : "–") },
              { title: "Failed", isNumber: true, cell: (row) => (row.rate?.perS ? percent(row.rate.failed) : "–") },
              { title: "First token", isNumber: true, isMinor: true, cell: (row) => seconds(row.rate?.ttftP50) },
              { title: "95 %", isNumber: true, isMinor: true, cell: (row) => seconds(row.rate?.ttftP95) },
              { title: "Tokens/s", isNumber: true, isMinor: true, cell: (row) => (row.rate ? short(row.rate.tokensPerS) : "–") },
              { title: "Spend/h", isNumber: true, isMinor: true, cell: (row) => (row.rate ? shortDollars(row.rate.usdPerH) : "–") },
              { title: "Last change", cell: (row) => (row.state ? <><span class="nowrap">{ago(row.state.since)}</span> <small>{row.state.reason}</small></> : "–") },
            ]}
          />
        )}
      </Card>
      {keys.length > 0 && (
        <Card title="Provider keys with a fault">
          <Table
            label="Provider keys with a fault"
            rows={keys}
            id={(row) => `${row.provider}:${row.key}:${row.model}`}
            columns={[
              { title: "Key", cell: (row) => `${row.provider}:${row.key}` },
              { title: "Model", cell: (row) => (row.model === "*" ? "all" : row.model) },
              { title: "State", cell: (row) => <HealthPill state={row.state} /> },
              { title: "Since", cell: (row) => ago(row.since) },
              { title: "Reason", class: "wide-cell", cell: (row) => row.reason },
            ]}
          />
        </Card>
      )}
      <Card title="Changes of state" note="seen while this page was open, the newest first">
        {transitions.length === 0 ? (
          <Empty title="No change yet." />
        ) : (
          <Table
            label="Changes of state"
            height
            rows={transitions}
            id={(row) => `${row.at}${row.text}`}
            columns={[
              { title: "Time", class: "nowrap", cell: (row) => clock(row.at) },
              { title: "Change", class: "wide-cell", cell: (row) => row.text },
              { title: "State", cell: (row) => (row.state ? <HealthPill state={row.state} /> : "") },
            ]}
          />
        )}
      </Card>
    </>
  );
}

function rowsOf(health: Health | undefined, rates: Reading["targets"]): Row[] {
  const rows = new Map<string, Row>();
  const held = new Set((health?.holds ?? []).filter((one) => one.effect === "out").map((one) => one.name));
  const of = (provider: string, model: string): Row => {
    const name = `${provider}/${model}`;
    const row = rows.get(name) ?? { provider, model, state: undefined, rate: undefined, out: held.has(provider) || held.has(name) };
    rows.set(name, row);
    return row;
  };
  for (const one of health?.states ?? []) if (!one.key && !of(one.provider, one.model).state) of(one.provider, one.model).state = one;
  for (const one of rates) of(one.provider, one.model).rate = one;
  return [...rows.values()].sort((a, b) => (b.rate?.perS ?? 0) - (a.rate?.perS ?? 0) || a.provider.localeCompare(b.provider));
}

/** Remembers the changes between two answers, and adds the events that the gateway streams. */
function useTransitions(health: Health | undefined): Transition[] {
  const known = useRef(new Map<string, number>());
  const [seen, setSeen] = useState<Transition[]>([]);
  useEffect(() => {
    if (!health) return;
    const found: Transition[] = [];
    for (const one of health.states) {
      const name = `${one.provider}${one.key ? `:${one.key}` : ""}${one.model === "*" ? "" : `/${one.model}`}`;
      if (known.current.get(name) !== one.since) found.push({ at: one.since, text: `${name}: ${one.reason}`, state: one.state });
      known.current.set(name, one.since);
    }
    if (found.length) setSeen((before) => [...found, ...before].slice(0, 100));
  }, [health]);
  const told = events.value.map((one) => ({ at: one.at, text: eventText(one.kind, one.data), state: "" }));
  const byText = new Map([...seen, ...told].map((one) => [`${one.at} ${one.text}`, one]));
  return [...byText.values()].sort((a, b) => b.at - a.at).slice(0, 100);
}

function eventText(kind: string, data: Record<string, unknown>): string {
  const name = typeof data["name"] === "string" ? ` ${data["name"]}` : "";
  const texts: Record<string, string> = {
    configuration: "a new configuration came into force",
    configuration_rejected: "the configuration on disk was rejected",
    resources: "resources were changed by API",
    hold: `an operator placed an order about${name}`,
    release: `an operator released${name}`,
    reset: "earlier events may be missing",
  };
  return texts[kind] ?? kind;
}
