// Routing rules: as a tree by scope, in the order in which they are evaluated.

import { get } from "../api";
import { useLoad } from "../hooks";
import { Resources, type Resource, type ResourceKind } from "../parts/resources";
import { Card, Empty, Pill, Trouble } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";
import { targetName } from "./models";

export const page: Page = {
  path: "rules",
  title: "Rules",
  group: "Configure",
  order: 25,
  icon: "M6 4v6a4 4 0 0 0 4 4h8M6 4 3.500 6.500M6 4l2.500 2.500M18 14l-2.500-2.500M18 14l-2.500 2.500M6 20v-4",
  needs: ["config:read*"],
  view: () => <Resources kind={KIND} />,
};

const ORDER = ["virtual_key", "team", "customer", "global"];

function effect(spec: Record<string, unknown>): string {
  if (spec["refuse"]) return "rejects the request";
  if (spec["model"]) return `asks for ${String(spec["model"])}`;
  const targets = (spec["targets"] as unknown[] | undefined) ?? [];
  if (targets.length) return `goes to ${targets.map(targetName).join(", ")}`;
  return "changes the request";
}

/** The rules by scope: those of a key come first, then those of its team, its customer, and the global ones. */
function Tree() {
  const found = useLoad(() => get<{ items: Resource[] }>("rules", { limit: 1000 }), []);
  const byScope = new Map<string, Resource[]>();
  for (const one of found.data?.items ?? []) {
    const scope = String(one.spec["scope"] ?? "global");
    byScope.set(scope, [...(byScope.get(scope) ?? []), one]);
  }
  const level = (scope: string) => ORDER.indexOf(scope.split(":")[0] ?? "");
  const scopes = [...byScope.keys()].sort((a, b) => level(a) - level(b) || a.localeCompare(b));
  return (
    <Card title="Order" note="the first rule that matches decides">
      <Trouble text={found.error} retry={found.reload} />
      {scopes.length === 0 ? (
        <Empty title="No rule yet." />
      ) : (
        <div class="body">
          {scopes.map((scope) => (
            <div class="part" key={scope}>
              <h3>{scope === "global" ? "Everything" : scope.replace("_", " ").replace(":", " ")}</h3>
              <ol class="plan">
                {(byScope.get(scope) ?? []).map((one) => (
                  <li key={one.name} class={one.spec["enabled"] === false ? "untried" : ""}>
                    <a href={link("rules", one.name)}>{one.name}</a> {one.spec["enabled"] === false && <Pill>disabled</Pill>} {one.spec["chain"] === true && <Pill tone="accent">chain</Pill>}
                    <small>
                      {one.spec["when"] ? (
                        <>
                          when <code>{String(one.spec["when"])}</code>
                        </>
                      ) : (
                        "always"
                      )}
                      : {effect(one.spec)}
                    </small>
                  </li>
                ))}
              </ol>
            </div>
          ))}
        </div>
      )}
    </Card>
  );
}

const KIND: ResourceKind = {
  plural: "rules",
  singular: "rule",
  title: "Rules",
  note: "A rule changes where requests go, when its condition holds. Conditions are in CEL.",
  schema: "RuleSettings",
  main: ["scope", "when", "targets", "model"],
  without: ["name"],
  writes: "config:write",
  start: { scope: "global", when: "" },
  nameHint: "Rules made here come after those of the file within their scope, in the order of their names.",
  empty: "For example: when a header has a value, the request goes to another model.",
  before: <Tree />,
  columns: [
    { title: "Scope", cell: (row) => String(row.spec["scope"] ?? "global") },
    { title: "When", class: "wide-cell", cell: (row) => <code>{String(row.spec["when"] ?? "always")}</code> },
    { title: "Effect", class: "wide-cell", cell: (row) => effect(row.spec) },
  ],
  above: () => (
    <p>
      <a href={link("explain")}>Try it on a request</a>
    </p>
  ),
};
