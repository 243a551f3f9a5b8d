import { badParam } from './errors.ts';
import { isObject, type Json, type JsonObject } from './json.ts';

/*
 * The engine's grammar knows a part of JSON Schema and passes over the rest in silence. An answer that breaks a rule
 * the client wrote would look as if it kept it, so whatever the grammar cannot hold is refused here, by its path.
 */

/** Keywords that only describe: they constrain nothing. */
export const notes = new Set([
  'title',
  'description',
  '$schema',
  '$id',
  '$comment',
  'default',
  'examples',
  'deprecated',
]);
const scalars = new Set(['string', 'number', 'integer', 'boolean', 'null']);
const formats = new Set(['date-time', 'time', 'date']);

const keywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'format'],
};

const refuse = (path: string, why: string) => badParam(path, `Invalid schema: '${path}' ${why}.`, 'unsupported_schema');

function onlyKeys(schema: JsonObject, allowed: readonly string[], path: string): void {
  for (const key of Object.keys(schema)) {
    if (notes.has(key) || key === '$defs' || allowed.includes(key)) continue;
    throw refuse(`${path}.${key}`, 'is a keyword that generation cannot hold to');
  }
}

function each(value: Json | undefined, path: string, defs: ReadonlySet<string>): JsonObject {
  if (!isObject(value)) throw refuse(path, 'must be an object of schemas');
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, `${path}.${key}`, defs)]));
}

function all(value: Json | undefined, path: string, defs: ReadonlySet<string>): readonly JsonObject[] {
  if (!Array.isArray(value) || value.length === 0) throw refuse(path, 'must be an array of schemas, with at least one');
  return value.map((item: Json, index) => walk(item, `${path}[${String(index)}]`, defs));
}

function count(schema: JsonObject, key: string, path: string): void {
  const value = schema[key];
  if (value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0)) return;
  throw refuse(`${path}.${key}`, 'must be a whole number');
}

function objectSchema(schema: JsonObject, path: string, defs: ReadonlySet<string>): JsonObject {
  onlyKeys(schema, ['type', ...(keywords['object'] ?? [])], path);
  const { properties, additionalProperties, required, minProperties, maxProperties } = schema;
  count(schema, 'minProperties', path);
  count(schema, 'maxProperties', path);
  const names = isObject(properties) ? Object.keys(properties) : [];
  if (required !== undefined) {
    if (!Array.isArray(required)) throw refuse(`${path}.required`, 'must be an array of names');
    const missing = required.find((name: Json) => typeof name !== 'string' || !names.includes(name)) as
      Json | undefined;
    if (missing !== undefined) throw refuse(`${path}.required`, `names ${JSON.stringify(missing)}, not a property`);
  }
  // Every property is generated, also those that could be left out: an answer with all of them keeps the schema too.
  return {
    type: 'object',
    ...(properties === undefined ? {} : { properties: each(properties, `${path}.properties`, defs) }),
    additionalProperties:
      additionalProperties === undefined || typeof additionalProperties === 'boolean'
        ? (additionalProperties ?? properties === undefined)
        : walk(additionalProperties, `${path}.additionalProperties`, defs),
    ...(minProperties === undefined ? {} : { minProperties }),
    ...(maxProperties === undefined ? {} : { maxProperties }),
  };
}

function arraySchema(schema: JsonObject, path: string, defs: ReadonlySet<string>): JsonObject {
  onlyKeys(schema, ['type', ...(keywords['array'] ?? [])], path);
  const { items, prefixItems, minItems, maxItems } = schema;
  count(schema, 'minItems', path);
  count(schema, 'maxItems', path);
  return {
    type: 'array',
    ...(items === undefined ? {} : { items: walk(items, `${path}.items`, defs) }),
    ...(prefixItems === undefined ? {} : { prefixItems: all(prefixItems, `${path}.prefixItems`, defs) }),
    ...(minItems === undefined ? {} : { minItems }),
    ...(maxItems === undefined ? {} : { maxItems }),
  };
}

function scalarSchema(schema: JsonObject, type: string, path: string): JsonObject {
  onlyKeys(schema, ['type', ...(keywords[type] ?? [])], path);
  if (type !== 'string') return { type };
  const { format, minLength, maxLength } = schema;
  count(schema, 'minLength', path);
  count(schema, 'maxLength', path);
  if (format === undefined) {
    return {
      type,
      ...(minLength === undefined ? {} : { minLength }),
      ...(maxLength === undefined ? {} : { maxLength }),
    };
  }
  if (typeof format !== 'string' || !formats.has(format) || minLength !== undefined || maxLength !== undefined) {
    throw refuse(`${path}.format`, `must be one of ${[...formats].join(', ')}, without a length`);
  }
  return { type, format };
}

function typed(schema: JsonObject, type: Json, path: string, defs: ReadonlySet<string>): JsonObject {
  if (type === 'object') return objectSchema(schema, path, defs);
  if (type === 'array') return arraySchema(schema, path, defs);
  if (typeof type === 'string' && scalars.has(type)) return scalarSchema(schema, type, path);
  throw refuse(`${path}.type`, `is ${JSON.stringify(type)}, not a type of JSON`);
}

