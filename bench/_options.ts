import { parseArgs } from 'node:util';
import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';

/** `value`: what stands for its value in the help; without one it is a switch. */
export interface Option {
  readonly value?: string;
  readonly help: string;
  readonly multiple?: boolean;
}

export interface Options {
  has(name: string): boolean;
  /** The last value that was given. */
  one(name: string): string | undefined;
  all(name: string): readonly string[];
  /** Its values and those between commas. */
  list(name: string, otherwise: readonly string[]): readonly string[];
}

export const usage = (message: string): Fault => new Fault('BAD_REQUEST', message);

/** Reads a bench's options strictly; null when only its help was wanted, which is then printed. */
export function readOptions(name: string, about: string, table: Readonly<Record<string, Option>>): Options | null {
  const { tokens } = parseArgs({
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(table).map(([key, { value }]) => [key, { type: value === undefined ? 'boolean' : 'string' }]),
    ),
  });
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional')
      throw usage(`"${token.value}" belongs to no option. See npm run ${name} -- --help.`);
    if (token.name === 'help' || token.name === 'h') {
      console.log(helpOf(name, about, table));
      return null;
    }
    const option = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
    if (!option) {
      const meant = didYouMean(token.name, Object.keys(table)).replace(/you mean /, 'you mean --');
      throw usage(`${token.rawName} is no option.${meant} See npm run ${name} -- --help.`);
    }
    if (option.value === undefined && token.value !== undefined) throw usage(`${token.rawName} takes no value.`);
    if (option.value !== undefined && (token.value === undefined || token.value.startsWith('--'))) {
      throw usage(`${token.rawName} needs a value: ${token.rawName} ${option.value}.`);
    }
    given.set(token.name, [...(given.get(token.name) ?? []), token.value ?? '']);
  }
  const all = (key: string) => given.get(key) ?? [];
  return {
    has: (key) => given.has(key),
    one: (key) => all(key).at(-1),
    all,
    list: (key, otherwise) => (given.has(key) ? all(key).flatMap((list) => list.split(',')) : otherwise),
  };
}

function helpOf(name: string, about: string, table: Readonly<Record<string, Option>>): string {
  const lines = Object.entries(table).map(([key, { value, help }]) => [`--${key}${value ? ` ${value}` : ''}`, help]);
  const width = Math.max(...lines.map(([left = '']) => left.length));
  return [
    about,
    '',
    `npm run ${name} --`,
    ...lines.map(([left = '', help]) => `  ${left.padEnd(width)}  ${help}`),
  ].join('\n');
}

/** One of the names, or an error with the nearest of them. */
export function named<T>(what: string, name: string, table: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  throw usage(
    `"${name}" is no ${what}.${didYouMean(name, Object.keys(table))} Known: ${Object.keys(table).join(', ')}.`,
  );
}

export function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw usage(`${option} must be a whole number, not "${text}".`);
  return value;
}

export function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0) || value === Infinity) throw usage(`${option} must be a number above 0, not "${text}".`);
  return value;
}

/** The middle value; of an even count the mean of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? NaN) + high) / 2;
}

/** Runs a bench: what the user did wrong is one line and exit code 2, anything else is 1. */
export async function main(run: () => Promise<void> | void): Promise<void> {
  try {
    await run();
  } catch (error) {
    const wrong = error instanceof Fault && error.code === 'BAD_REQUEST';
    console.error(wrong || (error instanceof Error && error.name === 'BrokenPromise') ? error.message : error);
    process.exitCode = wrong ? 2 : 1;
  }
}
