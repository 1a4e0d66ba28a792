// What happens now: rates from two readings of the metrics page, and the events of the gateway.

import { signal } from "@preact/signals";

import { raw } from "./api";
import { may, me } from "./session";

type Samples = Map<string, Map<string, number>>;
type Labels = Record<string, string>;

const EVERY_MS = 2000;
const KEEP = 150;

export interface TargetRate {
  provider: string;
  model: string;
  perS: number;
  failed: number;
  inProgress: number;
  ttftP50: number | null;
  ttftP95: number | null;
  tokensPerS: number;
  usdPerH: number;
}

export interface Reading {
  at: number;
  requestsPerS: number;
  errorShare: number;
  errorsPerS: number;
  inProgress: number;
  tokensPerS: number;
  usdPerS: number;
  ttftP50: number | null;
  ttftP95: number | null;
  ttftP99: number | null;
  targets: TargetRate[];
}

export const readings = signal<Reading[]>([]);
export const trouble = signal("");

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const NEEDED = /^pointsman_(requests_total|requests_in_progress|tokens_total|cost_dollars_total|attempts_total|attempts_in_progress|time_to_first_token_seconds_bucket)/;

export function parse(text: string): Samples {
  const found: Samples = new Map();
  for (const line of text.split("\n")) {
    if (!NEEDED.test(line)) continue;
    const match = LINE.exec(line);
    if (!match) continue;
    const [, name = "", labels = "", value = "0"] = match;
    let series = found.get(name);
    if (!series) found.set(name, (series = new Map()));
    series.set(labels, Number(value));
  }
  return found;
}

function labelsOf(text: string): Labels {
  const found: Labels = {};
  for (const [, name = "", value = ""] of text.matchAll(LABEL)) found[name] = value.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));
  return found;
}

