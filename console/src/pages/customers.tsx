// Customers, above teams, with their budgets.

import { Resources, type ResourceKind } from "../parts/resources";
import type { Page } from "../registry";
import { link } from "../router";
import { may } from "../session";

export const page: Page = {
  path: "customers",
  title: "Customers",
  group: "Configure",
  order: 22,
  key: "c",
  icon: "M4 20V6l8-3 8 3v14M9 20v-5h6v5M8 9h.01M12 9h.01M16 9h.01",
  needs: ["teams:read"],
  view: () => <Resources kind={KIND} />,
};

interface Window {
  limit_usd?: unknown;
  requests?: unknown;
  tokens?: unknown;
  per?: unknown;
}

/** The limits of an owner, as one line. */
export function budgetsText(spec: Record<string, unknown>): string {
  const all = [...((spec["budgets"] as Window[] | undefined) ?? []), ...((spec["rate_limits"] as Window[] | undefined) ?? [])];
  const per = (one: Window) => (typeof one.per === "string" ? one.per : JSON.stringify(one.per));
  const texts = all.map((one) => (one.limit_usd !== undefined ? `$${one.limit_usd}` : one.requests ? `${one.requests} requests` : `${one.tokens} tokens`) + ` per ${per(one)}`);
  return texts.join(", ") || "none";
}

const KIND: ResourceKind = {
  plural: "customers",
  singular: "customer",
  title: "Customers",
  note: "A customer has teams and keys, and limits above theirs.",
  schema: "CustomerSettings",
  main: ["budgets", "rate_limits"],
  writes: "teams:write",
  empty: "Customers are for those who bill the spending of several teams together.",
  columns: [{ title: "Limits", class: "wide-cell", cell: (row) => budgetsText(row.spec) }],
  above: (row) => (
    <p>
      <a href={link("usage", "", { customer: row.name, by: "team" })}>Who spent what</a>
      {may("budgets:read") && (
        <>
          {" · "}
          <a href={link("limits", "", { owner: `customer:${row.name}` })}>Limits</a>
        </>
      )}
    </p>
  ),
};
