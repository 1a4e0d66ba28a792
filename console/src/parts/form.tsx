// Forms from JSON Schema. Settings without a field are edited as JSON; the gateway checks everything again.

import { useEffect, useId, useState } from "preact/hooks";

import type { FieldError } from "../api";
import { innerOf, kindOf, options, resolve, type Schema, type Schemas } from "../schema";

export type Value = unknown;
type Fields = Record<string, Value>;

interface EditorProps {
  all: Schemas;
  schema: Schema;
  value: Value;
  change: (value: Value) => void;
  label: string;
  isSecret?: boolean;
}

const SECRETS = new Set(["value", "secret", "client_secret", "password", "token", "secret_access_key", "session_token", "private_key"]);

export function titleOf(name: string): string {
  const words = name.replaceAll("_", " ").replace(/\b(usd|url|id|api)\b/g, (word) => ({ usd: "USD", url: "URL", id: "id", api: "API" })[word] ?? word);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function asFields(value: Value): Fields {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Fields) : {};
}

/** Returns the fields with one changed; a field that is undefined is left out. */
export function withField(fields: Fields, name: string, value: Value): Fields {
  const found = { ...fields, [name]: value };
  if (value === undefined) delete found[name];
  return found;
}

interface FormProps {
  all: Schemas;
  schema: Schema;
  value: Value;
  change: (value: Value) => void;
  /** The fields that are always shown, in this order. Others are shown if they are set, or on demand. */
  main?: readonly string[];
  without?: readonly string[];
}

export function SchemaForm({ all, schema, value, change, main, without = [] }: FormProps) {
  const fields = asFields(value);
  const names = Object.keys(schema.properties ?? {}).filter((name) => !without.includes(name));
  const [opened, setOpened] = useState<readonly string[]>([]);
  const always = main ?? names.filter((name) => schema.required?.includes(name));
  const shown = [...always, ...names.filter((name) => !always.includes(name) && (fields[name] !== undefined || opened.includes(name)))].filter((name) => names.includes(name));
  const rest = names.filter((name) => !shown.includes(name));
  return (
    <div class="form">
      {shown.map((name) => (
        <SchemaField
          key={name}
          all={all}
          name={name}
          schema={schema.properties?.[name] ?? {}}
          isRequired={schema.required?.includes(name) ?? false}
          value={fields[name]}
          change={(next) => change(withField(fields, name, next))}
        />
      ))}
      {rest.length > 0 && (
        <label class="field">
          <span class="label">Add a setting</span>
          <select value="" onChange={(event) => setOpened([...opened, event.currentTarget.value])}>
            <option value="">Choose…</option>
            {rest.map((name) => (
              <option key={name} value={name}>
                {titleOf(name)}
              </option>
            ))}
          </select>
        </label>
      )}
    </div>
  );
}

interface SchemaFieldProps {
  all: Schemas;
  name: string;
  schema: Schema;
  isRequired: boolean;
  value: Value;
  change: (value: Value) => void;
}

function SchemaField({ all, name, schema, isRequired, value, change }: SchemaFieldProps) {
  const id = useId();
  const found = resolve(all, schema);
  const kind = editorFor(options(all, schema), value).kind;
  const label = titleOf(name);
  const hint = found.description?.replaceAll("\n", " ").replaceAll("`", "");
  const head = (
    <span class="label">
      <b>{label}</b>
      {isRequired ? "" : " (optional)"}
    </span>
  );
  const editor = <Editor all={all} schema={schema} value={value} change={change} label={label} isSecret={SECRETS.has(name)} />;
  if (kind === "object" || kind === "map" || kind === "list") {
    return (
      <fieldset aria-describedby={hint ? id : undefined}>
        <legend>{label}</legend>
        {hint && (
          <span class="hint soft" id={id}>
            {hint}
          </span>
        )}
        {editor}
      </fieldset>
    );
  }
  return (
    <div class="field">
      {head}
      {editor}
      {hint && <span class="hint">{hint}</span>}
    </div>
  );
}

