// Prices that replace those of the catalog.

import { Resources, type ResourceKind } from "../parts/resources";
import type { Page } from "../registry";

export const page: Page = {
  path: "prices",
  title: "Prices",
  group: "Configure",
  order: 26,
  icon: "M12 3v18M16.5 7c-.8-1.3-2.4-2-4.5-2-2.8 0-4.5 1.3-4.5 3.3 0 4.6 9.5 2.4 9.5 7.2 0 2.1-2 3.5-5 3.5-2.4 0-4.200-.9-5-2.4",
  needs: ["config:read*"],
  view: () => <Resources kind={KIND} />,
};

function price(value: unknown): string {
  return value === undefined || value === null ? "–" : `$${String(value)}`;
}

const KIND: ResourceKind = {
  plural: "prices",
  singular: "price",
  title: "Prices",
  note: "They replace the catalog's, for everybody or for one key, team or customer.",
  schema: "PriceSettings",
  main: ["model", "input_usd_per_million", "output_usd_per_million"],
  writes: "config:write",
  empty: "The prices of the catalog are in force. Make a price for a model that it does not know.",
  nameOf: (spec) => [String(spec["model"] ?? ""), ...["virtual_key", "team", "customer"].flatMap((owner) => (spec[owner] ? [`${owner}=${String(spec[owner])}`] : []))].join(";"),
  columns: [
    { title: "Input, per million", isNumber: true, cell: (row) => price(row.spec["input_usd_per_million"]) },
    { title: "Output, per million", isNumber: true, cell: (row) => price(row.spec["output_usd_per_million"]) },
    { title: "Per request", isNumber: true, isMinor: true, cell: (row) => price(row.spec["per_request_usd"]) },
  ],
};
