import { apiError, badParam } from './errors.ts';
import { isObject, typeName, type Json, type JsonObject } from './json.ts';
import { nearest } from './nearest.ts';

/** Reads one value, or throws a 400 that names it. It is never handed null: to OpenAI's clients null means "not given". */
export type Field<T> = (value: Json, param: string) => T;
export type Fields = Readonly<Record<string, Field<unknown>>>;
export type Parsed<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> | undefined };

const wrongType = (param: string, wanted: string, value: Json) =>
  badParam(param, `Invalid type for '${param}': expected ${wanted}, but got ${typeName(value)}.`, 'invalid_type');

export interface Range {
  readonly min?: number;
  readonly max?: number;
  readonly integer?: boolean;
}

export const number =
  ({ min = -Infinity, max = Infinity, integer = false }: Range = {}): Field<number> =>
  (value, param) => {
    if (typeof value !== 'number' || (integer && !Number.isSafeInteger(value))) {
      throw wrongType(param, integer ? 'an integer' : 'a number', value);
    }
    if (value < min || value > max) {
      const bounds = [
        ...(min > -Infinity ? [`at least ${String(min)}`] : []),
        ...(max < Infinity ? [`at most ${String(max)}`] : []),
      ].join(' and ');
      throw badParam(param, `Invalid '${param}': ${String(value)} given, ${bounds} wanted.`, 'invalid_value');
    }
    return value;
  };

export const text: Field<string> = (value, param) => {
  if (typeof value !== 'string') throw wrongType(param, 'a string', value);
  return value;
};

export const flag: Field<boolean> = (value, param) => {
  if (typeof value !== 'boolean') throw wrongType(param, 'a boolean', value);
  return value;
};

export const oneOf =
  <const T extends string>(...allowed: readonly T[]): Field<T> =>
  (value, param) => {
    const found = allowed.find((name) => name === value);
    if (found === undefined) {
      const names = allowed.map((name) => `'${name}'`).join(', ');
      throw badParam(param, `Invalid value for '${param}': one of ${names} wanted.`, 'invalid_value');
    }
    return found;
  };

export const object: Field<JsonObject> = (value, param) => {
  if (!isObject(value)) throw wrongType(param, 'an object', value);
  return value;
};

export const list =
  <T>(item: Field<T>, { min = 0, max = Infinity } = {}): Field<readonly T[]> =>
  (value, param) => {
    if (!Array.isArray(value)) throw wrongType(param, 'an array', value);
    if (value.length < min || value.length > max) {
      const wanted = value.length < min ? `at least ${String(min)}` : `at most ${String(max)}`;
      throw badParam(param, `Invalid '${param}': ${String(value.length)} items given, ${wanted} wanted.`);
    }
    return value.map((entry: Json, index) => item(entry, `${param}[${String(index)}]`));
  };

/** Sent by OpenAI's clients, without meaning for one local model: accepted whatever it holds, and left alone. */
export const ignored: Field<undefined> = () => undefined;

/**
 * A parameter this engine cannot honour. The values in `neutral` ask for nothing and pass; any other is refused by
 * name, because dropping it silently would answer another question than the one asked.
 */
export const refused =
  (why: string, ...neutral: readonly Json[]): Field<undefined> =>
  (value, param) => {
    const same = JSON.stringify(value);
    if (neutral.some((harmless) => JSON.stringify(harmless) === same)) return undefined;
    throw badParam(param, `Unsupported parameter: '${param}' is not supported here: ${why}.`, 'unsupported_parameter');
  };

/** Reads an object by its table of fields. A key outside the table is an error, with the nearest right name. */
export function parse<F extends Fields>(value: JsonObject, fields: F, prefix = ''): Parsed<F> {
  const names = Object.keys(fields);
  const result: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(value)) {
    const param = prefix + name;
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!field) {
      const meant = nearest(name, names);
      const hint = meant === undefined ? '' : ` Did you mean '${prefix}${meant}'?`;
      throw badParam(param, `Unrecognized request argument supplied: ${param}.${hint}`, 'unknown_parameter');
    }
    if (given !== null && given !== undefined) result[name] = field(given, param);
  }
  return result as Parsed<F>;
}

/** A value that must be there: OpenAI's own sentence where it isn't. */
export function required<T>(value: T | undefined, param: string): T {
  if (value === undefined) {
    throw apiError(400, `Missing required parameter: '${param}'.`, { param, code: 'missing_required_parameter' });
  }
  return value;
}
