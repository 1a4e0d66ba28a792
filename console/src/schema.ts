// The JSON Schemas of resources, from the API's description of itself.

import { get } from "./api";

export interface Schema {
  $ref?: string;
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: readonly (string | number)[];
  anyOf?: readonly Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: readonly string[];
  pattern?: string;
}

export type Schemas = Record<string, Schema>;

let loaded: Promise<Schemas> | null = null;

/** Returns the schemas by name. They do not change while the gateway runs, so they are asked for once. */
export function schemas(): Promise<Schemas> {
  loaded ??= get<{ components: { schemas: Schemas } }>("openapi.json").then(
    (found) => found.components.schemas,
    (error: unknown) => {
      loaded = null;
      throw error;
    },
  );
  return loaded;
}

export function resolve(all: Schemas, schema: Schema): Schema {
  if (!schema.$ref) return schema;
  const found = all[schema.$ref.split("/").at(-1) ?? ""] ?? {};
  return { ...found, ...(schema.description ? { description: schema.description } : {}), default: schema.default };
}

/** The alternatives of a schema, without `null`, and without alternatives within alternatives. */
export function options(all: Schemas, schema: Schema): Schema[] {
  if (!schema.anyOf) return [resolve(all, schema)];
  return schema.anyOf.flatMap((one) => options(all, resolve(all, one))).filter((one) => one.type !== "null");
}

export type Kind = "text" | "number" | "boolean" | "choice" | "list" | "map" | "object" | "json";

export function kindOf(schema: Schema): Kind {
  if (schema.enum) return "choice";
  switch (schema.type) {
    case "string":
      return "text";
    case "number":
    case "integer":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return "list";
    case "object":
      return schema.properties ? "object" : innerOf(schema) ? "map" : "json";
    default:
      return "json";
  }
}

/** The schema of the values of a map. */
export function innerOf(schema: Schema): Schema | undefined {
  const pattern = Object.values(schema.patternProperties ?? {})[0];
  return pattern ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined);
}
