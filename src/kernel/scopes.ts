import { didYouMean } from './nearest.ts';

/**
 * What a key may be allowed, by name: the one list that keys, the configuration, the routes and the help go by. One that is
 * `patterned` may be narrowed: `models:use:smollm2:*` allows the models whose ids the pattern matches.
 */
export const scopes = {
  'models:use': { patterned: true, about: 'Ask models, and see them listed' },
  'models:manage': { patterned: false, about: 'Fetch, check and remove models, load and unload them' },
  'services:use': { patterned: true, about: 'Reach services' },
  'services:manage': { patterned: true, about: 'Start, stop and pin services, and read their logs' },
  'jobs:run': { patterned: true, about: 'Run tools on this machine, see and cancel these runs' },
  'jobs:manage': { patterned: false, about: "See and cancel others' runs" },
  'state:read': { patterned: false, about: 'See everything that runs or could, the ledger and the catalogue' },
  'metrics:read': { patterned: false, about: 'Read /metrics' },
  'audit:read': { patterned: false, about: 'Read who changed what' },
  keys: { patterned: false, about: 'Make, rotate and revoke keys that may no more than its own' },
  console: { patterned: false, about: 'Open sessions in a browser' },
  'platform:manage': { patterned: false, about: 'Stop and restart the platform' },
} as const satisfies Record<string, { readonly patterned: boolean; readonly about: string }>;

export type Scope = keyof typeof scopes;

/** Everything there is, and everything to come. */
export const everything = '*';

/** The roles that are always there. `service` is for programs: it sees nothing but what it may use. */
export const builtInRoles = {
  admin: [everything],
  operator: [
    ...(['models:use', 'models:manage', 'services:use', 'services:manage'] as const),
    ...(['jobs:run', 'jobs:manage', 'state:read', 'metrics:read', 'audit:read', 'console'] as const),
  ],
  user: ['models:use', 'services:use', 'state:read', 'console'],
  service: ['models:use', 'services:use'],
} as const satisfies Record<string, readonly (Scope | typeof everything)[]>;

export interface ReadScope {
  readonly scope: Scope;
  /** Null for all there are. */
  readonly pattern: string | null;
}

const names = Object.keys(scopes) as Scope[];

/** A scope as it is written; `everything`, or a sentence that says what is wrong with it. */
export function readScope(text: string): ReadScope | typeof everything | { readonly problem: string } {
  if (text === everything) return everything;
  const scope = names.find((name) => text === name || text.startsWith(`${name}:`));
  if (scope === undefined) {
    const known = didYouMean(text, [everything, ...names]) || ` Known: ${[everything, ...names].join(', ')}.`;
    return { problem: `${text} is not a scope.${known}` };
  }
  if (text === scope) return { scope, pattern: null };
  const pattern = text.slice(scope.length + 1);
  if (!scopes[scope].patterned) return { problem: `${scope} takes no pattern: write it as ${scope}.` };
  if (pattern === '' || pattern.length > 256) return { problem: `The pattern of ${scope} has 1 to 256 characters.` };
  return { scope, pattern: pattern === '*' ? null : pattern };
}
