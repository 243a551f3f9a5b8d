import type { z } from 'zod';

export type Path = readonly PropertyKey[];

type Schema = z.core.$ZodType;

/** What a schema wraps (optional, default, transform ...), if it wraps anything. */
function inner(schema: Schema): Schema | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if ('innerType' in def) return def.innerType;
  if (def.type === 'pipe') return def.in;
  return def.type === 'lazy' ? def.getter() : undefined;
}

/** The options of the union at the heart of a schema, in zod's order; null when it is none. */
export function unionOptions(schema: Schema): readonly Schema[] | null {
  const wrapped = inner(schema);
  if (wrapped) return unionOptions(wrapped);
  const { def } = (schema as z.core.$ZodTypes)._zod;
  return def.type === 'union' ? def.options : null;
}

/**
 * What a schema may be once everything that only wraps it is taken off. A union is all of its options, so the answer is a
 * list. zod's issues name neither the schema nor its keys; this finds them again.
 */
export function unwrap(schema: Schema): readonly Schema[] {
  const wrapped = inner(schema);
  return wrapped ? unwrap(wrapped) : (unionOptions(schema)?.flatMap(unwrap) ?? [schema]);
}

/** The schemas at a path. More than one below a union, none where the schema knows no such place. */
export function schemasAt(schema: Schema, path: Path): readonly Schema[] {
  const [key, ...rest] = path;
  if (key === undefined) return [schema];
  return unwrap(schema).flatMap((candidate) => {
    const child = childOf(candidate, key);
    return child ? schemasAt(child, rest) : [];
  });
}

function childOf(schema: Schema, key: PropertyKey): Schema | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type === 'object') return Object.hasOwn(def.shape, key) ? def.shape[String(key)] : undefined;
  if (def.type === 'array') return def.element;
  return def.type === 'record' ? def.valueType : undefined;
}

/** The keys an object may have at a schema, those of all a union's options together; empty where it is no object. */
export function keysOf(schemas: readonly Schema[]): readonly string[] {
  const keys = schemas.flatMap(unwrap).flatMap((schema) => {
    const { def } = (schema as z.core.$ZodTypes)._zod;
    return def.type === 'object' ? Object.keys(def.shape) : [];
  });
  return [...new Set(keys)];
}
