// The explorer of requests: filters, pages by key, and one request with its attempts, decision, cost and bodies.

import { useEffect, useState } from "preact/hooks";

import { get, query, raw } from "../api";
import { dollars, many, micro, moment } from "../format";
import { useKeyset, useLoad } from "../hooks";
import { DecisionView, type Decision } from "../parts/decision";
import { Filters, chosen, type Filter } from "../parts/filters";
import { List, Table } from "../parts/table";
import { Action, Card, Copy, Empty, Facts, Figure, Head, Json, Pill, StatusPill, Tabs, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link, route } from "../router";
import { may } from "../session";

export const page: Page = {
  path: "requests",
  title: "Requests",
  group: "Watch",
  order: 2,
  key: "r",
  icon: "M4 6h16M4 12h16M4 18h10",
  needs: ["requests:read"],
  view: () => (route.value.rest ? <One id={route.value.rest} /> : <Explorer />),
};

export interface RequestRow {
  request_id: string;
  at: number;
  virtual_key: string | null;
  team: string | null;
  model: string | null;
  provider: string | null;
  status: number;
  code: string | null;
  cost_nano: number;
  estimated_nano: number;
  reserved_nano: number;
  duration_us: number;
  session: string | null;
}

const PAGE = 50;
const SPANS: Record<string, number> = { "15min": 900, "1h": 3600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 };
const FILTERS: readonly Filter[] = [
  { name: "model", label: "Model", isMain: true },
  { name: "key", label: "Key", isMain: true },
  { name: "provider", label: "Provider", isMain: true },
  { name: "span", label: "Time", isMain: true, choices: [["", "all"], ["15min", "15 minutes"], ["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]] },
  { name: "error", label: "Result", isMain: true, choices: [["", "all"], ["true", "failed"]] },
  { name: "team", label: "Team" },
  { name: "customer", label: "Customer" },
  { name: "status", label: "Status", type: "number" },
  { name: "code", label: "Code of the failure" },
  { name: "tag", label: "Tag (name=value)" },
  { name: "session", label: "Session" },
  { name: "min_cost_usd", label: "Cost from, $", type: "number" },
  { name: "max_cost_usd", label: "Cost to, $", type: "number" },
  { name: "min_duration_s", label: "Duration from, s", type: "number" },
  { name: "max_duration_s", label: "Duration to, s", type: "number" },
  { name: "client_request_id", label: "Id of the client" },
];

function filtersNow(): Record<string, string | number> {
  const { span, ...found } = chosen(FILTERS);
  const length = span ? SPANS[span] : undefined;
  return length ? { ...found, since: Math.floor(Date.now() / 1000 - length) } : found;
}

function Explorer() {
  const key = JSON.stringify(chosen(FILTERS));
  const [isLive, setLive] = useState(true);
  const list = useKeyset<RequestRow>(
    async (before) => {
      const rows = await get<RequestRow[]>("requests", { limit: PAGE, ...filtersNow(), before });
      return { rows, next: rows.length === PAGE ? (rows.at(-1)?.request_id ?? null) : null };
    },
    [key],
  );
  const count = list.rows.length;
  useEffect(() => {
    if (!isLive || count > PAGE || list.isLoading) return;
    const timer = setTimeout(() => !document.hidden && list.reload(), 3000);
    return () => clearTimeout(timer);
  }, [isLive, count, list.isLoading, list.rows]);
  const address = (format: string) => `/api/v1/requests/export${query({ ...filtersNow(), format })}`;
  return (
    <>
      <Head title="Requests" note="The newest first. Open one to see why it went where it went.">
        <button type="button" aria-pressed={isLive} onClick={() => setLive(!isLive)}>
          {isLive ? "Pause" : "Follow"}
        </button>
        <Download address={address("csv")} name="requests.csv">Export CSV</Download>
      </Head>
      <Card>
        <Filters filters={FILTERS} />
        <List
          label="Requests"
          list={list}
          id={(row) => row.request_id}
          href={(row) => link("requests", row.request_id)}
          empty={<Empty title="No requests.">{key === "{}" ? "They appear here by themselves." : "No request has these properties. Clear a filter, or choose a longer time."}</Empty>}
          columns={[
            { title: "Time", class: "nowrap", cell: (row) => moment(row.at) },
            { title: "Model", cell: (row) => row.model ?? "–" },
            { title: "Status", cell: (row) => <StatusPill status={row.status} code={row.code} /> },
            { title: "Provider", cell: (row) => row.provider ?? "–" },
            { title: "Key", cell: (row) => row.virtual_key ?? "–" },
            { title: "Team", isMinor: true, cell: (row) => row.team ?? "–" },
            { title: "Duration", isNumber: true, cell: (row) => micro(row.duration_us) },
            { title: "Cost", isNumber: true, cell: (row) => <Cost row={row} /> },
          ]}
        />
      </Card>
    </>
  );
}

export function Cost({ row }: { row: { cost_nano: number; estimated_nano?: number; reserved_nano?: number } }) {
  return (
    <>
      {dollars(row.cost_nano)}
      {row.estimated_nano ? <small>{dollars(row.estimated_nano)} estimated</small> : null}
      {row.reserved_nano ? <small>{dollars(row.reserved_nano)} reserved</small> : null}
    </>
  );
}

/** Downloads an answer that needs the token of this page, so that a plain link does not do. */
export function Download({ address, name, children }: { address: string; name: string; children: string }) {
  return (
    <Action
      run={async () => {
        const url = URL.createObjectURL(await (await raw(address)).blob());
        const made = document.createElement("a");
        made.href = url;
        made.download = name;
        made.click();
        URL.revokeObjectURL(url);
      }}
    >
      {children}
    </Action>
  );
}

interface Attempt {
  attempt_id: string;
  provider: string;
  model: string;
  key: string | null;
  outcome: string;
  start_us: number;
  duration_us: number;
  status: number | null;
  first_byte_us: number | null;
  message: string | null;
  cost_nano: number;
  usage_source: string | null;
  tokens_in: number;
  tokens_out: number;
  held_nano: number;
  hedge: boolean;
  race: boolean;
  continuation: boolean;
}

interface Record_ extends RequestRow {
  [name: string]: unknown;
  method: string;
  path: string;
  message: string | null;
  gateway_us: number;
  ttft_us: number | null;
  token_gap_us: number | null;
  stream: boolean;
  operation: string;
  upstream_model: string | null;
  variant: string | null;
  tokens_in: number | null;
  tokens_out: number | null;
  tokens_cached: number | null;
  tokens_reasoning: number | null;
  client: string;
  client_request_id: string | null;
  customer: string | null;
  agent: string | null;
  dialect: string | null;
  tags: Record<string, string>;
  labels: Record<string, string>;
  flags: string[];
  attempts: Attempt[];
  decision: Decision;
}

function One({ id }: { id: string }) {
  const found = useLoad(() => get<Record_>(`requests/${encodeURIComponent(id)}`), [id]);
  const one = found.data;
  if (found.error) {
    return (
      <>
        <Head title="Request" />
        <Trouble text={found.error} retry={found.reload} />
        <p>
          <a href={link("requests")}>All requests</a>
        </p>
      </>
    );
  }
  if (!one) return <Empty title="Loading…" />;
  const labelled = [...Object.entries(one.tags), ...Object.entries(one.labels)];
  return (
    <>
      <Head
        title={
          <>
            {one.model ?? one.path} <StatusPill status={one.status} code={one.code} />
          </>
        }
        note={
          <>
            <a href={link("requests")}>Requests</a> / <span class="mono">{one.request_id}</span>
          </>
        }
      >
        <Copy text={one.request_id} label="Copy id" />
      </Head>
      {one.message && <Trouble text={one.message} />}
      <div class="figures">
        <Figure label="Duration" value={micro(one.duration_us)} note={`${micro(one.gateway_us)} in the gateway`} />
        <Figure label="First token" value={micro(one.ttft_us)} note={one.token_gap_us ? `${micro(one.token_gap_us)} between tokens` : one.stream ? "stream" : "no stream"} />
        <Figure label="Tokens" value={`${many(one.tokens_in)} → ${many(one.tokens_out)}`} note={one.tokens_cached || one.tokens_reasoning ? `${many(one.tokens_cached)} cached, ${many(one.tokens_reasoning)} for reasoning` : "in → out"} />
        <Figure label="Cost" value={dollars(one.cost_nano)} note={one.reserved_nano ? "a part is reserved" : one.estimated_nano ? "a part is estimated" : "as the provider reported"} />
      </div>
      <Card title="Attempts" note="from the arrival of the request">
        {one.attempts.length === 0 ? <Empty title="Nothing was sent to a provider." /> : <Timeline attempts={one.attempts} total={one.duration_us} />}
      </Card>
      <div class="columns wide">
        <Card title="Decision">
          <div class="body">
            <DecisionView decision={one.decision} tried={one.attempts.length} />
          </div>
        </Card>
        <div class="stack">
          <Card title="Request">
            <div class="body">
              <Facts
                facts={[
                  ["Time", moment(one.at)],
                  ["Path", <code>{`${one.method} ${one.path}`}</code>],
                  ["Operation", one.operation],
                  ["Dialect", one.dialect],
                  ["Key", one.virtual_key && <a href={link("requests", "", { key: one.virtual_key })}>{one.virtual_key}</a>],
                  ["Team", one.team],
                  ["Customer", one.customer],
                  ["Session", one.session && <a href={link("requests", "", { session: one.session })}>{one.session}</a>],
                  ["Agent", one.agent],
                  ["Client", one.client],
                  ["Id of the client", one.client_request_id],
                  ["Served by", one.provider && `${one.provider}/${one.upstream_model ?? ""}`],
                  ["Variant", one.variant],
                  ["Flags", one.flags.join(", ")],
                ]}
              />
              {labelled.length > 0 && (
                <div>
                  {labelled.map(([name, value]) => (
                    <Pill key={name}>
                      {name}={value}
                    </Pill>
                  ))}
                </div>
              )}
            </div>
          </Card>
          {may("bodies:read", true) && <Bodies id={one.request_id} />}
          <Card title="Record">
            <div class="body">
              <details>
                <summary>The whole record as JSON</summary>
                <Json value={one} />
              </details>
            </div>
          </Card>
        </div>
      </div>
    </>
  );
}

function Timeline({ attempts, total }: { attempts: readonly Attempt[]; total: number }) {
  const whole = Math.max(total, ...attempts.map((one) => one.start_us + one.duration_us), 1);
  const share = (us: number) => (us / whole) * 100;
  return (
    <Table
      label="Attempts"
      rows={attempts}
      id={(row) => row.attempt_id}
      columns={[
        {
          title: "Target",
          cell: (row) => (
            <>
              <span class="nowrap">
                {row.provider}/{row.model}
              </span>
              <small class="block">
                {[row.key && `key ${row.key}`, row.hedge && "hedge", row.race && "race", row.continuation && "continuation"].filter(Boolean).join(" · ")}
              </small>
            </>
          ),
        },
        { title: "Outcome", cell: (row) => <Pill tone={row.outcome === "ok" ? "good" : "bad"}>{row.outcome}</Pill> },
        {
          title: "Time",
          class: "lane",
          cell: (row) => (
            <>
              <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" class={row.outcome === "ok" ? "good" : "bad"}>
                <rect x="0" y="4.5" width="100" height="1" class="track" />
                <rect x={share(row.start_us)} y="1" width={Math.max(0.6, share(row.duration_us))} height="8" rx="0.6" class="whole" />
                {row.first_byte_us !== null && <rect x={share(row.start_us)} y="1" width={Math.max(0.4, share(Math.max(0, row.first_byte_us - row.start_us)))} height="8" rx="0.6" class="wait" />}
              </svg>
              <small>
                {micro(row.start_us)} + {micro(row.duration_us)}
                {row.first_byte_us !== null && `, first byte at ${micro(row.first_byte_us)}`}
              </small>
            </>
          ),
        },
        { title: "Status", cell: (row) => row.status ?? "–" },
        { title: "Tokens", isNumber: true, cell: (row) => `${many(row.tokens_in)} → ${many(row.tokens_out)}` },
        {
          title: "Cost",
          isNumber: true,
          cell: (row) => (
            <>
              {dollars(row.cost_nano)}
              {row.held_nano > 0 && <small>{dollars(row.held_nano)} held</small>}
            </>
          ),
        },
        { title: "Message", class: "wide-cell", cell: (row) => row.message ?? "" },
      ]}
    />
  );
}

function Bodies({ id }: { id: string }) {
  const [state, setState] = useState<{ data?: Record<string, unknown>; error?: string }>({});
  const [part, setPart] = useState("");
  async function open(): Promise<void> {
    try {
      const data = await get<Record<string, unknown>>(`requests/${encodeURIComponent(id)}/bodies`);
      setPart(Object.keys(data)[0] ?? "");
      setState({ data });
    } catch (error) {
      setState({ error: error instanceof Error ? error.message : String(error) });
    }
  }
  const names = Object.keys(state.data ?? {});
  return (
    <Card title="Bodies" actions={!state.data && <Action run={open}>Show bodies</Action>}>
      <div class="body">
        {state.error && <p class="soft">{state.error}</p>}
        {!state.data && !state.error && <p class="soft">Bodies are masked, and kept only for the requests that the configuration chooses.</p>}
        {state.data && (
          <>
            <Tabs names={names} chosen={part} choose={setPart} />
            <Json value={pretty(state.data[part])} />
          </>
        )}
      </div>
    </Card>
  );
}

function pretty(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

