// Budgets and rate limits in their present windows: how much is used, and whether it will last.

import { get } from "../api";
import { amount, percent, span } from "../format";
import { useLoad } from "../hooks";
import { Filters, chosen, type Filter } from "../parts/filters";
import { Table } from "../parts/table";
import { Bar, Card, Empty, Head, Pill, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";

export const page: Page = {
  path: "limits",
  title: "Budgets and limits",
  group: "Spend",
  order: 11,
  key: "b",
  icon: "M12 3v9l6 4M12 3a9 9 0 1 0 9 9",
  needs: ["budgets:read"],
  view: Limits,
};

export interface Limit {
  owner: string;
  metric: string;
  period: string;
  window_start: number;
  window_end: number | null;
  limit: number | null;
  soft: boolean;
  posted: number;
  lent: number;
}

const FILTERS: readonly Filter[] = [
  { name: "owner", label: "Owner, such as team:research", isMain: true },
  { name: "metric", label: "Limit of", isMain: true, choices: [["", "all"], ["usd", "money"], ["tokens", "tokens"], ["requests", "requests"]] },
];

function Limits() {
  const { owner = "", metric = "" } = chosen(FILTERS);
  const found = useLoad(() => get<Limit[]>("budgets", { limit: 2000 }), [], 4000);
  const rows = (found.data ?? [])
    .filter((one) => one.limit !== null && (!metric || one.metric === metric) && one.owner.includes(owner))
    .sort((a, b) => use(b) - use(a) || a.owner.localeCompare(b.owner));
  return (
    <>
      <Head title="Budgets and limits" note="In their present windows, the most used first. Budgets reserve before they spend, so none is exceeded." />
      <Trouble text={found.error} retry={found.reload} />
      <Card>
        <Filters filters={FILTERS} />
        {found.data && rows.length === 0 ? (
          <Empty title={found.data.length ? "No limit has these properties." : "No limits are configured."}>
            {found.data.length === 0 && <>Give a <a href={link("keys")}>key</a>, a <a href={link("teams")}>team</a> or a <a href={link("customers")}>customer</a> a budget.</>}
          </Empty>
        ) : (
          <LimitTable rows={rows} />
        )}
      </Card>
    </>
  );
}

export function use(one: Limit): number {
  return one.limit ? one.posted / one.limit : 0;
}

export function LimitTable({ rows }: { rows: readonly Limit[] }) {
  const now = Date.now() / 1000;
  return (
    <Table
      label="Limits"
      rows={rows}
      id={(row) => `${row.owner} ${row.metric} ${row.period} ${row.window_start}`}
      columns={[
        { title: "Owner", cell: (row) => <Owner owner={row.owner} /> },
        { title: "Limit", cell: (row) => <>{amount(row.metric, row.limit ?? 0)} <span class="soft nowrap">per {row.period}</span> {row.soft && <Pill>soft</Pill>}</> },
        { title: "Used", class: "bar-cell", cell: (row) => <><Bar share={use(row)} label={`Used of the limit of ${row.owner}`} /><small>{percent(use(row))}</small></> },
        { title: "Spent", isNumber: true, cell: (row) => amount(row.metric, row.posted) },
        { title: "Left", isNumber: true, isMinor: true, cell: (row) => amount(row.metric, Math.max(0, (row.limit ?? 0) - row.posted)) },
        { title: "Pace", cell: (row) => <Pace row={row} now={now} /> },
        { title: "Renewed in", isMinor: true, class: "nowrap", cell: (row) => (row.window_end ? span(Math.max(0, row.window_end - now)) : "never") },
      ]}
    />
  );
}

function Owner({ owner }: { owner: string }) {
  const [level = "", ...rest] = owner.split(":");
  const name = rest.join(":");
  const paths: Record<string, string> = { virtual_key: "keys", team: "teams", customer: "customers", provider: "providers" };
  const path = paths[level];
  return (
    <>
      <small class="block">{level.replace("_", " ")}</small>
      {path && name ? <a href={link(path, name)}>{name}</a> : name || owner}
    </>
  );
}

/** Says when the limit is used up, if spending goes on as in the window so far. */
function Pace({ row, now }: { row: Limit; now: number }) {
  const passed = now - row.window_start;
  const share = use(row);
  if (share >= 1) return <Pill tone="bad">used up</Pill>;
  if (!row.window_end || passed < 30 || share === 0) return <span class="soft">–</span>;
  const ends = row.window_start + passed / share;
  if (ends >= row.window_end) return <Pill tone="good">lasts</Pill>;
  return <Pill tone="warm">used up in {span(ends - now)}</Pill>;
}
