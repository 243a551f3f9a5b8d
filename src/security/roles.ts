import { builtInRoles } from '#kernel/scopes';
import { compileRights } from './scopes.ts';
import type { Rights } from './scopes.ts';

/** The roles there are: the built-in ones and those of the configuration. */
export interface Roles {
  /** What roles and scopes allow together. A role that is not known (any more) allows nothing. */
  rights(roles: readonly string[], scopes: readonly string[]): Rights;
  /** The scopes of a role; null when there is none of that name. */
  scopesOf(role: string): readonly string[] | null;
  names(): readonly string[];
  /** Another number after each change: what was made of the roles before is out of date. */
  version(): number;
  /** Takes those of the configuration. */
  configure(own: Readonly<Record<string, readonly string[]>>): void;
}

export function createRoles(own: Readonly<Record<string, readonly string[]>> = {}): Roles {
  let table: Readonly<Record<string, readonly string[]>> = { ...own, ...builtInRoles };
  let version = 1;
  // Most keys have one of a few sets of roles: those are compiled once.
  let compiled = new Map<string, Rights>();
  const scopesOf = (role: string) => (Object.hasOwn(table, role) ? (table[role] ?? null) : null);
  return {
    scopesOf,
    names: () => Object.keys(table),
    version: () => version,
    rights(roles, scopes) {
      const key = JSON.stringify([roles, scopes]);
      const known = compiled.get(key);
      if (known) return known;
      const rights = compileRights([...roles.flatMap((role) => scopesOf(role) ?? []), ...scopes]);
      if (scopes.length === 0) compiled.set(key, rights);
      return rights;
    },
    configure(next) {
      table = { ...next, ...builtInRoles };
      compiled = new Map();
      version++;
    },
  };
}
