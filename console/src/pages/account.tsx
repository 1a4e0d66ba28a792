// The caller's own account: its rights, password, one-time codes and sessions.

import { useState } from "preact/hooks";

import { get, send } from "../api";
import { moment } from "../format";
import { useLoad } from "../hooks";
import { Table } from "../parts/table";
import { Action, Card, Dialog, Facts, Head, Pill, Secret, toast, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { callerName, load, me } from "../session";

export const page: Page = {
  path: "account",
  title: "Your account",
  icon: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4 20c0-4 3.500-6 8-6s8 2 8 6",
  needs: [],
  view: Account,
};

interface Session {
  made_at: number;
  seen_at: number;
  ends_at: number;
  address: string;
  provider: string;
  is_this: boolean;
}

function Account() {
  const caller = me.value;
  const [dialog, setDialog] = useState<"password" | "codes" | "no codes" | "">("");
  if (!caller) return null;
  const isUser = caller.id !== undefined;
  const permissions = Object.entries(caller.permissions);
  return (
    <>
      <Head title="Your account" note={callerName.value}>
        {isUser && caller.password && (
          <>
            <button type="button" onClick={() => setDialog("password")}>
              Change the password
            </button>
            <button type="button" onClick={() => setDialog(caller.totp ? "no codes" : "codes")}>
              {caller.totp ? "Turn one-time codes off" : "Turn one-time codes on"}
            </button>
          </>
        )}
      </Head>
      <Card title="You">
        <div class="body">
          <Facts
            facts={[
              ["Name", callerName.value],
              ["Known as", <code>{caller.name}</code>],
              ["Roles", caller.roles?.map((one) => <Pill key={`${one.role}${one.scope}`}>{one.scope === "*" ? one.role : `${one.role} of ${one.scope}`}</Pill>)],
              ["One-time codes", isUser && (caller.totp ? "on" : "off")],
              ["Expires", caller.expires_at && moment(caller.expires_at)],
            ]}
          />
        </div>
      </Card>
      {isUser && <Sessions />}
      <Card title="Permissions" note="ask an owner or an admin for more">
        <Table
          label="Permissions"
          rows={permissions}
          id={([name]) => name}
          columns={[
            { title: "Permission", cell: ([name]) => <code>{name}</code> },
            { title: "For", class: "wide-cell", cell: ([, scopes]) => (scopes.includes("*") ? "everything" : scopes.join(", ")) },
          ]}
        />
      </Card>
      {dialog === "password" && <Password close={() => setDialog("")} />}
      {dialog === "codes" && <Codes close={() => setDialog("")} />}
      {dialog === "no codes" && <NoCodes close={() => setDialog("")} />}
    </>
  );
}

function Sessions() {
  const found = useLoad(() => get<Session[]>("me/sessions"), []);
  return (
    <Card
      title="Sessions"
      actions={
        <Action
          run={async () => {
            await send("DELETE", "me/sessions");
            toast("Your other sessions have ended.");
            found.reload();
          }}
        >
          End the others
        </Action>
      }
    >
      <Trouble text={found.error} />
      <Table
        label="Sessions"
        rows={found.data ?? []}
        id={(row) => String(row.made_at)}
        columns={[
          { title: "Begun", cell: (row) => moment(row.made_at) },
          { title: "Last used", cell: (row) => moment(row.seen_at) },
          { title: "Address", cell: (row) => row.address },
          { title: "By", cell: (row) => row.provider || "password" },
          { title: "This one", cell: (row) => row.is_this && <Pill tone="accent">this one</Pill> },
        ]}
      />
    </Card>
  );
}

function Field({ label, type = "password", value, set }: { label: string; type?: "password" | "text"; value: string; set: (value: string) => void }) {
  const shared = { value, onInput: (event: { currentTarget: HTMLInputElement }) => set(event.currentTarget.value) };
  return (
    <label class="field">
      <span class="label">
        <b>{label}</b>
      </span>
      {type === "password" ? <input type="password" {...shared} /> : <input type="text" autocomplete="one-time-code" {...shared} />}
    </label>
  );
}

function Password({ close }: { close: () => void }) {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  return (
    <Dialog title="Change the password" close={close}>
      <Field label="Present password" value={old} set={setOld} />
      <Field label="New password" value={next} set={setNext} />
      <footer>
        <Action
          kind="main"
          run={async () => {
            await send("POST", "me/password", { old, new: next });
            toast("Changed. Your other sessions have ended.");
            close();
          }}
        >
          Change
        </Action>
      </footer>
    </Dialog>
  );
}

function Codes({ close }: { close: () => void }) {
  const made = useLoad(async () => (await send<{ secret: string; url: string }>("POST", "me/totp")).data, []);
  const [code, setCode] = useState("");
  return (
    <Dialog title="One-time codes" close={close}>
      <Trouble text={made.error} />
      <p>Add this secret to your authenticator app, and confirm it with a code.</p>
      {made.data && (
        <>
          <Secret label="Secret" value={made.data.secret} />
          <p>
            <a href={made.data.url}>Open the app on this device</a>
          </p>
          <Field label="Code" type="text" value={code} set={setCode} />
          <footer>
            <Action
              kind="main"
              run={async () => {
                await send("POST", "me/totp/confirm", { secret: made.data?.secret, code: code.trim() });
                await load();
                toast("One-time codes are on.");
                close();
              }}
            >
              Confirm
            </Action>
          </footer>
        </>
      )}
    </Dialog>
  );
}

function NoCodes({ close }: { close: () => void }) {
  const [password, setPassword] = useState("");
  return (
    <Dialog title="Turn one-time codes off" close={close}>
      <Field label="Password" value={password} set={setPassword} />
      <footer>
        <Action
          kind="danger"
          run={async () => {
            await send("POST", "me/totp/remove", { password });
            await load();
            toast("One-time codes are off.");
            close();
          }}
        >
          Turn off
        </Action>
      </footer>
    </Dialog>
  );
}
