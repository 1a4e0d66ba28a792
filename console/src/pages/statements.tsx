// The statement of a month: the spending by customer, team, key, provider and model.

import { get, query } from "../api";
import { dollars, many } from "../format";
import { useLoad } from "../hooks";
import { Filters, chosen, type Filter } from "../parts/filters";
import { Table } from "../parts/table";
import { Card, Empty, Head, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";
import { Cost, Download } from "./requests";

export const page: Page = {
  path: "statements",
  title: "Statements",
  group: "Spend",
  order: 12,
  icon: "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6",
  needs: ["usage:read"],
  view: Statements,
};

interface StatementRow {
  customer: string | null;
  team: string | null;
  key: string | null;
  provider: string | null;
  model: string | null;
  attempts: number;
  tokens_in: number;
  tokens_out: number;
  cost_nano: number;
  estimated_nano: number;
  reserved_nano: number;
}

interface Statement {
  month: string;
  final: boolean;
  rows: StatementRow[];
  total: { cost_nano: number };
}

const MONTHS = 13;

/** The latest months, the present one first, as `2026-11`. They are months in UTC. */
function months(): [string, string][] {
  const now = new Date();
  return Array.from({ length: MONTHS }, (_, back) => {
    const month = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)).toISOString().slice(0, 7);
    return [back === 0 ? "" : month, month];
  });
}

function Statements() {
  const filters: readonly Filter[] = [
    { name: "month", label: "Month (UTC)", isMain: true, choices: months() },
    { name: "customer", label: "Customer", isMain: true },
    { name: "team", label: "Team", isMain: true },
  ];
  const { month = months()[0]?.[1] ?? "", ...owners } = chosen(filters);
  const asked = { month, ...owners };
  const found = useLoad(() => get<Statement>("statements", asked), [JSON.stringify(asked)]);
  const rows = found.data?.rows ?? [];
  return (
    <>
      <Head title="Statements" note="The spending of a month. Its sums are never deleted, and corrections of providers' bills are in them.">
        <Download address={`/api/v1/statements${query({ ...asked, format: "csv" })}`} name={`statement-${month}.csv`}>
          Export CSV
        </Download>
        <Download address={`/api/v1/statements${query({ ...asked, format: "focus" })}`} name={`focus-${month}.csv`}>
          Export FOCUS
        </Download>
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      <Card
        title={dollars(found.data?.total.cost_nano)}
        note={found.data && (found.data.final ? "final" : "not final: the month goes on, or costs are estimated")}
      >
        <Filters filters={filters} />
        {!found.data && !found.error && <Empty title="Loading…" />}
        {found.data && rows.length === 0 && <Empty title="Nothing was spent.">Choose another month, or clear a filter.</Empty>}
        {rows.length > 0 && (
          <Table
            label="Statement"
            rows={rows}
            id={(row) => JSON.stringify([row.customer, row.team, row.key, row.provider, row.model])}
            columns={[
              { title: "Customer", cell: (row) => row.customer || "–" },
              { title: "Team", cell: (row) => row.team || "–" },
              { title: "Key", cell: (row) => (row.key ? <a href={link("requests", "", { key: row.key })}>{row.key}</a> : "–") },
              { title: "Provider", isMinor: true, cell: (row) => row.provider || "–" },
              { title: "Model", cell: (row) => row.model || "–" },
              { title: "Attempts", isNumber: true, isMinor: true, cell: (row) => many(row.attempts) },
              { title: "Tokens", isNumber: true, isMinor: true, cell: (row) => `${many(row.tokens_in)} → ${many(row.tokens_out)}` },
              { title: "Cost", isNumber: true, cell: (row) => <Cost row={row} /> },
            ]}
          />
        )}
      </Card>
    </>
  );
}
