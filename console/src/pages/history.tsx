// The versions of the configuration: each with its author, its difference, and the way back.

import { useState } from "preact/hooks";

import { get, send } from "../api";
import { moment } from "../format";
import { useKeyset, useLoad } from "../hooks";
import { List } from "../parts/table";
import { Action, Card, Dialog, Empty, Head, Json, Trouble } from "../parts/ui";
import { tellOutcome } from "../parts/resources";
import type { Page } from "../registry";
import { go, link, route } from "../router";
import { may } from "../session";

export const page: Page = {
  path: "history",
  title: "History",
  group: "Configure",
  order: 28,
  icon: "M12 7v5l3.500 2M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500",
  needs: ["config:read*"],
  view: () => (route.value.rest ? <Version number={Number(route.value.rest)} /> : <All />),
};

interface Change {
  kind: string;
  name: string;
  before?: unknown;
  after?: unknown;
}

interface Version_ {
  number: number;
  at: number;
  author: string;
  note: string;
  changes: Change[];
}

function All() {
  const list = useKeyset<Version_>(async (before) => {
    const rows = await get<Version_[]>("config/versions", { limit: 50, before });
    return { rows, next: rows.length === 50 ? String(rows.at(-1)?.number) : null };
  }, []);
  return (
    <>
      <Head title="History" note="Each change that was made by API is a version. The configuration file has its own history, in your repository." />
      <Card>
        <List
          label="Versions"
          list={list}
          id={(row) => String(row.number)}
          href={(row) => link("history", String(row.number))}
          empty={<Empty title="Nothing was changed by API yet.">Version 0 is the configuration file alone.</Empty>}
          columns={[
            { title: "Version", cell: (row) => `Version ${row.number}` },
            { title: "Time", class: "nowrap", cell: (row) => moment(row.at) },
            { title: "Author", cell: (row) => row.author },
            { title: "Changes", class: "wide-cell", cell: (row) => row.changes.map((one) => `${one.kind} ${one.name}`).join(", ") },
            { title: "Note", cell: (row) => row.note },
          ]}
        />
      </Card>
    </>
  );
}

function Version({ number }: { number: number }) {
  const found = useLoad(() => get<{ changes: Change[]; text: string | string[] }>("config/diff", { since: number - 1, until: number }), [number]);
  const [back, setBack] = useState<number | null>(null);
  const text = found.data?.text;
  const lines = Array.isArray(text) ? text : (text ?? "").split("\n");
  return (
    <>
      <Head title={`Version ${number}`} note={<a href={link("history")}>History</a>}>
        {may("config:write", true) && (
          <>
            <button type="button" onClick={() => setBack(number - 1)}>
              Go back to before it
            </button>
            <button type="button" class="main" onClick={() => setBack(number)}>
              Go back to it
            </button>
          </>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      <Card title="Difference" note={`from version ${number - 1}`}>
        <pre class="diff" tabIndex={0} aria-label="Difference">
          {lines.map((line, index) => (
            <span key={index} class={line.trimStart().startsWith("+") ? "good" : line.trimStart().startsWith("-") ? "bad" : ""}>
              {line}
              {"\n"}
            </span>
          ))}
        </pre>
      </Card>
      {back !== null && <RollBack number={back} close={() => setBack(null)} />}
    </>
  );
}

interface Outcome {
  changes: unknown[];
  notes: string[];
  waiting_workers: unknown[];
}

function RollBack({ number, close }: { number: number; close: () => void }) {
  const [note, setNote] = useState("");
  const plan = useLoad(async () => (await send<Outcome>("POST", "config/rollback", { version: number }, { params: { dry_run: true } })).data, [number]);
  return (
    <Dialog title={`Go back to version ${number}`} close={close} wide>
      <Trouble text={plan.error} />
      {plan.data && (plan.data.changes.length === 0 ? <p>This is the present state. Nothing changes.</p> : <Json value={plan.data.changes} />)}
      <p class="soft">This is a version of its own, so it can be undone. Keys, users and the configuration file stay as they are.</p>
      <label class="field">
        <span class="label">
          <b>Note</b> (optional)
        </span>
        <input value={note} maxLength={300} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
      <footer>
        <button type="button" onClick={close}>
          Cancel
        </button>
        <Action
          kind="main"
          disabled={!plan.data || plan.data.changes.length === 0}
          run={async () => {
            tellOutcome((await send<Outcome>("POST", "config/rollback", { version: number, note })).data, `Version ${number} is in force again.`);
            go("history");
          }}
        >
          Go back
        </Action>
      </footer>
    </Dialog>
  );
}

