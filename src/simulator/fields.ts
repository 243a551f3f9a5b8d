import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';

/** Turns a value into what is meant by it. Throws an Error whose sentence goes on from the field's name. */
export type Reader<T> = (value: unknown) => T;

/** How each field is read; one without `otherwise` must be there. `otherwise` sees the fields before it. */
export type Fields<T> = {
  readonly [K in keyof T]: { readonly read: Reader<T[K]>; readonly otherwise?: (before: Partial<T>) => T[K] };
};

/** Reads an object strictly: an unknown field is an error that names the nearest right one. */
export function fieldsOf<T extends object>(value: unknown, fields: Fields<T>, place: () => string): T {
  const fail = (message: string) => new Fault('BAD_REQUEST', `${place()}: ${message}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('must be an object.');
  const names = Object.keys(fields) as (keyof T & string)[];
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(fields, name)) {
      const found = didYouMean(name, names);
      throw fail(`${name} is no field.${found === '' ? ` Known: ${names.join(', ')}.` : found}`);
    }
  }
  const read: Partial<T> = {};
  for (const name of names) {
    const { read: reader, otherwise } = fields[name];
    const given = (value as Record<string, unknown>)[name];
    if (given === undefined && !otherwise) throw fail(`${name} is missing.`);
    try {
      read[name] = given === undefined && otherwise ? otherwise(read) : reader(given);
    } catch (error) {
      throw fail(`${name} ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return read as T;
}

const told = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));

export const text: Reader<string> = (value) => {
  if (typeof value !== 'string' || value === '') throw new Error(`must be a text, not ${told(value)}.`);
  return value;
};

export const atLeast =
  (least: number): Reader<number> =>
  (value) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error(`must be a number, not ${told(value)}.`);
    if (value < least) throw new Error(`must be at least ${least}, not ${value}.`);
    return value;
  };

export const choice =
  <T extends string>(names: readonly T[]): Reader<T> =>
  (value) => {
    const found = names.find((name) => name === value);
    if (found !== undefined) return found;
    const meant = typeof value === 'string' ? didYouMean(value, names) : '';
    throw new Error(`must be one of ${names.join(', ')}, not ${told(value)}.${meant}`);
  };
