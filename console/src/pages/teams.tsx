// Teams, with their budgets.

import { Resources, type ResourceKind } from "../parts/resources";
import type { Page } from "../registry";
import { link } from "../router";
import { may } from "../session";
import { budgetsText } from "./customers";

export const page: Page = {
  path: "teams",
  title: "Teams",
  group: "Configure",
  order: 21,
  key: "t",
  icon: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2.2.8 3.5 2.8 3.5 5.5",
  needs: ["teams:read"],
  view: () => <Resources kind={KIND} />,
};

const KIND: ResourceKind = {
  plural: "teams",
  singular: "team",
  title: "Teams",
  note: "Keys may belong to a team, and share its limits.",
  schema: "TeamSettings",
  main: ["customer", "budgets", "rate_limits"],
  writes: "teams:write",
  empty: "A team groups keys under common budgets.",
  columns: [
    { title: "Customer", cell: (row) => String(row.spec["customer"] ?? "–") },
    { title: "Limits", class: "wide-cell", cell: (row) => budgetsText(row.spec) },
  ],
  above: (row) => (
    <p>
      <a href={link("usage", "", { team: row.name, by: "key" })}>Who spent what</a>
      {may("keys:read") && (
        <>
          {" · "}
          <a href={link("keys", "", { team: row.name })}>Keys</a>
        </>
      )}
      {may("budgets:read") && (
        <>
          {" · "}
          <a href={link("limits", "", { owner: `team:${row.name}` })}>Limits</a>
        </>
      )}
    </p>
  ),
};
