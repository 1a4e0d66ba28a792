// Providers: their addresses and keys, and the orders of operators about them.

import { Resources, type Resource, type ResourceKind } from "../parts/resources";
import { Pill } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";
import { may } from "../session";

export const page: Page = {
  path: "providers",
  title: "Providers",
  group: "Configure",
  order: 23,
  key: "p",
  icon: "M4 7h16v4H4zM4 13h16v4H4zM8 9h.01M8 15h.01",
  needs: ["config:read*"],
  view: () => <Resources kind={KIND} />,
};

const KIND: ResourceKind = {
  plural: "providers",
  singular: "provider",
  title: "Providers",
  note: "Where requests go. Keys are sealed at once, and nobody can read them again.",
  schema: "ProviderSettings",
  main: ["type", "base_url", "keys"],
  writes: "config:write",
  start: { keys: { default: { value: "" } } },
  nameHint: "A known name, such as openai, anthropic or groq, brings its type and address. Any other name needs both.",
  empty: <a href={link("start")}>Add a provider key, and send a first request</a>,
  columns: [
    { title: "Type", cell: (row) => String(row.spec["type"] ?? row.name) },
    { title: "Keys", cell: (row) => keysOf(row).map((name) => <Pill key={name}>{name}</Pill>) },
    { title: "Address", isMinor: true, cell: (row) => <span class="mono">{String(row.spec["base_url"] ?? "its own")}</span> },
  ],
  above: (row) =>
    may("requests:read") ? (
      <p>
        <a href={link("requests", "", { provider: row.name })}>Requests that it served</a>
        {may("health:write", true) && (
          <>
            {" · "}
            <a href={link("health", "", { hold: row.name })}>Take it out of use</a>
          </>
        )}
      </p>
    ) : null,
};

function keysOf(row: Resource): string[] {
  const keys = row.spec["keys"];
  return keys !== null && typeof keys === "object" ? Object.keys(keys) : ["default"];
}
