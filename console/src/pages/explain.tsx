// The playground: edit a request and its circumstances, and see the plan. Nothing is sent to a provider.

import { useEffect, useState } from "preact/hooks";

import { ApiError, messageOf, send, type FieldError } from "../api";
import { DecisionView, type Decision } from "../parts/decision";
import { Faults } from "../parts/form";
import { Action, Card, Copy, Empty, Head, Json, Tabs } from "../parts/ui";
import type { Page } from "../registry";
import { route } from "../router";

export const page: Page = {
  path: "explain",
  title: "Explain",
  group: "Watch",
  order: 4,
  key: "e",
  icon: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12M14.500 14.500 20 20M10 8v2.500l1.500 1",
  needs: ["requests:read*"],
  view: Explain,
};

const PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions", "/v1/embeddings"];

function lines(text: string): [string, string][] {
  return text.split("\n").flatMap((line): [string, string][] => {
    const at = line.indexOf(":");
    return at > 0 ? [[line.slice(0, at).trim(), line.slice(at + 1).trim()]] : [];
  });
}

function Explain() {
  const params = route.value.params;
  const first = { model: params.get("model") ?? "", messages: [{ role: "user", content: "Hello" }], max_tokens: 200 };
  const [body, setBody] = useState(JSON.stringify(first, null, 2));
  const [path, setPath] = useState(PATHS[0] ?? "");
  const [key, setKey] = useState(params.get("key") ?? "");
  const [headers, setHeaders] = useState("");
  const [failing, setFailing] = useState("");
  const [used, setUsed] = useState("");
  const [found, setFound] = useState<Decision | null>(null);
  const [view, setView] = useState("Plan");
  const [problem, setProblem] = useState<{ message: string; errors: FieldError[] }>({ message: "", errors: [] });

  async function explain(): Promise<void> {
    setProblem({ message: "", errors: [] });
    let parsed: unknown;
    try {
      parsed = JSON.parse(body);
    } catch (error) {
      setProblem({ message: `The body is not JSON: ${messageOf(error)}`, errors: [] });
      return;
    }
    const question = {
      body: parsed,
      path,
      ...(key.trim() ? { key: key.trim() } : {}),
      headers: Object.fromEntries(lines(headers)),
      failing: failing.split(/[\s,]+/).filter(Boolean),
      used: Object.fromEntries(
        used.split("\n").flatMap((line) => {
          const match = /^\s*(.+?)\s*=\s*([\d.]+)\s*%?\s*$/.exec(line);
          return match ? [[match[1], Number(match[2])]] : [];
        }),
      ),
    };
    try {
      setFound((await send<Decision>("POST", "explain", question)).data);
    } catch (error) {
      setFound(null);
      setProblem({ message: messageOf(error), errors: error instanceof ApiError ? error.errors : [] });
    }
  }
  useEffect(() => {
    if (first.model) void explain();
  }, []);

  return (
    <>
      <Head title="Explain" note="Edit a request, and see the plan. Nothing is sent, and nothing is spent." />
      <div class="columns wide">
        <Card title="Request">
          <div class="body form">
            <div class="row">
              <label class="field">
                <span class="label">
                  <b>Path</b>
                </span>
                <select value={path} onChange={(event) => setPath(event.currentTarget.value)}>
                  {PATHS.map((one) => (
                    <option key={one}>{one}</option>
                  ))}
                </select>
              </label>
              <label class="field">
                <span class="label">
                  <b>Key</b>, by name (optional)
                </span>
                <input value={key} onInput={(event) => setKey(event.currentTarget.value)} autocomplete="off" />
              </label>
            </div>
            <label class="field">
              <span class="label">
                <b>Body</b>
              </span>
              <textarea class="mono" rows={12} spellcheck={false} value={body} onInput={(event) => setBody(event.currentTarget.value)} />
            </label>
            <label class="field">
              <span class="label">
                <b>Headers</b> (optional), one per line: name: value
              </span>
              <textarea class="mono" rows={2} spellcheck={false} value={headers} onInput={(event) => setHeaders(event.currentTarget.value)} />
            </label>
            <details>
              <summary>Circumstances to assume</summary>
              <div class="form">
                <label class="field">
                  <span class="label">
                    <b>Failed targets</b>, as provider/model
                  </span>
                  <input value={failing} onInput={(event) => setFailing(event.currentTarget.value)} autocomplete="off" />
                </label>
                <label class="field">
                  <span class="label">
                    <b>Used limits</b>, one per line: team:research = 95
                  </span>
                  <textarea class="mono" rows={2} spellcheck={false} value={used} onInput={(event) => setUsed(event.currentTarget.value)} />
                </label>
              </div>
            </details>
            <div class="buttons">
              <Action kind="main" run={explain}>
                Explain
              </Action>
            </div>
            <Faults {...problem} />
          </div>
        </Card>
        <Card title="Plan" actions={found && <Tabs names={["Plan", "Text", "JSON"]} chosen={view} choose={setView} />}>
          {!found ? (
            <Empty title="No plan yet.">Name a model in the body, and choose Explain.</Empty>
          ) : (
            <div class="body">
              {view === "Plan" && <DecisionView decision={found} />}
              {view === "Text" && (
                <>
                  <Json value={(found.text ?? []).join("\n")} />
                  <div>
                    <Copy text={(found.text ?? []).join("\n")} />
                  </div>
                </>
              )}
              {view === "JSON" && <Json value={found} />}
            </div>
          )}
        </Card>
      </div>
    </>
  );
}
