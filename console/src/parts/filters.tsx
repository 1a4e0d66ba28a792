// A bar of filters. Their values are parameters of the page's address, so that a view can be shared.

import { useEffect, useRef, useState } from "preact/hooks";

import { route, setParams } from "../router";

export interface Filter {
  name: string;
  label: string;
  /** Without choices it is a field for text. */
  choices?: readonly (readonly [value: string, text: string])[];
  type?: "text" | "number";
  isMain?: boolean;
}

export function Filters({ filters }: { filters: readonly Filter[] }) {
  const params = route.value.params;
  const minor = filters.filter((one) => !one.isMain);
  const used = minor.filter((one) => params.get(one.name)).length;
  const [isOpen, setOpen] = useState(used > 0);
  const shown = filters.filter((one) => one.isMain || isOpen);
  const anything = filters.some((one) => params.get(one.name));
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      {shown.map((one) => (
        <Field key={one.name} filter={one} value={params.get(one.name) ?? ""} />
      ))}
      {minor.length > 0 && (
        <button type="button" class="plain" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {isOpen ? "Fewer filters" : `More filters`}
        </button>
      )}
      {anything && (
        <button type="button" class="plain" onClick={() => setParams(Object.fromEntries(filters.map((one) => [one.name, null])))}>
          Clear
        </button>
      )}
    </form>
  );
}

function Field({ filter, value }: { filter: Filter; value: string }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  function change(next: string): void {
    setText(next);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setParams({ [filter.name]: next.trim() || null }), 300);
  }
  return (
    <label>
      <span>{filter.label}</span>
      {filter.choices ? (
        <select value={value} onChange={(event) => setParams({ [filter.name]: event.currentTarget.value || null })}>
          {filter.choices.map(([one, shown]) => (
            <option key={one} value={one}>
              {shown}
            </option>
          ))}
        </select>
      ) : (
        <input
          type="text"
          inputMode={filter.type === "number" ? "decimal" : "text"}
          data-search={filter.isMain ? "" : undefined}
          value={text}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
    </label>
  );
}

/** Returns the values of filters, as parameters for the API. */
export function chosen(filters: readonly Filter[]): Record<string, string> {
  const params = route.value.params;
  return Object.fromEntries(filters.flatMap((one) => (params.get(one.name) ? [[one.name, params.get(one.name) as string]] : [])));
}
