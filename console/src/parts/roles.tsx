// Roles of a user or a token: each for everything, or for one owner.

import { get } from "../api";
import { useLoad } from "../hooks";
import { Pill } from "./ui";

export interface Grant {
  role: string;
  scope: string;
}

export interface Role {
  name: string;
  permissions: string[];
  note: string;
  built_in: boolean;
}

export function RolePills({ roles }: { roles: readonly Grant[] }) {
  return (
    <>
      {roles.map((one) => (
        <Pill key={`${one.role}@${one.scope}`}>{one.scope === "*" ? one.role : `${one.role} of ${one.scope}`}</Pill>
      ))}
    </>
  );
}

export function RolesEditor({ roles, change }: { roles: readonly Grant[]; change: (roles: Grant[]) => void }) {
  const found = useLoad(() => get<{ roles: Role[] }>("roles"), []);
  const names = (found.data?.roles ?? []).map((one) => one.name);
  function set(index: number, part: Partial<Grant>): void {
    change(roles.map((one, at) => (at === index ? { ...one, ...part } : one)));
  }
  return (
    <fieldset>
      <legend>Roles</legend>
      {roles.map((one, index) => (
        <div class="item" key={index}>
          <div class="row">
            <label class="field">
              <span class="label">Role</span>
              <select value={one.role} onChange={(event) => set(index, { role: event.currentTarget.value })}>
                {names.map((name) => (
                  <option key={name}>{name}</option>
                ))}
              </select>
            </label>
            <label class="field">
              <span class="label">For (* is everything)</span>
              <input value={one.scope} placeholder="team:research" onInput={(event) => set(index, { scope: event.currentTarget.value.trim() })} />
            </label>
          </div>
          <button type="button" class="plain" aria-label={`Remove role ${index + 1}`} onClick={() => change(roles.filter((_, at) => at !== index))}>
            ×
          </button>
        </div>
      ))}
      <div>
        <button type="button" onClick={() => change([...roles, { role: "viewer", scope: "*" }])}>
          Add a role
        </button>
      </div>
    </fieldset>
  );
}
