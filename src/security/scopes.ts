import { everything, readScope, scopes } from '#kernel/scopes';
import type { Scope } from '#kernel/scopes';

/** What a scope is allowed for: everything, or the names that these match. */
interface Reach {
  readonly all: boolean;
  readonly exact: ReadonlySet<string>;
  readonly patterns: readonly string[];
}

/** What somebody may do, made once of the scopes they hold so that a request's check is a look-up. */
export interface Rights {
  /** As they were written. Those that mean nothing here (any more) allow nothing. */
  readonly scopes: readonly string[];
  readonly reach: Readonly<Partial<Record<Scope, Reach>>>;
}

export const noRights: Rights = { scopes: [], reach: {} };

const whole: Reach = { all: true, exact: new Set(), patterns: [] };

export function compileRights(written: readonly string[]): Rights {
  const reach: Partial<Record<Scope, Reach>> = {};
  for (const text of written) {
    const read = readScope(text);
    if (read === everything) for (const name of Object.keys(scopes) as Scope[]) reach[name] = whole;
    else if ('scope' in read) reach[read.scope] = widened(reach[read.scope], read.pattern);
  }
  return { scopes: [...written], reach };
}

function widened(reach: Reach = { all: false, exact: new Set(), patterns: [] }, pattern: string | null): Reach {
  if (pattern === null || reach.all) return whole;
  if (pattern.includes('*')) return { ...reach, patterns: [...reach.patterns, pattern] };
  return { ...reach, exact: new Set([...reach.exact, pattern]) };
}

/** Whether these rights allow a thing: for `name`, for all of its kind (null), or for any of them (left out). */
export function allows({ reach }: Rights, scope: Scope, name?: string | null): boolean {
  const held = reach[scope];
  if (held === undefined) return false;
  if (held.all || name === undefined) return true;
  return name !== null && (held.exact.has(name) || held.patterns.some((pattern) => matches(pattern, name)));
}

/** Whether whoever holds these rights may hand on a scope: one that allows nothing which they do not allow. */
export function covers({ reach }: Rights, text: string): boolean {
  const read = readScope(text);
  if (read === everything) return (Object.keys(scopes) as Scope[]).every((name) => reach[name]?.all === true);
  if (!('scope' in read)) return false;
  const held = reach[read.scope];
  if (held === undefined || held.all) return held !== undefined;
  const { pattern } = read;
  if (pattern === null) return false;
  // A pattern that matches another one's text matches whatever that one matches: its stars take in the other's.
  return held.exact.has(pattern) || held.patterns.some((own) => matches(own, pattern));
}

/**
 * Whether a name is of a pattern's form, in which `*` stands for any characters. No regular expression: names come from
 * requests, and several stars would make one slow.
 */
export function matches(pattern: string, name: string): boolean {
  let [at, in_] = [0, 0];
  let [star, mark] = [-1, 0];
  while (in_ < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      mark = in_;
    } else if (pattern[at] === name[in_]) {
      at++;
      in_++;
    } else if (star >= 0) {
      // The last star takes one more: an earlier one need never be asked again.
      at = star + 1;
      in_ = ++mark;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
