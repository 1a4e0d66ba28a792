// The pages. A file in `pages/` registers itself by its export `page`.

import type { ComponentType } from "preact";

export const GROUPS = ["Watch", "Spend", "Configure", "Operate", "Access"] as const;

export interface Page {
  /** The first part of the address, such as `requests` in `#/requests`. */
  path: string;
  title: string;
  /** The part of the navigation; a page without one is reached by links. */
  group?: (typeof GROUPS)[number];
  /** The place within the group. */
  order?: number;
  /** An SVG path within a square of 24. */
  icon: string;
  /** Permissions of which one is enough; `status:read*` means for everything. The page is not shown without. */
  needs: readonly string[];
  /** The letter that opens the page after `g`. */
  key?: string;
  view: ComponentType;
}

const modules = import.meta.glob<{ page: Page }>("./pages/*.tsx", { eager: true });

export const PAGES: readonly Page[] = Object.values(modules)
  .map((one) => one.page)
  .sort((a, b) => (a.order ?? 99) - (b.order ?? 99));
