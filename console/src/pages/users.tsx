// The users of the console, with their roles.

import { useState } from "preact/hooks";

import { get, send } from "../api";
import { moment } from "../format";
import { useKeyset } from "../hooks";
import { RolePills, RolesEditor, type Grant } from "../parts/roles";
import { List } from "../parts/table";
import { Action, Card, Confirm, Dialog, Empty, Head, Pill, Secret, toast } from "../parts/ui";
import type { Page } from "../registry";
import { may } from "../session";

export const page: Page = {
  path: "users",
  title: "Users",
  group: "Access",
  order: 40,
  icon: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4 20c0-4 3.500-6 8-6s8 2 8 6",
  needs: ["users:read*"],
  view: Users,
};

interface User {
  id: string;
  name: string;
  issuer: string;
  disabled: boolean;
  totp: boolean;
  logged_in_at: number | null;
  roles: (Grant & { source: string })[];
  password?: string;
}

const PAGE = 100;

function Users() {
  const list = useKeyset<User>(async (after) => {
    const rows = await get<User[]>("users", { limit: PAGE, after });
    return { rows, next: rows.length === PAGE ? (rows.at(-1)?.id ?? null) : null };
  }, []);
  const [opened, setOpened] = useState<User | "new" | null>(null);
  const mayWrite = may("users:write", true);
  return (
    <>
      <Head title="Users" note="People who log in with a password, or at an identity provider.">
        {mayWrite && (
          <button type="button" class="main" onClick={() => setOpened("new")}>
            New user
          </button>
        )}
      </Head>
      <Card>
        <List
          label="Users"
          list={list}
          id={(row) => row.id}
          empty={<Empty title="No users yet.">Until there are some, the admin token is the only way in.</Empty>}
          columns={[
            { title: "Name", cell: (row) => row.name },
            { title: "Roles", class: "wide-cell", cell: (row) => <RolePills roles={row.roles} /> },
            { title: "State", cell: (row) => <Pill tone={row.disabled ? "warm" : "good"}>{row.disabled ? "disabled" : "active"}</Pill> },
            { title: "Logs in by", isMinor: true, cell: (row) => (row.issuer === "local" ? `password${row.totp ? " and code" : ""}` : row.issuer) },
            { title: "Last login", isMinor: true, class: "nowrap", cell: (row) => (row.logged_in_at ? moment(row.logged_in_at) : "never") },
            {
              title: "Actions",
              cell: (row) =>
                mayWrite && (
                  <button type="button" aria-label={`Change ${row.name}`} onClick={() => setOpened(row)}>
                    Change
                  </button>
                ),
            },
          ]}
        />
      </Card>
      {opened === "new" && <New close={() => { setOpened(null); list.reload(); }} />}
      {opened !== null && opened !== "new" && <Change user={opened} close={() => { setOpened(null); list.reload(); }} />}
    </>
  );
}

function New({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [roles, setRoles] = useState<Grant[]>([{ role: "viewer", scope: "*" }]);
  const [made, setMade] = useState<User | null>(null);
  if (made) {
    return (
      <Dialog title={`${made.name} can log in`} close={close}>
        <p>Pass this password on. Nobody can see it again.</p>
        <Secret label="Password" value={made.password ?? ""} />
        <footer>
          <button type="button" class="main" onClick={close}>
            Done
          </button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title="New user" close={close}>
      <div class="form">
        <label class="field">
          <span class="label">
            <b>Name</b>
          </span>
          <input value={name} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" />
        </label>
        <RolesEditor roles={roles} change={setRoles} />
      </div>
      <footer>
        <Action kind="main" run={async () => setMade((await send<User>("POST", "users", { name, roles })).data)}>
          Make the user
        </Action>
      </footer>
    </Dialog>
  );
}

function Change({ user, close }: { user: User; close: () => void }) {
  const given = user.roles.filter((one) => one.source === "given");
  const [roles, setRoles] = useState<Grant[]>(given.map(({ role, scope }) => ({ role, scope })));
  const [isDeleting, setDeleting] = useState(false);
  const path = `users/${encodeURIComponent(user.id)}`;
  async function patch(change: Record<string, unknown>, text: string): Promise<void> {
    await send("PATCH", path, change);
    toast(text);
    close();
  }
  if (isDeleting) {
    return (
      <Confirm
        title={`Delete ${user.name}?`}
        verb="Delete"
        close={close}
        run={async () => {
          await send("DELETE", path);
          toast("Deleted.");
        }}
      >
        <p>All sessions of this user end at once.</p>
      </Confirm>
    );
  }
  return (
    <Dialog title={user.name} close={close}>
      <RolesEditor roles={roles} change={setRoles} />
      {user.roles.length > given.length && <p class="soft">Other roles come from groups of the identity provider.</p>}
      <footer>
        <button type="button" class="danger" onClick={() => setDeleting(true)}>
          Delete
        </button>
        {user.totp && <Action run={() => patch({ totp: false }, "The user logs in without a code again.")}>Drop the codes</Action>}
        <Action run={async () => { await send("DELETE", `${path}/sessions`); toast("All sessions of the user have ended."); close(); }}>End sessions</Action>
        <Action run={() => patch({ disabled: !user.disabled }, user.disabled ? "Enabled." : "Disabled, and all sessions have ended.")}>{user.disabled ? "Enable" : "Disable"}</Action>
        <Action kind="main" run={() => patch({ roles }, "Saved.")}>
          Save
        </Action>
      </footer>
    </Dialog>
  );
}
