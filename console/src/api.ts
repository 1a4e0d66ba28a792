// The client of the admin API. Errors are problem details (RFC 9457). Changes by a session repeat its CSRF token.

import { signal } from "@preact/signals";

const TOKEN = "pointsman-admin-token";

export interface FieldError {
  field: string;
  message: string;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly errors: FieldError[] = [],
  ) {
    super(message);
  }
}

export interface Answer<T> {
  data: T;
  status: number;
  etag: string | null;
}

export type Params = Record<string, string | number | boolean | null | undefined | readonly string[]>;

/** Counts the answers that said that nobody is logged in. The shell shows the login then. */
export const rejected = signal(0);
let csrf = "";

export function setCsrf(token: string): void {
  csrf = token;
}

export function token(): string {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function setToken(value: string): void {
  if (value) sessionStorage.setItem(TOKEN, value);
  else sessionStorage.removeItem(TOKEN);
}

export function query(params: Params): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value === null || value === undefined || value === "" || value === false) continue;
    if (typeof value === "object") value.forEach((one) => found.append(name, one));
    else found.set(name, String(value));
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

/** Encodes a name as one or more segments of a path: the API takes slashes in names as they are. */
export function segment(name: string): string {
  return encodeURIComponent(name).replaceAll("%2F", "/");
}

function headers(more: Record<string, string> = {}): Record<string, string> {
  const presented = token();
  const found = { ...more };
  if (presented) found["authorization"] = `Bearer ${presented}`;
  if (csrf) found["x-pointsman-csrf"] = csrf;
  return found;
}

async function problem(answer: Response): Promise<ApiError> {
  let body: { code?: string; detail?: string; errors?: FieldError[]; error?: { message?: string; code?: string } } = {};
  try {
    body = await answer.json();
  } catch {
    // not JSON: a proxy before the gateway answered
  }
  const message = body.detail ?? body.error?.message ?? `the server answered ${answer.status} ${answer.statusText}`;
  return new ApiError(answer.status, body.code ?? body.error?.code ?? "error", message, body.errors ?? []);
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { cache: "no-store", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "the gateway does not answer");
  }
  if (answer.ok) return answer;
  const found = await problem(answer);
  if (answer.status === 401 && !path.startsWith("/api/v1/login")) rejected.value += 1;
  throw found;
}

export async function read<T>(path: string, params: Params = {}): Promise<Answer<T>> {
  const answer = await ask(`/api/v1/${path}${query(params)}`, { headers: headers() });
  return { data: (await answer.json()) as T, status: answer.status, etag: answer.headers.get("etag") };
}

export async function get<T>(path: string, params: Params = {}): Promise<T> {
  return (await read<T>(path, params)).data;
}

export interface Terms {
  etag?: string | null;
  params?: Params;
}

export async function send<T>(method: string, path: string, body?: unknown, terms: Terms = {}): Promise<Answer<T>> {
  const more: Record<string, string> = {};
  if (body !== undefined) more["content-type"] = "application/json";
  if (terms.etag) more["if-match"] = terms.etag;
  const init: RequestInit = { method, headers: headers(more) };
  if (body !== undefined) init.body = JSON.stringify(body);
  const answer = await ask(`/api/v1/${path}${query(terms.params ?? {})}`, init);
  const text = await answer.text();
  return { data: (text ? JSON.parse(text) : {}) as T, status: answer.status, etag: answer.headers.get("etag") };
}

/** Asks for an answer of another form, or one that is read as it arrives. `path` is the whole path. */
export async function raw(path: string, init: RequestInit = {}): Promise<Response> {
  return ask(path, { ...init, headers: headers(init.headers as Record<string, string> | undefined) });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
