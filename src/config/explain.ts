import type { z } from 'zod';
import { didYouMean } from '#kernel/nearest';
import { keysOf, schemasAt, unionOptions } from './walk.ts';
import type { Path } from './walk.ts';

/** A problem in words, and the place it is at. */
export interface Explained {
  readonly path: Path;
  /** `key`: the last part of the path is a name that should not be there. `missing`: it is a name that should be. */
  readonly at: 'value' | 'key' | 'missing';
  readonly message: string;
}

type Issue = z.core.$ZodIssue;
type Schema = z.core.$ZodType;

/** zod's issues about a value, each in words that a person who wrote the file understands. */
export const explain = (issues: readonly Issue[], schema: Schema, value: unknown): Explained[] =>
  issues.flatMap((issue) => explainOne(issue, schema, value, []));

function explainOne(issue: Issue, schema: Schema, value: unknown, base: Path): Explained[] {
  const path = [...base, ...issue.path];
  const given = valueAt(value, issue.path);
  if (issue.code === 'unrecognized_keys') {
    const found = schemasAt(schema, issue.path);
    const known = keysOf(found);
    // Known after all: the key of another branch of the union, beside one that fits.
    if (issue.keys.some((key) => known.includes(key))) {
      const choices = found.flatMap((union) => unionOptions(union) ?? []).map((option) => keysOf([option]));
      return [{ path, at: 'value', message: oneOf(choices) }];
    }
    return issue.keys.map((key) => unknownKey([...path, key], key, known));
  }
  if (issue.code === 'invalid_key') {
    const messages = issue.issues.map((wrong) => sentence(wrong, path.at(-1)));
    return [{ path, at: 'key', message: messages.join('; ') }];
  }
  // Nothing at the place itself is a key left out; whatever else such an issue says is of no use to its author.
  const missing = given === undefined && path.length > 0 && issue.code !== 'custom';
  if (missing) return [{ path, at: 'missing', message: 'is required' }];
  if (issue.code === 'invalid_union') return explainUnion(issue, schema, given, path);
  return [{ path, at: 'value', message: sentence(issue, given) }];
}

const unknownKey = (path: Path, key: string, known: readonly string[]): Explained => ({
  path,
  at: 'key',
  message: `unknown key.${didYouMean(key, known)}${known.length > 0 ? ` Known here: ${known.join(', ')}.` : ''}`,
});

/**
 * Which branch of a union was meant:
 * 1. no branch is a mapping, or the value is none: the union's own message;
 * 2. it has keys that no branch knows: those are the problem;
 * 3. one branch knows all of its keys and the others know fewer: that branch's problems;
 * 4. else it has no branch's own key, or those of two: the keys to choose from.
 */
function explainUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  schema: Schema,
  given: unknown,
  path: Path,
): Explained[] {
  const options = schemasAt(schema, issue.path).flatMap((found) => unionOptions(found) ?? []);
  const choices = options.map((option) => keysOf([option]));
  const known = [...new Set(choices.flat())];
  if (known.length === 0 || !isRecord(given)) {
    const own = issue.message === 'Invalid input' ? undefined : issue.message;
    return [{ path, at: 'value', message: own ?? `must be a mapping, not ${nameOf(given)}: ${oneOf(choices)}` }]; // 1
  }
  const keys = Object.keys(given);
  const strange = keys.filter((key) => !known.includes(key));
  if (strange.length > 0) return strange.map((key) => unknownKey([...path, key], key, known)); // 2
  const scores = choices.map((choice) => keys.filter((key) => choice.includes(key)).length);
  const meant = scores.indexOf(keys.length);
  const option = options[meant];
  if (keys.length > 0 && option && scores.lastIndexOf(keys.length) === meant) {
    return (issue.errors[meant] ?? []).flatMap((wrong) => explainOne(wrong, option, given, path)); // 3
  }
  return [{ path, at: 'value', message: oneOf(choices) }]; // 4
}

/** The keys by which the branches differ: `needs exactly one of http, tcp, log`. */
function oneOf(choices: readonly (readonly string[])[]): string {
  const own = choices.flatMap((choice) =>
    choice.filter((key) => choices.every((other) => other === choice || !other.includes(key))),
  );
  return `needs exactly one of ${own.join(', ')}`;
}

/** What is wrong with one value. The texts of zod are for programmers; only a schema's own message is passed on. */
function sentence(issue: Issue, given: unknown): string {
  if (!/^(Invalid|Too) /.test(issue.message)) return issue.message;
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'int') return 'must be a whole number';
    const quotable = issue.expected === 'string' && ['number', 'boolean'].includes(typeof given);
    const hint = quotable ? ' (put it in quotes to make it text)' : '';
    return `must be ${nouns[issue.expected] ?? issue.expected}, not ${nameOf(given)}${hint}`;
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    if (values.length === 1) return `must be ${values[0]}`;
    return `must be one of ${values.join(', ')}.${typeof given === 'string' ? didYouMean(given, values) : ''}`;
  }
  if (issue.code === 'too_small') {
    if (Number(issue.minimum) === 1 && issue.origin === 'string') return 'must not be empty';
    return `must ${measure(issue.origin)} at least ${issue.minimum}${unit(issue.origin, issue.minimum)}`;
  }
  if (issue.code === 'too_big') {
    return `must ${measure(issue.origin)} at most ${issue.maximum}${unit(issue.origin, issue.maximum)}`;
  }
  return issue.message;
}

const measure = (origin: string): string => (origin === 'array' || origin === 'string' ? 'have' : 'be');
const unit = (origin: string, count: number | bigint): string => {
  if (origin === 'array') return count === 1 ? ' entry' : ' entries';
  return origin === 'string' ? ' characters' : '';
};

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'string') return 'text';
  if (typeof value === 'boolean') return String(value);
  return typeof value === 'number' ? `the number ${value}` : 'a mapping';
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function valueAt(value: unknown, path: Path): unknown {
  let found: unknown = value;
  for (const key of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}
