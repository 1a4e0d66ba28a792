// Public names of models: the targets that serve each, and their strategy.

import { Resources, type ResourceKind } from "../parts/resources";
import { Pill } from "../parts/ui";
import type { Page } from "../registry";
import { link } from "../router";

export const page: Page = {
  path: "models",
  title: "Models",
  group: "Configure",
  order: 24,
  key: "m",
  icon: "M12 3 4 7.5v9L12 21l8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  needs: ["config:read*"],
  view: () => <Resources kind={KIND} />,
};

export function targetName(target: unknown): string {
  return typeof target === "string" ? target : String((target as { model?: unknown } | null)?.model ?? "");
}

const KIND: ResourceKind = {
  plural: "models",
  singular: "model",
  title: "Models",
  note: "Public names that clients ask for. “provider/model” and the names of the catalog work without being listed.",
  schema: "ModelSettings",
  main: ["strategy", "targets", "fallbacks"],
  writes: "config:write",
  start: { targets: [] },
  nameHint: "The name that clients send as the model.",
  empty: "A public name lets several providers serve one model, with failover between them.",
  columns: [
    { title: "Strategy", cell: (row) => strategyName(row.spec["strategy"]) },
    {
      title: "Targets",
      class: "wide-cell",
      cell: (row) => ((row.spec["targets"] as unknown[] | undefined) ?? []).map((one, index) => <Pill key={index}>{targetName(one)}</Pill>),
    },
    { title: "Fallbacks", isMinor: true, cell: (row) => ((row.spec["fallbacks"] as string[] | undefined) ?? []).join(", ") || "–" },
  ],
  above: (row) => (
    <p>
      <a href={link("routing", row.name)}>How it is routed</a> · <a href={link("explain", "", { model: row.name })}>Explain a request</a> ·{" "}
      <a href={link("requests", "", { model: row.name })}>Requests</a>
    </p>
  ),
};

export function strategyName(strategy: unknown): string {
  if (typeof strategy === "string") return strategy;
  if (strategy !== null && typeof strategy === "object") return Object.keys(strategy)[0] ?? "default";
  return "default";
}
