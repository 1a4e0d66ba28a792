// Virtual keys: search, make one with a budget, change, rotate and revoke it.

import { useState } from "preact/hooks";

import { ApiError, get, messageOf, read, segment, send, type FieldError } from "../api";
import { moment } from "../format";
import { useKeyset, useLoad } from "../hooks";
import { Filters, chosen, type Filter } from "../parts/filters";
import { Faults, JsonEditor } from "../parts/form";
import { List, Table } from "../parts/table";
import { Action, Card, Confirm, Dialog, Empty, Facts, Head, Json, Pill, Secret, Tabs, toast, Trouble, type Tone } from "../parts/ui";
import type { Page } from "../registry";
import { go, link, route } from "../router";
import { may } from "../session";
import { LimitTable, type Limit } from "./limits";

export const page: Page = {
  path: "keys",
  title: "Keys",
  group: "Configure",
  order: 20,
  key: "k",
  icon: "M14 10a4 4 0 1 0-3.5 4L12 15.5V18h2.5v2.5H18V17l-4.4-4.4",
  needs: ["keys:read"],
  view: () => (route.value.rest ? <One name={route.value.rest} key={route.value.rest} /> : <All />),
};

type Settings = Record<string, unknown>;

interface Key {
  name: string;
  managed_by: "api" | "file";
  state?: string;
  hint?: string;
  team: string | null;
  customer: string | null;
  parent?: string | null;
  note?: string | null;
  created_at?: number;
  created_by?: string;
  changed_at?: number;
  expires_at: number | null;
  previous_until?: number | null;
  settings?: Settings;
  limits?: string[];
  sha256: string;
}

const TONES: Record<string, Tone> = { active: "good", disabled: "warm", expired: "soft" };
const FILTERS: readonly Filter[] = [
  { name: "q", label: "Name", isMain: true },
  { name: "managed_by", label: "From", isMain: true, choices: [["", "made by API"], ["file", "configuration file"]] },
  { name: "state", label: "State", isMain: true, choices: [["", "all"], ["active", "active"], ["disabled", "disabled"], ["expired", "expired"]] },
  { name: "team", label: "Team" },
  { name: "customer", label: "Customer" },
  { name: "hint", label: "Beginning of the value or its SHA-256" },
];

function All() {
  const filters = chosen(FILTERS);
  const key = JSON.stringify(filters);
  const isNew = route.value.params.has("new");
  const list = useKeyset<Key>(
    async (after) => {
      const page = await get<{ keys: Key[]; next?: string }>("keys", { limit: 100, ...filters, after });
      return { rows: page.keys, next: page.next ?? null };
    },
    [key],
  );
  const isFile = filters["managed_by"] === "file";
  return (
    <>
      <Head title="Keys" note="Clients present a virtual key. Provider keys never leave the gateway.">
        {may("keys:write") && (
          <a class="button main" href={link("keys", "", { new: 1 })}>
            New key
          </a>
        )}
      </Head>
      <Card>
        <Filters filters={FILTERS} />
        <List
          label="Keys"
          list={list}
          id={(row) => row.name}
          href={(row) => link("keys", row.name)}
          empty={
            <Empty title={key === "{}" ? "No key was made yet." : "No key has these properties."}>
              {may("keys:write") && <a href={link("keys", "", { new: 1 })}>Make a key with a budget</a>} {key === "{}" && <>· <a href={link("keys", "", { managed_by: "file" })}>Show the keys of the configuration file</a></>}
            </Empty>
          }
          columns={[
            { title: "Name", cell: (row) => row.name },
            { title: "State", cell: (row) => (row.state ? <Pill tone={TONES[row.state] ?? "soft"}>{row.state}</Pill> : <Pill>file</Pill>) },
            { title: "Team", cell: (row) => row.team ?? "–" },
            { title: "Customer", isMinor: true, cell: (row) => row.customer ?? "–" },
            { title: "Limits", class: "wide-cell", cell: (row) => (isFile ? (row.limits ?? []).map((one) => one.replace(/ of virtual key .*$/, "")).join(", ") : limitsText(row.settings)) || "none" },
            { title: "Hint", isMinor: true, cell: (row) => <code>{row.hint ?? row.sha256.slice(0, 10)}</code> },
            { title: "Expires", isMinor: true, class: "nowrap", cell: (row) => (row.expires_at ? moment(row.expires_at) : "never") },
            { title: "Note", isMinor: true, cell: (row) => row.note ?? "" },
          ]}
        />
      </Card>
      {isNew && <NewKey />}
    </>
  );
}

interface Budget {
  limit_usd?: string | number;
  per?: unknown;
}