/** A union of types: each gets the keywords that are its own. */
function union(schema: JsonObject, types: readonly Json[], path: string, defs: ReadonlySet<string>): JsonObject {
  if (types.length === 0) throw refuse(`${path}.type`, 'names no type');
  const own = types.flatMap((type) => (typeof type === 'string' ? (keywords[type] ?? []) : []));
  onlyKeys(schema, ['type', ...own], path);
  const variants = types.map((type) => {
    const mine = typeof type === 'string' ? (keywords[type] ?? []) : [];
    const entries = Object.entries(schema).filter(([key]) => mine.includes(key));
    return typed(Object.fromEntries(entries), type, path, defs);
  });
  return { oneOf: variants };
}

const literal = (value: Json): boolean => value === null || ['string', 'number', 'boolean'].includes(typeof value);

function literals(schema: JsonObject, path: string): JsonObject | undefined {
  if (schema['const'] !== undefined) {
    onlyKeys(schema, ['const', 'type'], path);
    if (!literal(schema['const'])) throw refuse(`${path}.const`, 'must be a string, number, boolean or null');
    return { const: schema['const'] };
  }
  if (schema['enum'] === undefined) return undefined;
  onlyKeys(schema, ['enum', 'type'], path);
  const values = schema['enum'];
  if (!Array.isArray(values) || values.length === 0 || !values.every(literal)) {
    throw refuse(`${path}.enum`, 'must list strings, numbers, booleans or null');
  }
  return { enum: values as readonly Json[] };
}

function walk(schema: Json | undefined, path: string, defs: ReadonlySet<string>): JsonObject {
  if (!isObject(schema)) throw refuse(path, 'must be a schema object');
  const { $ref, type } = schema;
  if ($ref !== undefined) {
    onlyKeys(schema, ['$ref'], path);
    if (typeof $ref !== 'string' || !defs.has($ref)) throw refuse(`${path}.$ref`, 'must point to #/$defs/ of the root');
    return { $ref };
  }
  for (const key of ['anyOf', 'oneOf']) {
    if (schema[key] === undefined) continue;
    onlyKeys(schema, [key], path);
    return { oneOf: all(schema[key], `${path}.${key}`, defs) };
  }
  const fixed = literals(schema, path);
  if (fixed) return fixed;
  if (Array.isArray(type)) return union(schema, type as readonly Json[], path, defs);
  if (type === undefined) {
    if (schema['properties'] !== undefined) return objectSchema(schema, path, defs);
    if (schema['items'] !== undefined) return arraySchema(schema, path, defs);
    throw refuse(path, "needs a 'type'");
  }
  return typed(schema, type, path, defs);
}

const inDefs = '#/$defs/';

/** What a root leads to that is only a reference: generators of schemas write a type with a name of its own so. */
function followed(root: JsonObject, defs: JsonObject, path: string): JsonObject {
  const passed = new Set<string>();
  let found: Json | undefined = root;
  while (isObject(found) && typeof found['$ref'] === 'string' && !passed.has(found['$ref'])) {
    passed.add(found['$ref']);
    found = defs[found['$ref'].slice(inDefs.length)];
  }
  if (isObject(found) && found['$ref'] === undefined) return found;
  throw refuse(`${path}.$ref`, 'leads back to itself');
}

/**
 * A client's schema in the form the engine's grammar holds to in full.
 * @throws a 400 with the path of the first keyword that it cannot hold to.
 */
export function grammarSchema(schema: JsonObject, path: string): JsonObject {
  const { $defs } = schema;
  const names = isObject($defs) ? Object.keys($defs) : [];
  const defs = new Set(names.map((name) => inDefs + name));
  const walked = walk(schema, path, defs);
  const defined = $defs === undefined ? {} : each($defs, `${path}.$defs`, defs);
  const root = followed(walked, defined, path);
  // An answer's end is found by its closing brace; OpenAI asks for an object at the root as well.
  if (root['type'] !== 'object') throw refuse(path, "must have type 'object' at its root");
  return $defs === undefined ? root : { ...root, $defs: defined };
}

/** Every keyword that something above holds to. */
const held = new Set([
  ...['type', 'const', 'enum', '$ref', '$defs', 'anyOf', 'oneOf', 'description', 'title'],
  ...Object.values(keywords).flat(),
]);
const nested = new Set(['items', 'additionalProperties']);
const named = new Set(['properties', '$defs']);
const listed = new Set(['anyOf', 'oneOf', 'prefixItems']);

/**
 * A schema without the keywords that a grammar cannot hold to: what is left is its structure. For arguments of tools
 * that are not strict.
 */
export function loosen(schema: JsonObject): JsonObject {
  const each = (value: Json): Json => (isObject(value) ? loosen(value) : value);
  const kept = Object.entries(schema).flatMap(([key, value]): [string, Json][] => {
    if (value === undefined || !held.has(key)) return [];
    if (key === 'format' && !(typeof value === 'string' && formats.has(value))) return [];
    if (nested.has(key)) return [[key, each(value)]];
    if (named.has(key) && isObject(value)) {
      return [[key, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, each(one ?? null)]))]];
    }
    if (listed.has(key) && Array.isArray(value)) return [[key, value.map(each)]];
    return [[key, value]];
  });
  return Object.fromEntries(kept);
}
