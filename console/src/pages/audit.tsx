// The audit log: each call with its caller, its object, the difference it made, and its outcome.

import { useState } from "preact/hooks";

import { get, query, send } from "../api";
import { moment } from "../format";
import { useKeyset } from "../hooks";
import { Filters, chosen, type Filter } from "../parts/filters";
import { List } from "../parts/table";
import { Card, Confirm, Dialog, Empty, Facts, Head, Json, Pill, toast } from "../parts/ui";
import type { Page } from "../registry";
import { setParams } from "../router";
import { may } from "../session";
import { Download } from "./requests";

export const page: Page = {
  path: "audit",
  title: "Audit log",
  group: "Access",
  order: 50,
  icon: "M6 3h9l4 4v14H6zM14 3v5h5M9 13h6M9 17h6",
  needs: ["audit:read"],
  view: AuditLog,
};

interface AuditChange {
  kind: string;
  name: string;
  field: string;
  before?: unknown;
  after?: unknown;
}

interface AuditRow {
  number: number;
  at: number;
  actor: string;
  address: string;
  request_id: string;
  action: string;
  kind: string;
  name: string;
  team: string;
  customer: string;
  outcome: string;
  note: string;
  changes: AuditChange[];
  configuration: string;
  hash: string;
}

const PAGE = 50;
const FILTERS: readonly Filter[] = [
  { name: "actor", label: "Actor", isMain: true },
  { name: "action", label: "Action", isMain: true },
  { name: "kind", label: "Kind", isMain: true },
  { name: "name", label: "Name", isMain: true },
  { name: "outcome", label: "Outcome" },
  { name: "team", label: "Team" },
  { name: "customer", label: "Customer" },
  { name: "address", label: "Address" },
  { name: "request_id", label: "Id of the call" },
];

function AuditLog() {
  const filters = chosen(FILTERS);
  const key = JSON.stringify(filters);
  const [opened, open] = useState<AuditRow | null>(null);
  const [isAccepting, accept] = useState(false);
  const list = useKeyset<AuditRow>(
    async (before) => {
      const found = await get<{ rows: AuditRow[]; next?: number }>("audit", { limit: PAGE, ...filters, before });
      return { rows: found.rows, next: found.next === undefined ? null : String(found.next) };
    },
    [key],
  );
  return (
    <>
      <Head title="Audit log" note="Each call that changes something, and each login. No record can be changed without a trace.">
        {may("audit:write", true) && (
          <button type="button" onClick={() => accept(true)}>
            Accept after a fault
          </button>
        )}
        <Download address={`/api/v1/audit/export${query(filters)}`} name="audit.jsonl">
          Export JSONL
        </Download>
      </Head>
      <Card>
        <Filters filters={FILTERS} />
        <List
          label="Audit log"
          list={list}
          id={(row) => String(row.number)}
          empty={<Empty title="No records.">{key === "{}" ? "The next change is the first one." : "No record has these properties. Clear a filter."}</Empty>}
          columns={[
            { title: "Time", class: "nowrap", cell: (row) => moment(row.at) },
            {
              title: "Action",
              cell: (row) => (
                <button type="button" class="plain" onClick={() => open(row)}>
                  {row.action}
                </button>
              ),
            },
            { title: "Object", cell: (row) => [row.kind, row.name].filter(Boolean).join(" ") },
            { title: "Outcome", cell: (row) => <Pill tone={row.outcome === "done" ? "good" : "warm"}>{row.outcome}</Pill> },
            { title: "Actor", cell: (row) => row.actor },
            { title: "Address", isMinor: true, cell: (row) => row.address || "–" },
            { title: "Note", isMinor: true, cell: (row) => row.note },
          ]}
        />
      </Card>
      {opened && <Record row={opened} close={() => open(null)} />}
      {isAccepting && (
        <Confirm
          title="Accept the log as it is?"
          verb="Accept"
          close={() => accept(false)}
          run={async () => {
            const { fault } = (await send<{ fault: string }>("POST", "audit/accept", {})).data;
            toast(fault ? `Accepted in spite of: ${fault}` : "There was no fault.");
            accept(false);
            list.reload();
          }}
        >
          Do this only after you examined a fault, or restored a backup. `pointsman audit verify` names the fault. The log keeps a
          record of this.
        </Confirm>
      )}
    </>
  );
}

function Record({ row, close }: { row: AuditRow; close: () => void }) {
  const narrow = (name: string, value: string) => () => {
    setParams({ [name]: value });
    close();
  };
  return (
    <Dialog title={`Record ${row.number}`} close={close} wide>
      <Facts
        facts={[
          ["Action", row.action],
          ["Object", [row.kind, row.name].filter(Boolean).join(" ") || "–"],
          ["Outcome", row.outcome],
          ["Time", moment(row.at)],
          ["Actor", row.actor],
          ["Address", row.address || "–"],
          ["Team", row.team || "–"],
          ["Customer", row.customer || "–"],
          ["Id of the call", row.request_id || "–"],
          ["Note", row.note || "–"],
        ]}
      />
      {row.changes.length > 0 && <Json value={row.changes} />}
      <p class="soft">
        Hash <code>{row.hash.slice(0, 16)}</code>
      </p>
      <footer>
        <button type="button" onClick={narrow("actor", row.actor)}>
          All by this actor
        </button>
        {row.name && (
          <button type="button" onClick={narrow("name", row.name)}>
            All about this object
          </button>
        )}
        <button type="button" class="main" onClick={close}>
          Close
        </button>
      </footer>
    </Dialog>
  );
}
