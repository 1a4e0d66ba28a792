// The address of a page is in the fragment, such as `#/requests?key=notebook`, so that every file is at a fixed path.

import { computed, signal } from "@preact/signals";

import { query, type Params } from "./api";

const hash = signal(location.hash);
addEventListener("hashchange", () => {
  hash.value = location.hash;
});

export interface Route {
  path: string;
  rest: string;
  params: URLSearchParams;
}

export const route = computed<Route>(() => {
  const [path = "", text = ""] = hash.value.replace(/^#\/?/, "").split("?", 2);
  const [first = "", ...rest] = path.split("/");
  return { path: first || "overview", rest: decode(rest.join("/")), params: new URLSearchParams(text) };
});

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function link(path: string, rest = "", params: Params = {}): string {
  return `#/${path}${rest ? `/${encodeURIComponent(rest)}` : ""}${query(params)}`;
}

export function go(path: string, rest = "", params: Params = {}): void {
  location.hash = link(path, rest, params);
}

/** Changes parameters of the present page, without a new entry in the history of the browser. */
export function setParams(params: Params): void {
  const now = route.value;
  const merged: Params = { ...Object.fromEntries(now.params), ...params };
  history.replaceState(null, "", link(now.path, now.rest, merged));
  hash.value = location.hash;
}
