// Orders of operators about providers, targets and keys, and the states that workers see.

import { useEffect, useState } from "preact/hooks";

import { get, send } from "../api";
import { ago, moment } from "../format";
import type { Health } from "../health";
import { useLoad } from "../hooks";
import { Table } from "../parts/table";
import { Action, Card, Dialog, Empty, Head, HealthPill, Pill, toast, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { route, setParams } from "../router";
import { may } from "../session";

export const page: Page = {
  path: "health",
  title: "Health and holds",
  group: "Operate",
  order: 30,
  key: "h",
  icon: "M3 12h4l2.500-7 5 14L17 12h4",
  needs: ["status:read*"],
  view: HealthPage,
};

function HealthPage() {
  const found = useLoad(() => get<Health>("health"), [], 3000);
  const wanted = route.value.params.get("hold");
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(wanted !== null), [wanted]);
  const mayWrite = may("health:write", true);
  const holds = found.data?.holds ?? [];
  const states = found.data?.states ?? [];
  return (
    <>
      <Head title="Health and holds" note="A hold overrules what the workers see: it takes a provider, a target or a key out of use, or forces it in.">
        {mayWrite && (
          <button type="button" class="main" onClick={() => setOpen(true)}>
            Place a hold
          </button>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      <Card title="Holds">
        {holds.length === 0 ? (
          <Empty title="No holds.">Place one to take a provider out of use during its maintenance.</Empty>
        ) : (
          <Table
            label="Holds"
            rows={holds}
            id={(row) => row.name}
            columns={[
              { title: "About", cell: (row) => row.name },
              { title: "Effect", cell: (row) => <Pill tone={row.effect === "out" ? "warm" : "accent"}>{row.effect === "out" ? "out of use" : "forced in"}</Pill> },
              { title: "Until", class: "nowrap", cell: (row) => (row.until ? moment(row.until) : "released") },
              { title: "Reason", class: "wide-cell", cell: (row) => row.reason },
              {
                title: "Actions",
                cell: (row) =>
                  mayWrite && (
                    <Action
                      run={async () => {
                        await send("DELETE", "health/holds", undefined, { params: { name: row.name } });
                        toast("Released.");
                        found.reload();
                      }}
                    >
                      Release
                    </Action>
                  ),
              },
            ]}
          />
        )}
      </Card>
      <Card title="States" note="of everything that had a fault since the workers started, the worst first">
        {states.length === 0 ? (
          <Empty title="No provider has had a fault since the workers started." />
        ) : (
          <Table
            label="States"
            rows={states}
            id={(row) => `${row.provider}/${row.model}/${row.key ?? ""}/${row.operation ?? ""}`}
            columns={[
              { title: "Provider", cell: (row) => row.provider },
              { title: "Model", cell: (row) => (row.model === "*" ? "all" : row.model) },
              { title: "Key", cell: (row) => row.key || "–" },
              { title: "State", cell: (row) => <HealthPill state={row.state} /> },
              { title: "Since", class: "nowrap", cell: (row) => ago(row.since) },
              { title: "Reason", class: "wide-cell", cell: (row) => row.reason },
              { title: "Workers", isMinor: true, cell: (row) => Object.entries(row.workers).map(([state, count]) => `${count} ${state}`).join(", ") },
            ]}
          />
        )}
      </Card>
      {isOpen && (
        <Place
          name={wanted ?? ""}
          close={() => {
            setParams({ hold: null });
            setOpen(false);
            found.reload();
          }}
        />
      )}
    </>
  );
}

function Place({ name: first, close }: { name: string; close: () => void }) {
  const [name, setName] = useState(first);
  const [effect, setEffect] = useState("out");
  const [minutes, setMinutes] = useState("60");
  const [reason, setReason] = useState("");
  return (
    <Dialog title="Place a hold" close={close}>
      <div class="form">
        <label class="field">
          <span class="label">
            <b>About</b>
          </span>
          <input value={name} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" />
          <span class="hint">A provider, a target (provider/model), a key (provider:key), or an owner, such as team=research, whose requests pause.</span>
        </label>
        <div class="row">
          <label class="field">
            <span class="label">
              <b>Effect</b>
            </span>
            <select value={effect} onChange={(event) => setEffect(event.currentTarget.value)}>
              <option value="out">take out of use</option>
              <option value="in">force in</option>
            </select>
          </label>
          <label class="field">
            <span class="label">
              <b>Minutes</b> (empty: until it is released)
            </span>
            <input inputMode="decimal" value={minutes} onInput={(event) => setMinutes(event.currentTarget.value)} />
          </label>
        </div>
        <label class="field">
          <span class="label">
            <b>Reason</b>
          </span>
          <input value={reason} maxLength={300} onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
      </div>
      <footer>
        <button type="button" onClick={close}>
          Cancel
        </button>
        <Action
          kind="main"
          run={async () => {
            const length = minutes.trim() ? { for_s: Number(minutes) * 60 } : {};
            await send("POST", "health/holds", { name: name.trim(), effect, reason, ...length });
            toast("The hold is in force.");
            close();
          }}
        >
          Place the hold
        </Action>
      </footer>
    </Dialog>
  );
}
