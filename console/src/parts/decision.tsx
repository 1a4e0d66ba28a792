// A decision: the rules, the order of targets, and the verdict on each candidate that was left out.

import type { ComponentChildren } from "preact";

import { amount, dollars, many, percent, span } from "../format";
import { Bar, Facts, Pill, type Tone } from "./ui";

/** A decision, as `/explain` answers it and as records have it. A rejected request has `refused`, and no strategy. */
export interface Decision {
  refused?: { code: string; status: number; message: string };
  rules?: { rule: string; result: string; message: string | null }[];
  facts?: Record<string, unknown>;
  strategy?: string | null;
  source?: string | null;
  notes?: string[];
  requirements?: { requirement: string; origin: string }[];
  deadline_s?: number;
  max_attempts?: number;
  attempts?: Planned[];
  verdicts?: Verdict[];
  limits?: { limit: string; metric: string; amount: number; used: number }[];
  text?: string[];
}

interface Planned {
  provider: string;
  model: string;
  keys?: string[];
  weight?: number | null;
  variant?: string | null;
  provenance?: string;
  score?: number | null;
  most_nano?: number | null;
  most_tokens?: number | null;
  price_from?: string;
  after?: string[];
}

type Verdict = { [name: string]: unknown };

const RESULTS: Record<string, Tone> = { matched: "accent", match: "accent", "no match": "soft", error: "bad", unknown: "warm" };

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function DecisionView({ decision, tried }: { decision: Decision; tried?: number }) {
  const { refused, rules = [], facts = {}, attempts = [], verdicts = [], notes = [], requirements = [], limits = [] } = decision;
  return (
    <div class="stack">
      {refused && (
        <div class="trouble">
          <span>
            Rejected with {refused.status} {refused.code}: {refused.message}
          </span>
        </div>
      )}
      <Facts
        facts={[
          ["Strategy", decision.strategy],
          ["From", decision.source],
          ["Attempts", decision.max_attempts ? `at most ${decision.max_attempts}` : null],
          ["Deadline", decision.deadline_s ? span(decision.deadline_s) : null],
        ]}
      />
      {rules.length > 0 && (
        <Part title="Rules">
          <ul class="plain-list">
            {rules.map((one) => (
              <li key={one.rule}>
                {one.rule} <Pill tone={RESULTS[one.result] ?? "soft"}>{one.result}</Pill> {one.message && <small>{one.message}</small>}
              </li>
            ))}
          </ul>
          {Object.keys(facts).length > 0 && (
            <p class="soft">
              Facts:{" "}
              {Object.entries(facts).map(([name, value]) => (
                <code key={name}>
                  {name} = {text(value)}{" "}
                </code>
              ))}
            </p>
          )}
        </Part>
      )}
      {requirements.length > 0 && (
        <Part title="Requirements">
          <ul class="plain-list">
            {requirements.map((one) => (
              <li key={one.requirement}>
                {one.requirement} <small>from {one.origin}</small>
              </li>
            ))}
          </ul>
        </Part>
      )}
      <Part title="Targets, in order">
        {attempts.length === 0 ? (
          <p class="soft">No target was left.</p>
        ) : (
          <ol class="plan">
            {attempts.map((one, index) => (
              <li key={`${index}${one.provider}/${one.model}`} class={tried !== undefined && index >= tried ? "untried" : ""}>
                <b>
                  {one.provider}/{one.model}
                </b>{" "}
                {one.variant && <Pill>{one.variant}</Pill>}
                <small>{details(one)}</small>
              </li>
            ))}
          </ol>
        )}
      </Part>
      {verdicts.length > 0 && (
        <Part title="Left out or changed, with reasons">
          <ul class="plain-list">
            {verdicts.map((one, index) => (
              <li key={index}>
                <VerdictLine verdict={one} />
              </li>
            ))}
          </ul>
        </Part>
      )}
      {limits.length > 0 && (
        <Part title="Limits">
          <div class="limits">
            {limits.map((one) => (
              <div key={one.limit}>
                <span>{one.limit}</span>
                <Bar share={one.amount ? one.used / one.amount : 1} label={one.limit} />
                <small>
                  {amount(one.metric, one.used)} used ({percent(one.amount ? one.used / one.amount : 1)})
                </small>
              </div>
            ))}
          </div>
        </Part>
      )}
      {notes.length > 0 && (
        <Part title="Notes">
          <ul class="plain-list">
            {notes.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ul>
        </Part>
      )}
    </div>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="part">
      <h3>{title}</h3>
      {children}
    </div>
  );
}

function details(one: Planned): string {
  const parts = [
    one.provenance && one.provenance !== "target" ? one.provenance : "",
    one.weight === null || one.weight === undefined ? "" : `weight ${one.weight}`,
    one.score === null || one.score === undefined ? "" : `score ${one.score.toPrecision(3)}`,
    one.most_nano === null || one.most_nano === undefined ? "" : `at most ${dollars(one.most_nano)}`,
    one.most_tokens ? `${many(one.most_tokens)} tokens` : "",
    one.price_from ? `price from ${one.price_from}` : "",
    one.keys?.length ? `keys ${one.keys.join(", ")}` : "",
    one.after?.length ? `after ${one.after.join(", ")}` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

function VerdictLine({ verdict }: { verdict: Verdict }) {
  const target = verdict["candidate"] ?? [verdict["provider"], verdict["model"]].filter(Boolean).join("/");
  const rest = verdict["message"] ?? verdict["reason"] ?? verdict["text"];
  const policy = verdict["code"] || verdict["policy"];
  return (
    <>
      {text(target)} {policy ? <Pill tone="warm">{text(policy)}</Pill> : null} {rest ? <span>{text(rest)}</span> : null}
    </>
  );
}