/** Chooses the alternative that fits a value, else the first one that has a field of its own. */
function editorFor(found: readonly Schema[], value: Value): { schema: Schema; kind: ReturnType<typeof kindOf> } {
  const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
  const fitting = found.filter((one) => {
    const kind = kindOf(one);
    if (value === undefined || value === null) return true;
    if (Array.isArray(value)) return kind === "list";
    if (isObject) return kind === "object" || kind === "map";
    if (typeof value === "boolean") return kind === "boolean";
    return kind === "text" || kind === "number" || kind === "choice";
  });
  const schema = fitting.find((one) => one.enum) ?? fitting.find((one) => kindOf(one) !== "json") ?? {};
  return { schema, kind: kindOf(schema) };
}

function Editor({ all, schema, value, change, label, isSecret }: EditorProps) {
  const found = options(all, schema);
  const { schema: chosen, kind } = editorFor(found, value);
  switch (kind) {
    case "boolean":
      return (
        <label class="check">
          <input type="checkbox" checked={value === true || (value === undefined && chosen.default === true)} onChange={(event) => change(event.currentTarget.checked)} />
          <span>{label}</span>
        </label>
      );
    case "choice":
      return <Choice schema={chosen} value={value} change={change} label={label} preset={schema.default} others={found.length > 1 ? found.filter((one) => !one.enum) : []} />;
    case "list":
      return <ListEditor all={all} schema={chosen} value={value} change={change} label={label} />;
    case "map":
      return <MapEditor all={all} schema={chosen} value={value} change={change} label={label} />;
    case "object":
      return <SchemaForm all={all} schema={chosen} value={value} change={(next) => change(Object.keys(asFields(next)).length ? next : undefined)} />;
    case "number":
    case "text":
      return <Text value={value} change={change} label={label} isSecret={isSecret} isExact={found.some((one) => kindOf(one) === "text")} isNumber={found.every((one) => kindOf(one) === "number")} preset={schema.default} />;
    default:
      return <JsonEditor value={value} change={change} label={label} />;
  }
}

interface TextProps {
  value: Value;
  change: (value: Value) => void;
  label: string;
  isSecret?: boolean | undefined;
  isExact: boolean;
  isNumber: boolean;
  preset: unknown;
}

function Text({ value, change, label, isSecret, isExact, isNumber, preset }: TextProps) {
  const text = value === undefined || value === null ? "" : String(value);
  function take(next: string): void {
    if (next === "") change(undefined);
    else if (isNumber && !isExact && next.trim() !== "" && Number.isFinite(Number(next))) change(Number(next));
    else change(next);
  }
  const hint = preset === undefined || preset === null || typeof preset === "object" || preset === "" ? "" : String(preset);
  if (label === "When" || text.length > 90) {
    return <textarea aria-label={label} class="mono" rows={3} value={text} onInput={(event) => take(event.currentTarget.value)} />;
  }
  const shared = {
    "aria-label": label,
    autocomplete: "off",
    placeholder: hint,
    value: text,
    onInput: (event: { currentTarget: HTMLInputElement }) => take(event.currentTarget.value),
  } as const;
  return isSecret && !text.startsWith("sealed:") ? <input type="password" {...shared} /> : <input type="text" inputMode={isNumber ? "decimal" : "text"} {...shared} />;
}

interface ChoiceProps {
  schema: Schema;
  value: Value;
  change: (value: Value) => void;
  label: string;
  preset: unknown;
  others: readonly Schema[];
}

