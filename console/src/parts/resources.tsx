// The pages of one kind of resources: a list, one resource with its form, and a new one.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { ApiError, get, messageOf, read, segment, send, type FieldError } from "../api";
import { moment } from "../format";
import { useKeyset, useLoad } from "../hooks";
import { go, link, route } from "../router";
import { schemas } from "../schema";
import { may } from "../session";
import { Filters } from "./filters";
import { Faults, JsonEditor, SchemaForm } from "./form";
import { List, type Column } from "./table";
import { Action, Card, Confirm, Empty, Facts, Head, Json, Pill, Tabs, toast, Trouble } from "./ui";

export interface Resource {
  kind: string;
  name: string;
  owner: "file" | "api";
  spec: Record<string, unknown>;
  line: number | null;
  version: number | null;
  created_at: number | null;
  updated_at: number | null;
  author: string | null;
}

interface Page {
  items: Resource[];
  next: string | null;
}

export interface ResourceKind {
  plural: string;
  singular: string;
  title: string;
  note: string;
  schema: string;
  /** The fields that the form always shows. */
  main: readonly string[];
  without?: readonly string[];
  writes: string;
  columns: readonly Column<Resource>[];
  /** What to say while there are none. */
  empty: ComponentChildren;
  start?: Record<string, unknown>;
  /** The name that follows from the content, for kinds whose name is not free. */
  nameOf?: (spec: Record<string, unknown>) => string;
  nameHint?: string;
  above?: (resource: Resource) => ComponentChildren;
  before?: ComponentChildren;
}

export function Resources({ kind }: { kind: ResourceKind }) {
  const { rest, params } = route.value;
  if (params.has("new")) return <New kind={kind} />;
  return rest ? <One kind={kind} name={rest} key={rest} /> : <All kind={kind} />;
}

export function Owner({ row }: { row: Resource }) {
  return row.owner === "file" ? <Pill>file</Pill> : <Pill tone="accent">made here</Pill>;
}

function All({ kind }: { kind: ResourceKind }) {
  const search = route.value.params.get("search") ?? "";
  const list = useKeyset<Resource>(
    async (after) => {
      const page = await get<Page>(kind.plural, { limit: 100, search, after });
      return { rows: page.items, next: page.next };
    },
    [kind.plural, search],
  );
  const mayWrite = may(kind.writes, true);
  return (
    <>
      <Head title={kind.title} note={kind.note}>
        {mayWrite && (
          <a class="button main" href={link(kind.plural, "", { new: 1 })}>
            New {kind.singular}
          </a>
        )}
      </Head>
      {kind.before}
      <Card>
        <Filters filters={[{ name: "search", label: "Name", isMain: true }]} />
        <List
          label={kind.title}
          list={list}
          id={(row) => row.name}
          href={(row) => link(kind.plural, row.name)}
          empty={<Empty title={search ? `Nothing has “${search}” in its name.` : `There are no ${kind.title.toLowerCase()} yet.`}>{search ? null : kind.empty}</Empty>}
          columns={[
            { title: "Name", cell: (row) => row.name },
            ...kind.columns,
            { title: "Owner", isMinor: true, cell: (row) => <Owner row={row} /> },
            { title: "Changed", isMinor: true, class: "nowrap", cell: (row) => (row.updated_at ? moment(row.updated_at) : "–") },
          ]}
        />
      </Card>
    </>
  );
}

interface Outcome {
  resource?: Resource;
  changes: unknown[];
  notes: string[];
  waiting_workers: unknown[];
}

interface EditorProps {
  kind: ResourceKind;
  first: Record<string, unknown>;
  verb: string;
  save: (spec: Record<string, unknown>, note: string, dryRun: boolean) => Promise<Outcome>;
  done: (outcome: Outcome) => void;
}

function Editing({ kind, first, verb, save, done }: EditorProps) {
  const all = useLoad(schemas, []);
  const [spec, setSpec] = useState(first);
  const [view, setView] = useState("Form");
  const [note, setNote] = useState("");
  const [problem, setProblem] = useState<{ message: string; errors: FieldError[] }>({ message: "", errors: [] });
  const [checked, setChecked] = useState<Outcome | null>(null);
  async function run(dryRun: boolean): Promise<void> {
    setProblem({ message: "", errors: [] });
    setChecked(null);
    try {
      const outcome = await save(spec, note, dryRun);
      if (dryRun) setChecked(outcome);
      else done(outcome);
    } catch (error) {
      setProblem({ message: messageOf(error), errors: error instanceof ApiError ? error.errors : [] });
    }
  }
  const schema = all.data?.[kind.schema];
  return (
    <div class="form">
      <Tabs names={["Form", "JSON"]} chosen={view} choose={setView} />
      <Trouble text={all.error} retry={all.reload} />
      {view === "Form" && all.isLoading && !all.data ? (
        <Empty title="Loading…" />
      ) : view === "JSON" || !schema || !all.data ? (
        <JsonEditor label="Content" rows={14} value={spec} change={(next) => setSpec((next ?? {}) as Record<string, unknown>)} />
      ) : (
        <SchemaForm all={all.data} schema={schema} main={kind.main} without={kind.without ?? []} value={spec} change={(next) => setSpec((next ?? {}) as Record<string, unknown>)} />
      )}
      <label class="field">
        <span class="label">
          <b>Note</b> for the history (optional)
        </span>
        <input value={note} maxLength={300} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
      <Faults {...problem} />
      {checked && (
        <div class="note-box">
          The change is valid{checked.changes.length === 0 ? ", and changes nothing." : "."}
          {checked.notes.map((one) => (
            <p key={one} class="soft">
              {one}
            </p>
          ))}
          {checked.changes.length > 0 && <Json value={checked.changes} />}
        </div>
      )}
      <div class="buttons">
        <Action kind="main" run={() => run(false)}>
          {verb}
        </Action>
        <Action run={() => run(true)}>Check</Action>
      </div>
    </div>
  );
}

