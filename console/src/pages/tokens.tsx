// Service tokens, for programs that use the admin API.

import { useState } from "preact/hooks";

import { get, send } from "../api";
import { moment } from "../format";
import { useLoad } from "../hooks";
import { RolePills, RolesEditor, type Grant } from "../parts/roles";
import { Table } from "../parts/table";
import { Action, Card, Confirm, Dialog, Empty, Head, Pill, Secret, toast, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { may } from "../session";

export const page: Page = {
  path: "tokens",
  title: "Service tokens",
  group: "Access",
  order: 42,
  icon: "M4 8h16v8H4zM8 12h.01M12 12h.01M16 12h.01",
  needs: ["users:read*"],
  view: Tokens,
};

interface Token {
  name: string;
  author: string;
  created_at: number;
  expires_at: number;
  roles: Grant[];
  token?: string;
}

function Tokens() {
  const found = useLoad(() => get<Token[]>("tokens"), []);
  const [isNew, setNew] = useState(false);
  const [revoked, setRevoked] = useState<Token | null>(null);
  const mayWrite = may("users:write", true);
  const now = Date.now() / 1000;
  return (
    <>
      <Head title="Service tokens" note="For programs that use the admin API. A token keeps its roles until it expires.">
        {mayWrite && (
          <button type="button" class="main" onClick={() => setNew(true)}>
            New token
          </button>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      <Card>
        {(found.data ?? []).length === 0 ? (
          <Empty title="No service tokens.">Make one for each program, with the smallest role that it needs.</Empty>
        ) : (
          <Table
            label="Service tokens"
            rows={found.data ?? []}
            id={(row) => row.name}
            columns={[
              { title: "Name", cell: (row) => row.name },
              { title: "Roles", class: "wide-cell", cell: (row) => <RolePills roles={row.roles} /> },
              { title: "Expires", class: "nowrap", cell: (row) => (row.expires_at <= now ? <Pill>expired</Pill> : moment(row.expires_at)) },
              { title: "Made by", isMinor: true, cell: (row) => row.author },
              {
                title: "Actions",
                cell: (row) =>
                  mayWrite && (
                    <button type="button" class="danger" aria-label={`Revoke ${row.name}`} onClick={() => setRevoked(row)}>
                      Revoke
                    </button>
                  ),
              },
            ]}
          />
        )}
      </Card>
      {isNew && <New close={() => { setNew(false); found.reload(); }} />}
      {revoked && (
        <Confirm
          title={`Revoke ${revoked.name}?`}
          verb="Revoke"
          close={() => setRevoked(null)}
          run={async () => {
            await send("DELETE", `tokens/${encodeURIComponent(revoked.name)}`);
            toast("Revoked.");
            found.reload();
          }}
        >
          <p>The next request with it is rejected.</p>
        </Confirm>
      )}
    </>
  );
}

function New({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("90");
  const [roles, setRoles] = useState<Grant[]>([{ role: "viewer", scope: "*" }]);
  const [made, setMade] = useState<Token | null>(null);
  return (
    <Dialog title={made ? `The token ${made.name} is made` : "New token"} close={close}>
      {made ? (
        <>
          <p>Copy it now. Nobody can see it again.</p>
          <Secret label="Token" value={made.token ?? ""} />
          <footer>
            <button type="button" class="main" onClick={close}>
              Done
            </button>
          </footer>
        </>
      ) : (
        <>
          <div class="form">
            <div class="row">
              <label class="field">
                <span class="label">
                  <b>Name</b>
                </span>
                <input value={name} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" />
              </label>
              <label class="field">
                <span class="label">
                  <b>Days</b> until it expires
                </span>
                <input inputMode="decimal" value={days} onInput={(event) => setDays(event.currentTarget.value)} />
              </label>
            </div>
            <RolesEditor roles={roles} change={setRoles} />
          </div>
          <footer>
            <Action kind="main" run={async () => setMade((await send<Token>("POST", "tokens", { name, roles, days: Number(days) })).data)}>
              Make the token
            </Action>
          </footer>
        </>
      )}
    </Dialog>
  );
}