function Choice({ schema, value, change, label, preset }: ChoiceProps) {
  const known = (schema.enum ?? []).map(String);
  const now = value === undefined || value === null ? "" : String(value);
  return (
    <select aria-label={label} value={now} onChange={(event) => change(event.currentTarget.value || undefined)}>
      <option value="">{preset === undefined || preset === null ? "default" : `default: ${String(preset)}`}</option>
      {now && !known.includes(now) && <option value={now}>{now}</option>}
      {known.map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  );
}

function ListEditor({ all, schema, value, change, label }: EditorProps) {
  const items = Array.isArray(value) ? (value as Value[]) : [];
  const inner = schema.items ?? {};
  const found = options(all, inner);
  const object = found.find((one) => kindOf(one) === "object");
  function set(next: Value[]): void {
    change(next.length ? next : undefined);
  }
  // A text is short for an object with that one required field, as in the targets of a model.
  const only = object?.required?.length === 1 ? object.required[0] : undefined;
  const full = (item: Value): Value => (object && only && typeof item === "string" ? { [only]: item } : item);
  return (
    <>
      {items.map((item, index) => (
        <div class="item" key={index}>
          <Editor
            all={all}
            schema={object ?? inner}
            value={full(item)}
            label={`${label} ${index + 1}`}
            change={(next) => set(items.map((one, at) => (at === index ? (next ?? (object ? {} : "")) : one)))}
          />
          <button type="button" class="plain" aria-label={`Remove ${label} ${index + 1}`} onClick={() => set(items.filter((_, at) => at !== index))}>
            ×
          </button>
        </div>
      ))}
      <div>
        <button type="button" onClick={() => change([...items, object ? {} : ""])}>
          Add
        </button>
      </div>
    </>
  );
}

function MapEditor({ all, schema, value, change, label }: EditorProps) {
  const entries = Object.entries(asFields(value));
  const inner = innerOf(schema) ?? {};
  const [name, setName] = useState("");
  const found = options(all, inner);
  const object = found.find((one) => kindOf(one) === "object");
  function add(): void {
    if (!name.trim()) return;
    change({ ...asFields(value), [name.trim()]: object ? {} : "" });
    setName("");
  }
  return (
    <>
      {entries.map(([key, item]) => (
        <div class="item" key={key}>
          <fieldset>
            <legend>{key}</legend>
            <Editor all={all} schema={inner} value={item} label={`${label} ${key}`} isSecret={false} change={(next) => change({ ...asFields(value), [key]: next ?? (object ? {} : "") })} />
          </fieldset>
          <button
            type="button"
            class="plain"
            aria-label={`Remove ${key}`}
            onClick={() => {
              const left = withField(asFields(value), key, undefined);
              change(Object.keys(left).length ? left : undefined);
            }}
          >
            ×
          </button>
        </div>
      ))}
      <div class="buttons">
        <input aria-label={`Name of a new entry of ${label}`} placeholder="name" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        <button type="button" disabled={!name.trim()} onClick={add}>
          Add
        </button>
      </div>
    </>
  );
}

export function JsonEditor({ value, change, label, rows = 4 }: { value: Value; change: (value: Value) => void; label: string; rows?: number }) {
  const [text, setText] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const [error, setError] = useState("");
  useEffect(() => {
    try {
      if (JSON.stringify(JSON.parse(text || "null")) === JSON.stringify(value ?? null)) return;
    } catch {
      return; // the text is being typed
    }
    setText(value === undefined ? "" : JSON.stringify(value, null, 2));
  }, [value]);
  function take(next: string): void {
    setText(next);
    try {
      const parsed: unknown = next.trim() ? JSON.parse(next) : undefined;
      setError("");
      change(parsed);
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    }
  }
  return (
    <div class="field">
      <textarea class="mono" aria-label={`${label} as JSON`} aria-invalid={error !== ""} rows={Math.max(rows, Math.min(24, text.split("\n").length))} spellcheck={false} value={text} onInput={(event) => take(event.currentTarget.value)} />
      {error && <span class="error">This is not JSON: {error}</span>}
    </div>
  );
}

/** The fields at fault, as the gateway names them. */
export function Faults({ message, errors }: { message: string; errors: readonly FieldError[] }) {
  if (!message) return null;
  return (
    <div class="trouble" role="alert">
      {errors.length === 0 ? (
        <span>{message}</span>
      ) : (
        <ul class="plain-list">
          {errors.map((one, index) => (
            <li key={index}>
              <code>{one.field}</code> {one.message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