interface Rate {
  requests?: number;
  tokens?: number;
  per?: unknown;
}

function perText(per: unknown): string {
  return typeof per === "string" ? per : JSON.stringify(per);
}

function limitsText(settings: Settings | undefined): string {
  const budgets = (settings?.["budgets"] as Budget[] | undefined) ?? [];
  const rates = (settings?.["rate_limits"] as Rate[] | undefined) ?? [];
  return [
    ...budgets.map((one) => `$${one.limit_usd} per ${perText(one.per)}`),
    ...rates.map((one) => (one.requests ? `${one.requests} requests per ${perText(one.per)}` : `${one.tokens} tokens per ${perText(one.per)}`)),
  ].join(", ");
}

const PERIODS = ["minute", "hour", "day", "week", "month", "quarter", "year"];

/** The fields that most keys need. Others are edited as JSON. */
function Fields({ settings, change }: { settings: Settings; change: (next: Settings) => void }) {
  const budget = (settings["budgets"] as Budget[] | undefined)?.[0];
  const rate = (settings["rate_limits"] as Rate[] | undefined)?.[0];
  const [budgetPer, setBudgetPer] = useState(typeof budget?.per === "string" ? budget.per : "month");
  const [ratePer, setRatePer] = useState(typeof rate?.per === "string" ? rate.per : "minute");
  function set(name: string, value: unknown): void {
    const next = { ...settings, [name]: value };
    if (value === undefined || value === "") delete next[name];
    change(next);
  }
  function setBudget(limit: string, per: string): void {
    const rest = ((settings["budgets"] as Budget[] | undefined) ?? []).slice(1);
    const first = limit.trim() ? [{ ...budget, limit_usd: limit.trim(), per }] : [];
    set("budgets", [...first, ...rest].length ? [...first, ...rest] : undefined);
  }
  function setRate(requests: string, per: string): void {
    const rest = ((settings["rate_limits"] as Rate[] | undefined) ?? []).slice(1);
    const count = Number(requests);
    const first = requests.trim() && Number.isFinite(count) ? [{ requests: count, per }] : [];
    set("rate_limits", [...first, ...rest].length ? [...first, ...rest] : undefined);
  }
  return (
    <div class="form">
      <div class="row">
        <label class="field">
          <span class="label"><b>Team</b> (optional)</span>
          <input value={String(settings["team"] ?? "")} onInput={(event) => set("team", event.currentTarget.value.trim())} autocomplete="off" />
        </label>
        <label class="field">
          <span class="label"><b>Customer</b> (optional)</span>
          <input value={String(settings["customer"] ?? "")} onInput={(event) => set("customer", event.currentTarget.value.trim())} autocomplete="off" />
        </label>
      </div>
      <div class="row">
        <label class="field">
          <span class="label"><b>Budget</b>, in dollars (optional)</span>
          <input inputMode="decimal" value={String(budget?.limit_usd ?? "")} onInput={(event) => setBudget(event.currentTarget.value, budgetPer)} />
        </label>
        <label class="field">
          <span class="label">per</span>
          <select value={budgetPer} onChange={(event) => { setBudgetPer(event.currentTarget.value); setBudget(String(budget?.limit_usd ?? ""), event.currentTarget.value); }}>
            {PERIODS.map((one) => <option key={one}>{one}</option>)}
          </select>
        </label>
      </div>
      <div class="row">
        <label class="field">
          <span class="label"><b>Requests</b>, at most (optional)</span>
          <input inputMode="numeric" value={String(rate?.requests ?? "")} onInput={(event) => setRate(event.currentTarget.value, ratePer)} />
        </label>
        <label class="field">
          <span class="label">per</span>
          <select value={ratePer} onChange={(event) => { setRatePer(event.currentTarget.value); setRate(String(rate?.requests ?? ""), event.currentTarget.value); }}>
            {PERIODS.map((one) => <option key={one}>{one}</option>)}
          </select>
        </label>
      </div>
    </div>
  );
}

interface Made extends Key {
  key?: string;
  waiting_workers?: unknown[];
}