function quantile(share: number, buckets: Map<number, number>): number | null {
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  const total = buckets.get(Infinity) ?? 0;
  if (total <= 0) return null;
  const wanted = share * total;
  let lower = 0;
  let below = 0;
  for (const bound of bounds) {
    const count = buckets.get(bound) ?? 0;
    if (count >= wanted) {
      if (bound === Infinity) return lower;
      return lower + ((bound - lower) * (wanted - below)) / Math.max(1e-9, count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}

function grown(name: string, before: Samples, now: Samples): [Labels, number][] {
  const old = before.get(name);
  return [...(now.get(name) ?? [])].map(([labels, value]) => [labelsOf(labels), Math.max(0, value - (old?.get(labels) ?? 0))]);
}

export function rates(before: Samples, now: Samples, seconds: number, at: number): Reading {
  const targets = new Map<string, TargetRate & { buckets: Map<number, number>; ended: number }>();
  const of = (labels: Labels) => {
    const key = `${labels["provider"]}\n${labels["model"]}`;
    let one = targets.get(key);
    if (!one) {
      one = {
        provider: labels["provider"] ?? "", model: labels["model"] ?? "", perS: 0, failed: 0, inProgress: 0, ttftP50: null,
        ttftP95: null, tokensPerS: 0, usdPerH: 0, buckets: new Map(), ended: 0,
      };
      targets.set(key, one);
    }
    return one;
  };
  let requests = 0;
  let errors = 0;
  let tokens = 0;
  let usd = 0;
  for (const [labels, value] of grown("pointsman_requests_total", before, now)) {
    requests += value;
    if (!labels["status"]?.startsWith("2")) errors += value;
  }
  for (const [labels, value] of grown("pointsman_tokens_total", before, now)) {
    tokens += value;
    if (labels["direction"] === "out") of(labels).tokensPerS += value / seconds;
  }
  for (const [labels, value] of grown("pointsman_cost_dollars_total", before, now)) {
    usd += value;
    of(labels).usdPerH += (value * 3600) / seconds;
  }
  for (const [labels, value] of grown("pointsman_attempts_total", before, now)) {
    const one = of(labels);
    one.ended += value;
    if (labels["outcome"] !== "ok") one.failed += value;
  }
  const all = new Map<number, number>();
  for (const [labels, value] of grown("pointsman_time_to_first_token_seconds_bucket", before, now)) {
    const bound = labels["le"] === "+Inf" ? Infinity : Number(labels["le"]);
    all.set(bound, (all.get(bound) ?? 0) + value);
    const buckets = of(labels).buckets;
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  for (const [labels, value] of now.get("pointsman_attempts_in_progress") ?? []) of(labelsOf(labels)).inProgress += value;
  const found = [...targets.values()].map(({ buckets, ended, ...one }) => ({
    ...one,
    perS: ended / seconds,
    failed: ended ? one.failed / ended : 0,
    ttftP50: quantile(0.5, buckets),
    ttftP95: quantile(0.95, buckets),
  }));
  return {
    at,
    requestsPerS: requests / seconds,
    errorShare: requests ? errors / requests : 0,
    errorsPerS: errors / seconds,
    inProgress: sum(now.get("pointsman_requests_in_progress")),
    tokensPerS: tokens / seconds,
    usdPerS: usd / seconds,
    ttftP50: quantile(0.5, all),
    ttftP95: quantile(0.95, all),
    ttftP99: quantile(0.99, all),
    targets: found.sort((a, b) => b.perS - a.perS || a.provider.localeCompare(b.provider) || a.model.localeCompare(b.model)),
  };
}

function sum(series: Map<string, number> | undefined): number {
  return [...(series?.values() ?? [])].reduce((total, value) => total + value, 0);
}

// One reader for all pages, while someone looks.

const WINDOW_MS = 10_000; // rates are those of the last ten seconds
const taken: { at: number; samples: Samples }[] = [];
let followers = 0;
let timer = 0;

async function step(): Promise<void> {
  if (!document.hidden && may("metrics:read")) {
    try {
      const samples = parse(await (await raw("/metrics")).text());
      const at = performance.now();
      taken.push({ at, samples });
      while (taken.length > 2 && at - (taken[1]?.at ?? at) >= WINDOW_MS) taken.shift();
      const first = taken[0];
      if (first && first.at < at) {
        const reading = rates(first.samples, samples, (at - first.at) / 1000, Date.now() / 1000);
        readings.value = [...readings.value.slice(1 - KEEP), reading];
      }
      trouble.value = "";
    } catch (error) {
      trouble.value = error instanceof Error ? error.message : String(error);
    }
  }
  if (followers > 0) timer = window.setTimeout(step, EVERY_MS);
}

export function followMetrics(): () => void {
  followers += 1;
  if (followers === 1) {
    taken.length = 0;
    void step();
  }
  return () => {
    followers -= 1;
    if (followers === 0) clearTimeout(timer);
  };
}

// Events.

export interface LiveEvent {
  id: string;
  kind: string;
  at: number;
  data: Record<string, unknown>;
}

export const events = signal<LiveEvent[]>([]);

/** Follows the events until `signal` aborts. A stream ends after a while, and the next one continues after its last event. */
export async function followEvents(stop: AbortSignal): Promise<void> {
  let last = "";
  while (!stop.aborted && me.value && may("status:read", true)) {
    try {
      const headers: Record<string, string> = last ? { "last-event-id": last } : {};
      const answer = await raw("/api/v1/events", { headers, signal: stop, cache: "no-store" });
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
        if (done) break;
        text += value ?? "";
        const parts = text.split("\n\n");
        text = parts.pop() ?? "";
        for (const part of parts) last = take(part) || last;
      }
    } catch {
      // the gateway restarts, or the stream was cut off
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function take(text: string): string {
  const fields = Object.fromEntries(
    text.split("\n").map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at), line.slice(at + 1).trim()];
    }),
  ) as Record<string, string>;
  if (!fields["event"] || !fields["data"]) return "";
  const data = JSON.parse(fields["data"]) as Record<string, unknown>;
  const one = { id: fields["id"] ?? "", kind: fields["event"], at: Number(data["at"] ?? 0), data };
  events.value = [one, ...events.value].slice(0, 100);
  return one.id;
}
