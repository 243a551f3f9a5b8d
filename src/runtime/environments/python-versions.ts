import { Fault } from '#kernel/faults';

/** Major, minor, patch. */
export type Version = readonly [number, number, number];

export const formatVersion = (version: Version): string => version.join('.');

type Clause = (version: Version) => boolean;

/**
 * Whether an interpreter fits a range as definitions write it: the version specifiers of PEP 440 for whole versions
 * (`>=3.10,<3.13`, `==3.12.*`, `~=3.11`, `!=3.9.7`), or a bare `3.12`, which means any 3.12. An empty one takes all.
 * Throws BAD_REQUEST for what is no range.
 */
export function fits(version: Version, range: string): boolean {
  return clauses(range).every((clause) => clause(version));
}

function clauses(range: string): Clause[] {
  return range
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== '*')
    .map((part) => clause(part, range));
}

function clause(part: string, range: string): Clause {
  const match = /^(>=|<=|==|!=|~=|>|<)?\s*(\d+(?:\.\d+){0,2})(\.\*)?$/.exec(part);
  const [, operator, digits, star] = match ?? [];
  if (digits === undefined || (star && operator !== undefined && operator !== '==' && operator !== '!=')) {
    throw new Fault('BAD_REQUEST', `"${range}" is no range of Python versions: write it as in ">=3.10,<3.13".`);
  }
  const given = digits.split('.').map(Number);
  const prefix =
    (length: number): Clause =>
    (version) =>
      given.slice(0, length).every((n, i) => version[i] === n);
  const order = (version: Version) => compare(version, [given[0] ?? 0, given[1] ?? 0, given[2] ?? 0]);
  const line = prefix(given.length);
  const exact: Clause = (version) => (star ? line(version) : order(version) === 0);
  const operators: Record<string, Clause> = {
    '>=': (version) => order(version) >= 0,
    '<=': (version) => order(version) <= 0,
    '>': (version) => order(version) > 0,
    '<': (version) => order(version) < 0,
    '==': exact,
    '!=': (version) => !exact(version),
    '~=': (version) => order(version) >= 0 && prefix(Math.max(1, given.length - 1))(version),
    bare: line,
  };
  return operators[operator ?? 'bare'] as Clause;
}

export function compare(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** `3.11.7`, `Python 3.12.1`, `3.13.0rc1`; null when there is no version in it. */
export function parseVersion(text: string): Version | null {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)] : null;
}
