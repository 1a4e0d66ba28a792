// Tables, with a button for the next page of a list that is read by key.

import type { ComponentChildren } from "preact";

import type { Keyset } from "../hooks";
import { Empty, Trouble } from "./ui";

export interface Column<T> {
  title: string;
  cell: (row: T) => ComponentChildren;
  /** Numbers are set to the right. */
  isNumber?: boolean;
  /** Left out on narrow screens. */
  isMinor?: boolean;
  class?: string;
}

interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  id: (row: T) => string;
  /** The address that a row opens. */
  href?: (row: T) => string;
  tone?: (row: T) => string;
  height?: boolean;
}

export function Table<T>({ label, columns, rows, id, href, tone, height }: TableProps<T>) {
  function classOf(column: Column<T>): string {
    return [column.isNumber ? "number" : "", column.isMinor ? "minor" : "", column.class ?? ""].filter(Boolean).join(" ");
  }
  return (
    <div class={`scroll ${height ? "bounded" : ""}`} role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" class={classOf(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)} class={[href ? "link" : "", tone?.(row) ?? ""].join(" ")} onClick={href && ((event) => open(event, href(row)))}>
              {columns.map((column, index) => (
                <td key={column.title} class={classOf(column)}>
                  {index === 0 && href ? <a href={href(row)}>{column.cell(row)}</a> : column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A click anywhere in a row follows its link, unless it meant something else. */
function open(event: MouseEvent, address: string): void {
  const target = event.target as HTMLElement;
  if (target.closest("a, button, input, label") || getSelection()?.toString()) return;
  if (event.metaKey || event.ctrlKey) window.open(address, "_blank", "noopener");
  else location.assign(address);
}

interface ListProps<T> extends Omit<TableProps<T>, "rows"> {
  list: Keyset<T>;
  empty: ComponentChildren;
}

/** A table of a list that is read page by page, with its states. */
export function List<T>({ list, empty, ...table }: ListProps<T>) {
  if (list.error) return <Trouble text={list.error} retry={list.reload} />;
  if (!list.rows.length) return list.isLoading ? <Empty title="Loading…" /> : <>{empty}</>;
  return (
    <>
      <Table {...table} rows={list.rows} />
      {list.more && (
        <div class="more">
          <button type="button" disabled={list.isLoading} onClick={list.more}>
            {list.isLoading ? "Loading…" : "Show more"}
          </button>
        </div>
      )}
    </>
  );
}
