// How a model is routed: its candidates with weights, states and results, their shares over time, and the last failover.

import { useEffect, useMemo } from "preact/hooks";

import { get, segment } from "../api";
import { ago, dollars, many, percent, seconds, short } from "../format";
import { useLoad } from "../hooks";
import { followMetrics, readings } from "../live";
import { Chart, type Line } from "../parts/chart";
import type { Resource } from "../parts/resources";
import { Table } from "../parts/table";
import { Card, Empty, Facts, Head, HealthPill, Pill, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link, route } from "../router";
import { may } from "../session";
import { strategyName, targetName } from "./models";

export const page: Page = {
  path: "routing",
  title: "Routing",
  group: "Watch",
  order: 3,
  key: "w",
  icon: "M5 19V5M5 12c7 0 13-2 13-7M18 5l-2.500 2.500M18 5l2.500 2.500M18 19v-4",
  needs: ["usage:read*"],
  view: () => (route.value.rest ? <One name={route.value.rest} key={route.value.rest} /> : <All />),
};

interface Variant {
  model: string;
  variant: string;
  target: string;
  configured_share?: number;
  observed_share?: number;
  requests?: number;
  attempts?: number;
  success_share?: number;
  ttft_p50_s?: number;
  ttft_p95_s?: number;
  mean_cost_nano?: number;
  refusals?: number;
  reasons?: Record<string, number>;
  is_canary?: boolean;
  aborted_at_workers?: number;
  sticky?: string;
}

interface State {
  provider: string;
  model: string;
  key?: string;
  state: string;
  since: number;
  reason: string;
}

const DAY_S = 86_400;

function All() {
  const since = Math.floor(Date.now() / 3_600_000) * 3600 - DAY_S;
  const found = useLoad(() => get<{ rows: Variant[] }>("variants", { since }), [], 10_000);
  const byModel = new Map<string, Variant[]>();
  for (const row of found.data?.rows ?? []) byModel.set(row.model, [...(byModel.get(row.model) ?? []), row]);
  const models = [...byModel].map(([name, rows]) => ({ name, rows, requests: rows.reduce((sum, row) => sum + (row.requests ?? 0), 0) })).sort((a, b) => b.requests - a.requests);
  return (
    <>
      <Head title="Routing" note="Names with several targets, in the last 24 hours. Open one to see its candidates." />
      <Trouble text={found.error} retry={found.reload} />
      <Card>
        {found.data && models.length === 0 ? (
          <Empty title="No name has several targets.">
            <a href={link("models")}>Make a model with two targets</a>, and failover between them begins.
          </Empty>
        ) : (
          <Table
            label="Models"
            rows={models}
            id={(row) => row.name}
            href={(row) => link("routing", row.name)}
            columns={[
              { title: "Model", cell: (row) => row.name },
              { title: "Requests", isNumber: true, cell: (row) => many(row.requests) },
              { title: "Targets", class: "wide-cell", cell: (row) => row.rows.filter((one) => one.observed_share).map((one) => <Pill key={one.target + one.variant}>{one.target} {percent(one.observed_share)}</Pill>) },
              { title: "Took over", isNumber: true, isMinor: true, cell: (row) => many(row.rows.reduce((sum, one) => sum + (one.reasons?.["took_over"] ?? 0), 0)) },
            ]}
          />
        )}
      </Card>
    </>
  );
}

