// The caller and its permissions. Actions that its role does not allow are not shown.

import { computed, signal } from "@preact/signals";

import { get, send, setCsrf, setToken, token } from "./api";

export interface Me {
  name: string;
  permissions: Record<string, string[]>;
  id?: string;
  label?: string;
  totp?: boolean;
  password?: boolean;
  csrf?: string;
  roles?: { role: string; scope: string }[];
  expires_at?: number;
}

export const me = signal<Me | null>(null);
export const callerName = computed(() => me.value?.label ?? me.value?.name ?? "");

/** Returns whether the caller holds a permission, at least for some owners. With `everywhere`, for everything. */
export function may(permission: string, everywhere = false): boolean {
  const scopes = me.value?.permissions[permission] ?? [];
  return everywhere ? scopes.includes("*") : scopes.length > 0;
}

/** A need is a permission; with `*` behind it, for everything. One of several is enough. */
export function allows(needs: readonly string[]): boolean {
  if (needs.length === 0) return true;
  return needs.some((need) => (need.endsWith("*") ? may(need.slice(0, -1), true) : may(need)));
}

const SESSION = "pointsman-session";

/** Notes that this browser may have a session, in a cookie that no page can read. */
export function expectSession(): void {
  localStorage.setItem(SESSION, "1");
}

/** Returns whether there is anything to be known by. Without it, nobody asks the gateway who the caller is. */
export function hasTraces(): boolean {
  return token() !== "" || localStorage.getItem(SESSION) !== null;
}

export async function load(): Promise<void> {
  const found = await get<Me>("me");
  setCsrf(found.csrf ?? "");
  me.value = found;
}

export function forget(): void {
  setToken("");
  setCsrf("");
  localStorage.removeItem(SESSION);
  me.value = null;
}

export async function logOut(): Promise<void> {
  const ended = me.value?.csrf ? (await send<{ next?: string }>("POST", "logout", {})).data : {};
  forget();
  if (ended.next) location.assign(ended.next);
}
