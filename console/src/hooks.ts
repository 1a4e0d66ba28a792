// Hooks that pages share.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { messageOf } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  error: string;
  isLoading: boolean;
  reload: () => void;
}

/**
 * Loads data, again when `deps` change, and every `everyMs` while the page is visible. Data stays shown while newer data is
 * loaded, and an answer to an earlier question is dropped.
 */
export function useLoad<T>(load: () => Promise<T>, deps: readonly unknown[], everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{ data: T | undefined; error: string; isLoading: boolean }>({
    data: undefined,
    error: "",
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    let isCurrent = true;
    let timer = 0;
    async function step(): Promise<void> {
      if (!document.hidden || everyMs === 0) {
        try {
          const data = await latest.current();
          if (isCurrent) setState({ data, error: "", isLoading: false });
        } catch (error) {
          if (isCurrent) setState((before) => ({ ...before, error: messageOf(error), isLoading: false }));
        }
      }
      if (isCurrent && everyMs > 0) timer = window.setTimeout(step, everyMs);
    }
    setState((before) => ({ ...before, isLoading: true }));
    void step();
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [...deps, turn, everyMs]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { ...state, reload };
}

export interface Keyset<T> {
  rows: T[];
  error: string;
  isLoading: boolean;
  more: (() => void) | null;
  reload: () => void;
}

/** Loads a list page by page. `load` gets the `next` of the page before, and returns rows and the next `next`. */
export function useKeyset<T>(
  load: (after: string | null) => Promise<{ rows: T[]; next: string | null }>,
  deps: readonly unknown[],
): Keyset<T> {
  const [state, setState] = useState<{ rows: T[]; next: string | null; error: string; isLoading: boolean }>({
    rows: [],
    next: null,
    error: "",
    isLoading: true,
  });
  const [turn, setTurn] = useState(0);
  const generation = useRef(0);
  const latest = useRef(load);
  latest.current = load;
  const fetchPage = useCallback(async (after: string | null, mine: number) => {
    setState((before) => ({ ...before, isLoading: true }));
    try {
      const page = await latest.current(after);
      if (mine !== generation.current) return;
      setState((before) => ({
        rows: after === null ? page.rows : [...before.rows, ...page.rows],
        next: page.next,
        error: "",
        isLoading: false,
      }));
    } catch (error) {
      if (mine === generation.current) setState((before) => ({ ...before, error: messageOf(error), isLoading: false }));
    }
  }, []);
  useEffect(() => {
    generation.current += 1;
    void fetchPage(null, generation.current);
    return () => {
      generation.current += 1;
    };
  }, [...deps, turn]);
  const next = state.next;
  return {
    rows: state.rows,
    error: state.error,
    isLoading: state.isLoading,
    more: next === null ? null : () => void fetchPage(next, generation.current),
    reload: useCallback(() => setTurn((before) => before + 1), []),
  };
}