export function tellOutcome(outcome: Outcome, text: string): void {
  const waiting = outcome.waiting_workers?.length ?? 0;
  toast(waiting ? `${text} ${waiting} workers do not have it yet.` : `${text} Every worker has it.`, waiting ? "warm" : "good");
}

function New({ kind }: { kind: ResourceKind }) {
  const [name, setName] = useState("");
  return (
    <>
      <Head title={`New ${kind.singular}`} note={<a href={link(kind.plural)}>{kind.title}</a>} />
      <Card>
        <div class="body">
          {!kind.nameOf && (
            <label class="field">
              <span class="label">
                <b>Name</b>
              </span>
              <input value={name} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" autoFocus />
              {kind.nameHint && <span class="hint">{kind.nameHint}</span>}
            </label>
          )}
          <Editing
            kind={kind}
            first={kind.start ?? {}}
            verb={`Make the ${kind.singular}`}
            save={async (spec, note, dryRun) => {
              const chosen = kind.nameOf ? kind.nameOf(spec) : name.trim();
              const body = { name: chosen, spec: kind.without?.includes("name") ? { ...spec, name: chosen } : spec, note };
              return (await send<Outcome>("POST", kind.plural, body, { params: { dry_run: dryRun } })).data;
            }}
            done={(outcome) => {
              tellOutcome(outcome, `The ${kind.singular} is made.`);
              go(kind.plural, outcome.resource?.name ?? "");
            }}
          />
        </div>
      </Card>
    </>
  );
}

function One({ kind, name }: { kind: ResourceKind; name: string }) {
  const found = useLoad(() => read<Resource>(`${kind.plural}/${segment(name)}`), [kind.plural, name]);
  const [isEditing, setEditing] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const one = found.data?.data;
  const mayWrite = may(kind.writes, true) && one?.owner === "api";
  return (
    <>
      <Head title={name} note={<a href={link(kind.plural)}>{kind.title}</a>}>
        {mayWrite && !isEditing && (
          <>
            <button type="button" class="main" onClick={() => setEditing(true)}>
              Change
            </button>
            <button type="button" class="danger" onClick={() => setDeleting(true)}>
              Delete
            </button>
          </>
        )}
        {isEditing && (
          <button type="button" onClick={() => setEditing(false)}>
            Cancel
          </button>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      {one && kind.above?.(one)}
      {one && (
        <Card title="Settings" note={one.owner === "file" ? "in the configuration file, and changed only there" : undefined}>
          <div class="body">
            {isEditing ? (
              <Editing
                kind={kind}
                first={one.spec}
                verb="Save"
                save={async (spec, note, dryRun) =>
                  (await send<Outcome>("PUT", `${kind.plural}/${segment(name)}`, { spec, note }, { etag: found.data?.etag ?? null, params: { dry_run: dryRun } })).data
                }
                done={(outcome) => {
                  tellOutcome(outcome, "Saved.");
                  setEditing(false);
                  found.reload();
                }}
              />
            ) : (
              <>
                <Facts
                  facts={[
                    ["Owner", <Owner row={one} />],
                    ["Line of the file", one.line],
                    ["Version", one.version],
                    ["Changed", one.updated_at && moment(one.updated_at)],
                    ["Author", one.author],
                  ]}
                />
                <Json value={one.spec} />
              </>
            )}
          </div>
        </Card>
      )}
      {isDeleting && (
        <Confirm
          title={`Delete the ${kind.singular} ${name}?`}
          verb="Delete"
          close={() => setDeleting(false)}
          run={async () => {
            const answer = await send<Outcome>("DELETE", `${kind.plural}/${segment(name)}`, undefined, { etag: found.data?.etag ?? null });
            tellOutcome(answer.data, "Deleted.");
            go(kind.plural);
          }}
        >
          Requests that need it are rejected from then on. The history can bring it back.
        </Confirm>
      )}
    </>
  );
}
