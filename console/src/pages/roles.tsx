// Roles and their permissions, as one table; and roles of your own.

import { useState } from "preact/hooks";

import { get, send } from "../api";
import { useLoad } from "../hooks";
import type { Role } from "../parts/roles";
import { Table } from "../parts/table";
import { Action, Card, Dialog, Head, Pill, toast, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { may } from "../session";

export const page: Page = {
  path: "roles",
  title: "Roles",
  group: "Access",
  order: 41,
  icon: "M12 3 5 6v5c0 4.500 3 8 7 10 4-2 7-5.500 7-10V6z",
  needs: ["users:read*"],
  view: Roles,
};

function Roles() {
  const found = useLoad(() => get<{ roles: Role[]; permissions: string[] }>("roles"), []);
  const [opened, setOpened] = useState<Role | null>(null);
  const mayWrite = may("roles:write", true);
  const { roles = [], permissions = [] } = found.data ?? {};
  return (
    <>
      <Head title="Roles" note="A role is a set of permissions. It is given for everything, or for one customer, team or key.">
        {mayWrite && (
          <button type="button" class="main" onClick={() => setOpened({ name: "", permissions: [], note: "", built_in: false })}>
            New role
          </button>
        )}
      </Head>
      <Trouble text={found.error} retry={found.reload} />
      <Card>
        <Table
          label="Roles"
          rows={permissions}
          id={(name) => name}
          columns={[
            { title: "Permission", cell: (name) => <code>{name}</code> },
            ...roles.map((role) => ({
              title: role.name,
              cell: (name: string) => (role.permissions.includes(name) ? <Pill tone="good">yes</Pill> : <span class="soft">–</span>),
            })),
          ]}
        />
      </Card>
      {mayWrite && roles.some((one) => !one.built_in) && (
        <Card title="Your own roles">
          <Table
            label="Your own roles"
            rows={roles.filter((one) => !one.built_in)}
            id={(row) => row.name}
            columns={[
              { title: "Name", cell: (row) => row.name },
              { title: "Note", class: "wide-cell", cell: (row) => row.note },
              {
                title: "Actions",
                cell: (row) => (
                  <button type="button" onClick={() => setOpened(row)}>
                    Change
                  </button>
                ),
              },
            ]}
          />
        </Card>
      )}
      {opened && <Edit role={opened} permissions={permissions} close={() => { setOpened(null); found.reload(); }} />}
    </>
  );
}

function Edit({ role, permissions, close }: { role: Role; permissions: readonly string[]; close: () => void }) {
  const [name, setName] = useState(role.name);
  const [note, setNote] = useState(role.note);
  const [held, setHeld] = useState(new Set(role.permissions));
  function toggle(permission: string): void {
    const next = new Set(held);
    if (!next.delete(permission)) next.add(permission);
    setHeld(next);
  }
  const path = `roles/${encodeURIComponent(name.trim())}`;
  return (
    <Dialog title={role.name ? `Change ${role.name}` : "New role"} close={close}>
      <div class="form">
        <div class="row">
          <label class="field">
            <span class="label">
              <b>Name</b>
            </span>
            <input value={name} readOnly={role.name !== ""} onInput={(event) => setName(event.currentTarget.value)} autocomplete="off" />
          </label>
          <label class="field">
            <span class="label">
              <b>Note</b> (optional)
            </span>
            <input value={note} onInput={(event) => setNote(event.currentTarget.value)} />
          </label>
        </div>
        <fieldset>
          <legend>Permissions</legend>
          {permissions.map((one) => (
            <label class="check" key={one}>
              <input type="checkbox" checked={held.has(one)} onChange={() => toggle(one)} />
              <code>{one}</code>
            </label>
          ))}
        </fieldset>
      </div>
      <footer>
        {role.name && (
          <Action kind="danger" run={async () => { await send("DELETE", path); toast("Deleted."); close(); }}>
            Delete
          </Action>
        )}
        <Action kind="main" run={async () => { await send("PUT", path, { permissions: [...held], note }); toast("Saved."); close(); }}>
          Save
        </Action>
      </footer>
    </Dialog>
  );
}
