import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { didYouMean } from '#kernel/nearest';

/** Reads one value of a request, or throws BAD_REQUEST that names it. It is never handed null: that is "not given". */
export type Field<T> = (value: unknown, param: string) => T;
export type Fields = Readonly<Record<string, Field<unknown>>>;
export type Read<F extends Fields> = { readonly [K in keyof F]: ReturnType<F[K]> | undefined };

export const bad = (param: string, message: string): Fault => new Fault('BAD_REQUEST', message, { param });

const wrongType = (param: string, wanted: string): Fault => bad(param, `${param} must be ${wanted}.`);

export const text: Field<string> = (value, param) => {
  if (typeof value !== 'string') throw wrongType(param, 'a string');
  return value;
};

export const flag: Field<boolean> = (value, param) => {
  if (typeof value !== 'boolean') throw wrongType(param, 'true or false');
  return value;
};

export const number =
  ({ min = -Infinity, max = Infinity, integer = false } = {}): Field<number> =>
  (value, param) => {
    const fits = typeof value === 'number' && value >= min && value <= max && (!integer || Number.isSafeInteger(value));
    if (fits) return value;
    const bounds = [...(min > -Infinity ? [`at least ${min}`] : []), ...(max < Infinity ? [`at most ${max}`] : [])];
    throw wrongType(param, [integer ? 'a whole number' : 'a number', ...bounds].join(', '));
  };

export const oneOf =
  <const T extends string>(...allowed: readonly T[]): Field<T> =>
  (value, param) => {
    const found = allowed.find((name) => name === value);
    if (found === undefined) throw wrongType(param, `one of ${allowed.join(', ')}`);
    return found;
  };

export const record: Field<Readonly<Record<string, unknown>>> = (value, param) => {
  if (!isRecord(value)) throw wrongType(param, 'an object');
  return value;
};

export const list =
  <T>(item: Field<T>, min = 0): Field<readonly T[]> =>
  (value, param) => {
    if (!Array.isArray(value) || value.length < min) {
      throw wrongType(param, min > 0 ? `an array with at least ${min}` : 'an array');
    }
    return value.map((one: unknown, index) => item(one, `${param}[${index}]`));
  };

/** Handed on as it is: whoever it is for looks at it. */
export const asIs: Field<unknown> = (value) => value;

/** Without meaning here, whatever it holds. */
export const ignored: Field<undefined> = () => undefined;

/**
 * What cannot be done. The values in `neutral` ask for nothing and pass; any other is refused by name, since an answer
 * without it would answer another question.
 */
export const refused =
  (why: string, ...neutral: readonly unknown[]): Field<undefined> =>
  (value, param) => {
    const same = JSON.stringify(value);
    if (neutral.some((harmless) => JSON.stringify(harmless) === same)) return undefined;
    throw bad(param, `${param} is not supported here: ${why}.`);
  };

/** Reads an object by its table of fields. A key outside of it is an error, with the nearest right name. */
export function read<F extends Fields>(value: unknown, fields: F, prefix = ''): Read<F> {
  if (!isRecord(value)) throw wrongType(prefix === '' ? 'The body' : prefix.replace(/\.$/, ''), 'an object');
  const result: Record<string, unknown> = {};
  for (const [name, given] of Object.entries(value)) {
    const param = prefix + name;
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!field)
      throw bad(param, `${param} is not a parameter that is known here.${didYouMean(name, Object.keys(fields))}`);
    if (given !== null && given !== undefined) result[name] = field(given, param);
  }
  return result as Read<F>;
}

export function required<T>(value: T | undefined, param: string): T {
  if (value === undefined) throw bad(param, `${param} is missing.`);
  return value;
}

/** An object without what is undefined. */
export const given = (object: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