function NewKey() {
  const [name, setName] = useState("");
  const [settings, setSettings] = useState<Settings>({});
  const [note, setNote] = useState("");
  const [days, setDays] = useState("");
  const [view, setView] = useState("Form");
  const [problem, setProblem] = useState<{ message: string; errors: FieldError[] }>({ message: "", errors: [] });
  const [made, setMade] = useState<Made | null>(null);
  const close = () => go("keys");
  async function make(): Promise<void> {
    setProblem({ message: "", errors: [] });
    try {
      const lifetime = days.trim() ? { for_s: Number(days) * 86_400 } : {};
      setMade((await send<Made>("POST", "keys", { name: name.trim(), settings, note, ...lifetime })).data);
    } catch (error) {
      setProblem({ message: messageOf(error), errors: error instanceof ApiError ? error.errors : [] });
    }
  }
  if (made) {
    return (
      <Dialog title={`The key ${made.name} is made`} close={() => go("keys", made.name)}>
        <p>Copy it now. Nobody can see it again.</p>
        <Secret label="Key" value={made.key ?? ""} />
        <footer>
          <button type="button" class="main" onClick={() => go("keys", made.name)}>
            Done
          </button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title="New key" close={close}>
      <div class="form">
        <label class="field">
          <span class="label"><b>Name</b></span>
          <input value={name} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" autoFocus />
        </label>
        <Tabs names={["Form", "JSON"]} chosen={view} choose={setView} />
        {view === "Form" ? <Fields settings={settings} change={setSettings} /> : <JsonEditor label="Settings" rows={10} value={settings} change={(next) => setSettings((next ?? {}) as Settings)} />}
        <div class="row">
          <label class="field">
            <span class="label"><b>Valid</b> for days (optional)</span>
            <input inputMode="decimal" value={days} onInput={(event) => setDays(event.currentTarget.value)} />
          </label>
          <label class="field">
            <span class="label"><b>Note</b> (optional)</span>
            <input value={note} onInput={(event) => setNote(event.currentTarget.value)} />
          </label>
        </div>
        <Faults {...problem} />
      </div>
      <footer>
        <button type="button" onClick={close}>
          Cancel
        </button>
        <Action kind="main" run={make}>
          Make the key
        </Action>
      </footer>
    </Dialog>
  );
}

function One({ name }: { name: string }) {
  const found = useLoad(() => read<Key>(`keys/${segment(name)}`), [name]);
  const limits = useLoad(() => (may("budgets:read") ? get<Limit[]>("budgets", { owner: `virtual_key:${name}` }) : Promise.resolve([])), [name], 5000);
  const [dialog, setDialog] = useState<"change" | "rotate" | "revoke" | "">("");
  const one = found.data?.data;
  const etag = found.data?.etag ?? null;
  const mayWrite = may("keys:write") && one?.managed_by === "api";
  const path = `keys/${segment(name)}`;
  async function setEnabled(isEnabled: boolean): Promise<void> {
    await send("PATCH", path, { is_enabled: isEnabled }, { etag });
    toast(isEnabled ? "The key works again." : "The key is disabled: no worker serves it any more.");
    found.reload();
  }
  return (
    <>
      <Head title={name} note={<a href={link("keys")}>Keys</a>}>
        {one && mayWrite && (
          <>
            <button type="button" class="main" onClick={() => setDialog("change")}>Change</button>
            <button type="button" onClick={() => setDialog("rotate")}>Rotate</button>
            <Action run={() => setEnabled(one.state === "disabled")}>{one.state === "disabled" ? "Enable" : "Disable"}</Action>
            <button type="button" class="danger" onClick={() => setDialog("revoke")}>Revoke</button>
          </>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      {one && (
        <>
          <Card title="Key" note={one.managed_by === "file" ? "of the configuration file, and changed only there" : undefined}>
            <div class="body">
              <Facts
                facts={[
                  ["State", one.state && <Pill tone={TONES[one.state] ?? "soft"}>{one.state}</Pill>],
                  ["Team", one.team && <a href={link("teams", one.team)}>{one.team}</a>],
                  ["Customer", one.customer && <a href={link("customers", one.customer)}>{one.customer}</a>],
                  ["Parent", one.parent && <a href={link("keys", one.parent)}>{one.parent}</a>],
                  ["Begins with", one.hint && <code>{one.hint}</code>],
                  ["Expires", one.expires_at ? moment(one.expires_at) : "never"],
                  ["Old value", one.previous_until && `valid until ${moment(one.previous_until)}`],
                  ["Made", one.created_at && `${moment(one.created_at)} by ${one.created_by}`],
                  ["Changed", one.changed_at && moment(one.changed_at)],
                  ["Note", one.note],
                  ["Requests", <a href={link("requests", "", { key: name })}>of this key</a>],
                  ["Spend", <a href={link("usage", "", { key: name, by: "model" })}>by model</a>],
                ]}
              />
              {one.settings && Object.keys(one.settings).length > 0 && <Json value={one.settings} />}
            </div>
          </Card>
          {(limits.data ?? []).length > 0 && (
            <Card title="Limits">
              <LimitTable rows={(limits.data ?? []).filter((row) => row.limit !== null)} />
            </Card>
          )}
          {may("requests:read") && <Last name={name} />}
        </>
      )}
      {one && dialog === "change" && <Change one={one} etag={etag} close={() => setDialog("")} done={found.reload} />}
      {dialog === "rotate" && <Rotate path={path} etag={etag} close={() => { setDialog(""); found.reload(); }} />}
      {dialog === "revoke" && (
        <Confirm
          title={`Revoke the key ${name}?`}
          verb="Revoke"
          close={() => setDialog("")}
          run={async () => {
            const answer = await send<Made>("DELETE", path, undefined, { etag });
            const waiting = answer.data.waiting_workers?.length ?? 0;
            toast(waiting ? `Revoked. ${waiting} workers may still serve it for a moment.` : "Revoked. No worker serves it any more.", waiting ? "warm" : "good");
            go("keys");
          }}
        >
          <p>Requests with it, and with its children, are rejected at once. This cannot be undone.</p>
        </Confirm>
      )}
    </>
  );
}

function Change({ one, etag, close, done }: { one: Key; etag: string | null; close: () => void; done: () => void }) {
  const first = one.settings ?? {};
  const [settings, setSettings] = useState<Settings>(first);
  const [note, setNote] = useState(one.note ?? "");
  const [view, setView] = useState("Form");
  const [problem, setProblem] = useState<{ message: string; errors: FieldError[] }>({ message: "", errors: [] });
  async function save(): Promise<void> {
    setProblem({ message: "", errors: [] });
    const gone = Object.fromEntries(Object.keys(first).filter((name) => !(name in settings)).map((name) => [name, null]));
    try {
      await send("PATCH", `keys/${segment(one.name)}`, { settings: { ...settings, ...gone }, note }, { etag });
      toast("Saved. Every worker has it.");
      close();
      done();
    } catch (error) {
      setProblem({ message: messageOf(error), errors: error instanceof ApiError ? error.errors : [] });
    }
  }
  return (
    <Dialog title={`Change ${one.name}`} close={close}>
      <div class="form">
        <Tabs names={["Form", "JSON"]} chosen={view} choose={setView} />
        {view === "Form" ? <Fields settings={settings} change={setSettings} /> : <JsonEditor label="Settings" rows={10} value={settings} change={(next) => setSettings((next ?? {}) as Settings)} />}
        <label class="field">
          <span class="label"><b>Note</b></span>
          <input value={note} onInput={(event) => setNote(event.currentTarget.value)} />
        </label>
        <Faults {...problem} />
      </div>
      <footer>
        <button type="button" onClick={close}>Cancel</button>
        <Action kind="main" run={save}>Save</Action>
      </footer>
    </Dialog>
  );
}

function Rotate({ path, etag, close }: { path: string; etag: string | null; close: () => void }) {
  const [grace, setGrace] = useState("24");
  const [value, setValue] = useState("");
  return (
    <Dialog title="Rotate the key" close={close}>
      {value ? (
        <>
          <p>Copy the new value now. Nobody can see it again.</p>
          <Secret label="Key" value={value} />
          <footer><button type="button" class="main" onClick={close}>Done</button></footer>
        </>
      ) : (
        <>
          <label class="field">
            <span class="label"><b>Hours</b> for which the old value stays valid</span>
            <input inputMode="decimal" value={grace} onInput={(event) => setGrace(event.currentTarget.value)} />
          </label>
          <footer>
            <button type="button" onClick={close}>Cancel</button>
            <Action kind="main" run={async () => setValue((await send<Made>("POST", `${path}/rotate`, { grace_s: Number(grace || 0) * 3600 }, { etag })).data.key ?? "")}>
              Make a new value
            </Action>
          </footer>
        </>
      )}
    </Dialog>
  );
}

interface Brief {
  request_id: string;
  at: number;
  model: string | null;
  status: number;
  provider: string | null;
}

function Last({ name }: { name: string }) {
  const found = useLoad(() => get<Brief[]>("requests", { key: name, limit: 10 }).catch(() => []), [name], 5000);
  return (
    <Card title="Last requests">
      {(found.data ?? []).length === 0 ? (
        <Empty title="No requests with this key yet." />
      ) : (
        <Table
          label="Last requests"
          rows={found.data ?? []}
          id={(row) => row.request_id}
          href={(row) => link("requests", row.request_id)}
          columns={[
            { title: "Time", cell: (row) => moment(row.at) },
            { title: "Model", cell: (row) => row.model ?? "–" },
            { title: "Status", cell: (row) => <Pill tone={row.status < 400 && row.status > 0 ? "good" : "bad"}>{row.status}</Pill> },
            { title: "Provider", cell: (row) => row.provider ?? "–" },
          ]}
        />
      )}
    </Card>
  );
}
