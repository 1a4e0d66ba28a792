// The first visit: a provider key, a key for a client, and a first request.

import { useState } from "preact/hooks";

import { get, send } from "../api";
import { useLoad } from "../hooks";
import type { Resource } from "../parts/resources";
import { Action, Card, Copy, Head, Json, Pill, Secret, StatusPill, toast } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";

export const page: Page = {
  path: "start",
  title: "First steps",
  icon: "M5 12h14m-5-5 5 5-5 5",
  needs: ["config:write*"],
  view: Start,
};

const KNOWN = ["openai", "anthropic", "gemini", "groq", "mistral", "deepseek", "openrouter", "together", "fireworks", "xai"];

interface Brief {
  request_id: string;
  model: string | null;
  provider: string | null;
  status: number;
  code: string | null;
}

function Start() {
  const providers = useLoad(() => get<{ items: Resource[] }>("providers", { limit: 100 }), []);
  const [provider, setProvider] = useState("openai");
  const [secret, setSecret] = useState("");
  const [value, setValue] = useState("");
  const [model, setModel] = useState("");
  const [gateway, setGateway] = useState(`${location.protocol}//${location.hostname}:8080`);
  const since = useState(() => Math.floor(Date.now() / 1000))[0];
  const requests = useLoad(() => get<Brief[]>("requests", { since, limit: 5 }), [], 2000);
  const names = (providers.data?.items ?? []).map((one) => one.name);
  const first = requests.data?.[0];
  const command = [
    `curl ${gateway}/v1/chat/completions \\`,
    `  -H 'authorization: Bearer ${value || "YOUR-KEY"}' -H 'content-type: application/json' \\`,
    `  -d '{"model": "${model || "MODEL"}", "messages": [{"role": "user", "content": "Hello"}]}'`,
  ].join("\n");
  async function add(): Promise<void> {
    await send("POST", "providers", { name: provider.trim(), spec: { keys: { default: { value: secret } } } });
    setSecret("");
    toast(`Requests can go to ${provider} now.`);
    providers.reload();
  }
  async function make(): Promise<void> {
    const name = `first-${Math.floor(Date.now() / 1000).toString(36)}`;
    const made = await send<{ key: string }>("POST", "keys", { name, settings: { budgets: [{ limit_usd: "5", per: "day" }] }, note: "made at the first steps" });
    setValue(made.data.key);
  }
  return (
    <>
      <Head title="First steps" note="Three steps to a first request." />
      <Card title="1. A provider" note={names.length > 0 && <>there {names.length === 1 ? "is" : "are"} {names.map((one) => <Pill key={one} tone="good">{one}</Pill>)}</>}>
        <div class="body form">
          <div class="row">
            <label class="field">
              <span class="label">
                <b>Provider</b>
              </span>
              <select value={provider} onChange={(event) => setProvider(event.currentTarget.value)}>
                {KNOWN.map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            </label>
            <label class="field">
              <span class="label">
                <b>Key</b> of the provider
              </span>
              <input type="password" autocomplete="off" value={secret} onInput={(event) => setSecret(event.currentTarget.value)} />
              <span class="hint">It is sealed at once, and nobody can read it again.</span>
            </label>
          </div>
          <div class="buttons">
            <Action kind="main" disabled={!secret} run={add}>
              Add the provider
            </Action>
            <a class="button" href={link("providers", "", { new: 1 })}>
              Another provider, or a server of your own
            </a>
          </div>
        </div>
      </Card>
      <Card title="2. A key for the client" note="it may spend $5 a day; you can change that later">
        <div class="body">
          {value ? (
            <Secret label="Key, shown only now" value={value} />
          ) : (
            <div>
              <Action kind="main" run={make}>
                Make a key
              </Action>
            </div>
          )}
        </div>
      </Card>
      <Card title="3. A first request">
        <div class="body form">
          <div class="row">
            <label class="field">
              <span class="label">
                <b>Model</b>
              </span>
              <input value={model} placeholder="openai/gpt-4o-mini" onInput={(event) => setModel(event.currentTarget.value)} autocomplete="off" />
            </label>
            <label class="field">
              <span class="label">
                <b>Address</b> of the gateway
              </span>
              <input value={gateway} onInput={(event) => setGateway(event.currentTarget.value)} autocomplete="off" />
              <span class="hint">The gateway printed it at its start.</span>
            </label>
          </div>
          <Json value={command} />
          <div>
            <Copy text={command} label="Copy the command" />
          </div>
          {first ? (
            <p class="note-box">
              It arrived: <a href={link("requests", first.request_id)}>{first.model ?? "a request"}</a> <StatusPill status={first.status} code={first.code} />
              {first.provider && ` from ${first.provider}`}. Open it to see why it went there.
            </p>
          ) : (
            <p class="soft">Waiting for the first request…</p>
          )}
        </div>
      </Card>
    </>
  );
}
