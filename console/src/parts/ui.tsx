// Small parts: cards, states, pills, buttons, dialogs, toasts.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

import { messageOf } from "../api";

export function Icon({ path }: { path: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

interface CardProps {
  title?: ComponentChildren;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}

export function Card({ title, note, actions, children, class: kind = "" }: CardProps) {
  return (
    <section class={`card ${kind}`}>
      {(title || actions) && (
        <header>
          <h2>
            {title}
            {note && <small>{note}</small>}
          </h2>
          {actions && <div class="actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

export function Head({ title, note, children }: { title: ComponentChildren; note?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="head">
      <div>
        <h1>{title}</h1>
        {note && <p>{note}</p>}
      </div>
      {children && <div class="actions">{children}</div>}
    </div>
  );
}

/** The state of a page without data: what is missing, and what to do next. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>{title}</p>
      {children && <div>{children}</div>}
    </div>
  );
}

export function Trouble({ text, retry }: { text: string; retry?: (() => void) | undefined }) {
  if (!text) return null;
  return (
    <div class="trouble" role="alert">
      <span>{text}</span>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export type Tone = "good" | "bad" | "warm" | "soft" | "accent";

export function Pill({ tone = "soft", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`pill ${tone}`}>{children}</span>;
}

const HEALTH: Record<string, Tone> = { healthy: "good", degraded: "warm", recovering: "warm", failed: "bad" };

export function HealthPill({ state }: { state: string }) {
  return <Pill tone={HEALTH[state] ?? "soft"}>{state}</Pill>;
}

export function StatusPill({ status, code }: { status: number; code?: string | null | undefined }) {
  const tone: Tone = status === 0 || status >= 500 ? "bad" : status >= 400 ? "warm" : "good";
  return <Pill tone={tone}>{status === 0 ? "worker died" : `${status}${code ? ` ${code}` : ""}`}</Pill>;
}

export function Bar({ share, label }: { share: number; label: string }) {
  const kind = share >= 1 ? "full" : share >= 0.8 ? "warm" : "";
  return <progress class={kind} value={Math.min(1, share)} max={1} aria-label={label} />;
}

interface FigureProps {
  label: string;
  value: ComponentChildren;
  note?: ComponentChildren;
  tone?: Tone;
  children?: ComponentChildren;
}

export function Figure({ label, value, note, tone, children }: FigureProps) {
  return (
    <div class="figure">
      <span class="label">{label}</span>
      <b class={tone}>{value}</b>
      {note && <span class="note">{note}</span>}
      {children}
    </div>
  );
}

/** A button that runs a task once at a time, and shows its error as a toast. */
interface ActionProps {
  run: () => Promise<unknown> | void;
  children: ComponentChildren;
  kind?: "main" | "danger" | "plain";
  disabled?: boolean;
}

export function Action({ run, children, kind, disabled }: ActionProps) {
  const [isBusy, setBusy] = useState(false);
  async function click(): Promise<void> {
    setBusy(true);
    try {
      await run();
    } catch (error) {
      toast(messageOf(error), "bad");
    } finally {
      setBusy(false);
    }
  }
  return (
    <button type="button" class={kind} disabled={disabled || isBusy} aria-busy={isBusy} onClick={click}>
      {children}
    </button>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  async function copy(): Promise<void> {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  }
  return <Action run={copy}>{label}</Action>;
}

// Toasts: short messages about what was done, or failed.

interface Message {
  id: number;
  text: string;
  tone: Tone;
}

const messages = signal<Message[]>([]);
let nextId = 0;

export function toast(text: string, tone: Tone = "good"): void {
  const id = (nextId += 1);
  messages.value = [...messages.value.slice(-3), { id, text, tone }];
  setTimeout(() => dismiss(id), tone === "bad" ? 12_000 : 4000);
}

function dismiss(id: number): void {
  messages.value = messages.value.filter((one) => one.id !== id);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {messages.value.map((one) => (
        <div key={one.id} class={`toast ${one.tone}`}>
          <span>{one.text}</span>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(one.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}

// Dialogs.

interface DialogProps {
  title: string;
  close: () => void;
  children: ComponentChildren;
  wide?: boolean;
}

/** A modal dialog of the browser: it keeps the focus, and Escape closes it. */
export function Dialog({ title, close, children, wide }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const one = box.current;
    one?.showModal();
    return () => one?.close();
  }, []);
  return (
    <dialog
      ref={box}
      class={wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick={close}>
          ×
        </button>
      </header>
      <div class="content">{children}</div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children: ComponentChildren;
  verb: string;
  run: () => Promise<unknown>;
  close: () => void;
}

export function Confirm({ title, children, verb, run, close }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
      <div class="prose">{children}</div>
      <footer>
        <button type="button" onClick={close}>
          Cancel
        </button>
        <Action kind="danger" run={async () => (await run(), close())}>
          {verb}
        </Action>
      </footer>
    </Dialog>
  );
}

/** A value that is shown once, with a button to copy it. */
export function Secret({ label, value }: { label: string; value: string }) {
  return (
    <div class="secret">
      <label>
        {label}
        <input readOnly value={value} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <Copy text={value} />
    </div>
  );
}

export function Json({ value }: { value: unknown }) {
  return (
    <pre class="json" tabIndex={0} aria-label="JSON">
      {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
    </pre>
  );
}

/** Terms and their descriptions. Those without a value are left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  const known = facts.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return (
    <dl class="facts">
      {known.map(([term, value]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Tabs({ names, chosen, choose }: { names: readonly string[]; chosen: string; choose: (name: string) => void }) {
  return (
    <div class="tabs" role="group">
      {names.map((name) => (
        <button key={name} type="button" class="plain" aria-pressed={name === chosen} onClick={() => choose(name)}>
          {name}
        </button>
      ))}
    </div>
  );
}