function One({ name }: { name: string }) {
  const since = Math.floor(Date.now() / 3_600_000) * 3600 - DAY_S;
  const seesState = may("status:read", true);
  const found = useLoad(() => get<{ rows: Variant[] }>("variants", { model: name, since }), [name], 5000);
  const health = useLoad(() => (seesState ? get<{ states: State[] }>("health") : Promise.resolve({ states: [] })), [name], 3000);
  const resource = useLoad(() => (may("config:read", true) ? get<Resource>(`models/${segment(name)}`).catch(() => undefined) : Promise.resolve(undefined)), [name]);
  useEffect(() => (may("metrics:read", true) ? followMetrics() : undefined), []);
  const rates = readings.value.at(-1)?.targets ?? [];
  const spec = resource.data?.spec;
  const targets = (spec?.["targets"] as unknown[] | undefined) ?? [];
  const weights = new Map(targets.map((one) => [targetName(one), (one as { weight?: number } | null)?.weight]));
  const rows = found.data?.rows ?? [];
  const stateOf = (target: string) => health.data?.states.find((one) => !one.key && `${one.provider}/${one.model}` === target);
  const rateOf = (target: string) => rates.find((one) => `${one.provider}/${one.model}` === target);
  return (
    <>
      <Head title={name} note={<a href={link("routing")}>Routing</a>}>
        <a class="button" href={link("explain", "", { model: name })}>
          Explain a request
        </a>
        {spec && (
          <a class="button" href={link("models", name)}>
            Settings
          </a>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      {spec && (
        <Card>
          <div class="body">
            <Facts
              facts={[
                ["Strategy", strategyName(spec["strategy"])],
                ["Fallbacks", ((spec["fallbacks"] as string[] | undefined) ?? []).join(", ")],
                ["Sticky by", rows.find((one) => one.sticky)?.sticky],
              ]}
            />
          </div>
        </Card>
      )}
      <Card title="Candidates" note="in the last 24 hours; rates and states are those of now">
        {rows.length === 0 ? (
          <Empty title={found.isLoading ? "Loading…" : "This name has one target, or no requests in 24 hours."} />
        ) : (
          <Table
            label="Candidates"
            rows={rows}
            id={(row) => row.target + row.variant}
            columns={[
              { title: "Target", cell: (row) => <><span class="nowrap">{row.target}</span> {row.variant && <Pill>{row.variant}</Pill>} {row.is_canary && <Pill tone={row.aborted_at_workers ? "bad" : "accent"}>{row.aborted_at_workers ? "canary aborted" : "canary"}</Pill>}</> },
              { title: "State", cell: (row) => { const state = stateOf(row.target); return <><HealthPill state={state?.state ?? "healthy"} />{state && state.state !== "healthy" && <small class="block">{state.reason}, {ago(state.since)}</small>}</>; } },
              { title: "Weight", isNumber: true, cell: (row) => weights.get(row.target) ?? "–" },
              { title: "Meant", isNumber: true, cell: (row) => percent(row.configured_share) },
              { title: "Share", isNumber: true, cell: (row) => percent(row.observed_share) },
              { title: "Per second", isNumber: true, cell: (row) => { const rate = rateOf(row.target); return rate ? short(rate.perS) : "–"; } },
              { title: "Succeeded", isNumber: true, cell: (row) => percent(row.success_share) },
              { title: "First token", isNumber: true, isMinor: true, cell: (row) => <>{seconds(row.ttft_p50_s)}<small>95 %: {seconds(row.ttft_p95_s)}</small></> },
              { title: "Mean cost", isNumber: true, isMinor: true, cell: (row) => dollars(row.mean_cost_nano) },
              { title: "Why shares differ", class: "wide-cell", cell: (row) => Object.entries(row.reasons ?? {}).map(([reason, count]) => <Pill key={reason} tone="warm">{reason} {many(count)}</Pill>) },
            ]}
          />
        )}
      </Card>
      {may("requests:read") && (
        <>
          <Share name={name} />
          <LastFailover name={name} />
        </>
      )}
    </>
  );
}

interface Answered {
  at: number;
  provider: string | null;
}

const MOST = 1000;
const COLORS = ["accent", "teal", "violet", "good", "warm", "bad"];

function Share({ name }: { name: string }) {
  const first = Math.floor(Date.now() / 60_000) * 60 - 3600;
  const found = useLoad(() => get<Answered[]>("requests", { model: name, since: first, limit: MOST }), [name], 15_000);
  const { times, lines } = useMemo(() => {
    const rows = found.data ?? [];
    const providers = [...new Set(rows.map((row) => row.provider ?? ""))].filter(Boolean).sort();
    const times = Array.from({ length: 61 }, (_, index) => first + index * 60);
    const counts = new Map<string, number>();
    for (const row of rows) {
      const key = `${row.provider}\n${Math.floor(row.at / 60) * 60}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const lines: Line[] = providers.slice(0, COLORS.length).map((provider, place) => ({
      label: provider,
      color: COLORS[place] ?? "soft",
      values: times.map((at) => counts.get(`${provider}\n${at}`) ?? 0),
    }));
    return { times, lines };
  }, [found.data]);
  return (
    <Card title="Requests by provider" note={`per minute in the last hour, by the provider that answered; the latest ${many(MOST)} requests`}>
      <Trouble text={found.error} />
      {lines.length === 0 ? <Empty title="No requests in the last hour." /> : <Chart label="Requests by provider" times={times} lines={lines} isStacked unit={short} />}
    </Card>
  );
}

interface Failed {
  request_id: string;
  at: number;
  virtual_key: string | null;
  attempts: { provider: string; model: string; outcome: string; message: string | null }[];
}

/** The newest request of the model that more than one target was tried for, among its latest ones. */
function LastFailover({ name }: { name: string }) {
  const found = useLoad(async () => {
    const rows = await get<{ request_id: string; duration_us: number }[]>("requests", { model: name, limit: 40 });
    for (const row of rows) {
      const one = await get<Failed>(`requests/${row.request_id}`);
      if (one.attempts.length > 1) return one;
    }
    return null;
  }, [name]);
  const one = found.data;
  return (
    <Card title="Last failover" note="among the latest 40 requests">
      {found.error ? (
        <Trouble text={found.error} />
      ) : !one ? (
        <Empty title={found.isLoading ? "Searching…" : "None of them needed a second attempt."} />
      ) : (
        <div class="body">
          <p>
            <a href={link("requests", one.request_id)}>{ago(one.at)}</a>
            {one.virtual_key && `, key ${one.virtual_key}`}
          </p>
          <ol class="plan">
            {one.attempts.map((attempt, index) => (
              <li key={index}>
                <b>
                  {attempt.provider}/{attempt.model}
                </b>{" "}
                <Pill tone={attempt.outcome === "ok" ? "good" : "bad"}>{attempt.outcome}</Pill>
                <small>{attempt.message}</small>
              </li>
            ))}
          </ol>
        </div>
      )}
    </Card>
  );
}
